/* notify_fuzz.c - bodies of Notification and Delete. */
#include "tests/fuzz/proto_wire/invariant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes body = {data, size};
    require_holds(&codec_notify, body);
    require_holds(&codec_delete, body);
    return 0;
}
