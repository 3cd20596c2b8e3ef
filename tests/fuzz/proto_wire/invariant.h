/* invariant.h - what every decoder of proto/wire is fuzzed for: any bytes are refused, or they decode, encode
 * and decode to the same. */
#ifndef TESTS_FUZZ_PROTO_WIRE_INVARIANT_H
#define TESTS_FUZZ_PROTO_WIRE_INVARIANT_H

#include <stdlib.h>

#include "tests/unit/proto/wire/codecs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(bool condition)
{
    if (!condition)
        abort();
}

static inline void require_holds(const struct codec *codec, struct bytes body)
{
    require(codec_holds(codec, body));
}

#endif
