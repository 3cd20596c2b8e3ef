/* fleet.h - a handful of registered members. */
#ifndef TESTS_UNIT_SERVER_FLEET_H
#define TESTS_UNIT_SERVER_FLEET_H

#include "tests/unit/server/member.h"

enum { MEMBERS = 5, TEK_LEAD_S = 115 /* 90 + 2 * 10 + 5 */ };

struct fleet {
    struct rig *rig;
    struct rig_member m[MEMBERS];
};

static inline void fleet_open(struct fleet *f)
{
    memset(f, 0, sizeof(*f));
    f->rig = rig_ready();
    for (size_t i = 0; i < MEMBERS; i++)
        member_register(f->rig, &f->m[i], 14, (uint8_t)(10 + i));
    events_mark();
}

static inline void fleet_close(struct fleet *f)
{
    for (size_t i = 0; i < MEMBERS; i++)
        member_close(&f->m[i]);
    rig_free(f->rig);
}

static inline void rekey_now(struct fleet *f)
{
    assert_ok(core_rekey(f->rig->core, "G1", NULL, NULL));
    rig_settle(f->rig);
}

static inline const struct ks_member *record_of(const struct fleet *f, size_t i)
{
    struct identity identity = identity_from_addr(&f->m[i].at.addr);
    return ks_group_member(rig_g1(f->rig), &identity);
}

#endif
