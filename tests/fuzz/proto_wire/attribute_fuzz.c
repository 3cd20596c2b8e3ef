/* attribute_fuzz.c - lists of attributes. A walk that forbids repetition takes a part of what a free one
 * takes. */
#include "tests/fuzz/proto_wire/invariant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes body = {data, size};
    struct attribute attribute;
    struct attribute_walk free_walk = attribute_walk_over(body, ~UINT64_C(0));
    struct attribute_walk walk = attribute_walk_over(body, 0);
    while (attribute_walk_next(&free_walk, &attribute)) {
        uint32_t value;
        require(attribute.body.len <= size);
        if (attribute_u32(&attribute, &value) == E_OK && attribute.basic)
            require(value == attribute.value);
    }
    while (attribute_walk_next(&walk, &attribute))
        continue;
    require(walk.count <= free_walk.count);
    require(reader_end(&walk.r) != E_OK || reader_end(&free_walk.r) == E_OK);
    require_holds(&codec_attributes, body);
    return 0;
}
