/* gdoi_kd_fuzz.c - KD bodies; a short one is a SEQ body too. */
#include "tests/fuzz/proto_wire/invariant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes body = {data, size};
    require_holds(&codec_kd, body);
    require_holds(&codec_seq, body);
    return 0;
}
