/* gdoi_gap_fuzz.c - GAP bodies. */
#include "tests/fuzz/proto_wire/invariant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes body = {data, size};
    require_holds(&codec_gap, body);
    return 0;
}
