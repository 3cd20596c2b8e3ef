#include "proto/wire/attribute.h"
#include "proto/wire/gdoi_sa.h"

/* RFC 6407 5.4 has the same rule as 5.3.2: abort on what is not understood. */
err_t gdoi_gap_decode(struct gdoi_gap *out, struct bytes body)
{
    struct attribute attribute;
    struct attribute_walk walk = attribute_walk_over(body, 0);
    *out = (struct gdoi_gap){0};
    while (attribute_walk_next(&walk, &attribute)) {
        switch (attribute.type) {
        case GAP_ACTIVATION_DELAY:
            out->has_activation = true;
            out->activation_s = attribute_walk_u16(&walk, &attribute);
            break;
        case GAP_DEACTIVATION_DELAY:
            out->has_deactivation = true;
            out->deactivation_s = attribute_walk_u16(&walk, &attribute);
            break;
        case GAP_SENDER_ID_REQUEST:
            out->has_sid_request = true;
            out->sid_request = attribute_walk_u16(&walk, &attribute);
            break;
        default:
            reader_fail(&walk.r, E_UNKNOWN_CRITICAL);
        }
    }
    return reader_end(&walk.r);
}

void gdoi_gap_encode(struct writer *w, const struct gdoi_gap *gap)
{
    if (gap->has_activation)
        attribute_put_basic(w, GAP_ACTIVATION_DELAY, gap->activation_s);
    if (gap->has_deactivation)
        attribute_put_basic(w, GAP_DEACTIVATION_DELAY, gap->deactivation_s);
    if (gap->has_sid_request)
        attribute_put_basic(w, GAP_SENDER_ID_REQUEST, gap->sid_request);
}
