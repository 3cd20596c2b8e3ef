/* gdoi_sim_test.c - the life of a group: members register (main mode, GROUPKEY-PULL), get a series of rekeys
 * with new TEKs and sometimes a new KEK, acknowledge them, and register again when they have heard nothing
 * for too long; all over a bad network (gdoi_net.h). The key server commits a registration before it delivers
 * keys, and rekeys meanwhile. `gdoi_sim_test --seed N` runs one again. */
#include "tests/sim/proto/gdoi_member_end.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SEEDS = 150,
    END_MS = REKEY_EVERY_MS * (REKEYS + 20), /* by then all have the newest keys */
};

static void deliver(void)
{
    static struct flight flight;
    for (size_t i = 0; i < FLIGHT_MAX; i++) {
        if (!net.flights[i].used || net.flights[i].due_ms > net.now_ms)
            continue;
        flight = net.flights[i];
        net.flights[i].used = false;
        if (flight.to == 0)
            server_take(flight.from, datagram_view(&flight.datagram));
        else
            member_take(flight.to, datagram_view(&flight.datagram));
    }
}

static void commit_due(uint64_t *next)
{
    for (uint8_t m = 1; m <= MEMBERS; m++)
        for (size_t s = 0; s < SESSIONS; s++)
            for (size_t p = 0; p < PULLS; p++) {
                struct server_pull *pull = &sessions[m][s].pulls[p];
                if (pull->commit_at_ms != 0 && pull->commit_at_ms <= net.now_ms)
                    server_commit(m, &sessions[m][s], pull);
                if (pull->commit_at_ms != 0 && pull->commit_at_ms < *next)
                    *next = pull->commit_at_ms;
            }
}

static void earlier(uint64_t *next, uint64_t at)
{
    if (at < *next)
        *next = at;
}

static void turn(void)
{
    uint64_t next = END_MS;
    deliver();
    if (group.rekey_at_ms <= net.now_ms)
        group_rekey();
    if (group.resend_at_ms <= net.now_ms)
        group_push();
    commit_due(&next);
    for (uint8_t i = 1; i <= MEMBERS; i++) {
        member_tick(i);
        earlier(&next,
                members[i].state == GM_MEMBER ? members[i].heard_at_ms + SILENCE_MS : members[i].retry_at_ms);
    }
    earlier(&next, group.rekey_at_ms);
    earlier(&next, group.resend_at_ms);
    next = net_next_ms(next);
    net.now_ms = next > net.now_ms ? next : net.now_ms + 1;
}

static bool all_up_to_date(void)
{
    if (group.rekeys < REKEYS)
        return false;
    for (uint8_t i = 1; i <= MEMBERS; i++)
        if (members[i].state != GM_MEMBER || members[i].newest_spi != group.policy.teks[1].spi)
            return false;
    return true;
}

static void open_group(void)
{
    memset(&group, 0, sizeof(group));
    fixture_policy(&group.policy);
    fixture_tek(&group.policy.teks[0], 0, fixture_cbc);
    fixture_tek(&group.policy.teks[1], 1, fixture_cbc);
    group.policy.tek_count = 2;
    group.key = fixture_sign_key(SIGN_RSA);
    group.rekey_at_ms = REKEY_EVERY_MS;
    group.resend_at_ms = UINT64_MAX;
    group_keep_ack_key();
}

static void close_all(void)
{
    for (uint8_t i = 1; i <= MEMBERS; i++) {
        for (size_t s = 0; s < SESSIONS; s++)
            session_close(&sessions[i][s]);
        main_mode_close(&members[i].mm);
        push_member_close(&members[i].push);
        answer_cache_close(&members[i].answers);
    }
    sign_key_free(group.key);
    memset(members, 0, sizeof(members));
}

static struct {
    uint64_t seed;
    bool finished;
    unsigned registrations, overtaken, pushes, acks, sent, lost, damaged, replayed;
} run;

static void run_seed(uint64_t seed)
{
    run.seed = seed;
    run.finished = false;
    net_open(seed);
    exchange_defaults(&phase_1, "aes128-sha256-ecp256", seed);
    phase_1.params_i.rng = &net.ends;
    phase_1.params_r.rng = &net.ends;
    open_group();
    server_got = server_answered = 0;
    for (uint8_t i = 1; i <= MEMBERS; i++) {
        member_register(i);
    }
    while (!all_up_to_date() && net.now_ms < END_MS)
        turn();
    assert_true(all_up_to_date());
    for (uint8_t i = 1; i <= MEMBERS; i++) {
        run.registrations += members[i].registrations;
        run.overtaken += members[i].overtaken;
        run.pushes += members[i].pushes;
    }
    run.acks += group.acks;
    run.sent += net.sent;
    run.lost += net.lost;
    run.damaged += net.damaged;
    run.replayed += net.replayed;
    close_all();
    run.finished = true;
}

static void members_follow_every_rekey_over_a_bad_network(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_seed(seed);
    printf("%u seeds: %u registrations (%u overtaken by a rekey), %u rekeys taken, %u acknowledged; %u "
           "datagrams sent, %u lost, %u "
           "damaged, %u replayed\n",
           SEEDS, run.registrations, run.overtaken, run.pushes, run.acks, run.sent, run.lost, run.damaged,
           run.replayed);
    assert_true(run.registrations > SEEDS * MEMBERS && run.acks > SEEDS * MEMBERS);
    assert_true(run.lost > 0 && run.damaged > 0 && run.replayed > 0);
}

static uint64_t wanted_seed;

static void one_seed(void **state)
{
    (void)state;
    run_seed(wanted_seed);
}

static int tell_seed(void **state)
{
    (void)state;
    if (!run.finished)
        printf("failed with --seed %llu at %llu ms\n", (unsigned long long)run.seed,
               (unsigned long long)net.now_ms);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test_teardown(members_follow_every_rekey_over_a_bad_network, tell_seed)};
    const struct CMUnitTest single[] = {cmocka_unit_test_teardown(one_seed, tell_seed)};
    if (argc != 3 || strcmp(argv[1], "--seed") != 0)
        return cmocka_run_group_tests(all, NULL, NULL);
    wanted_seed = strtoull(argv[2], NULL, 0);
    return cmocka_run_group_tests(single, NULL, NULL);
}
