/* Every path of the API over rows of known content. */
#include "tests/unit/api/api_fixture.h"

static void live_and_ready(void **state)
{
    struct fixture *f = *state;
    struct answer a = get(f, "/livez");
    assert_int_equal(a.status, 200);
    assert_at_bool(&a, "live", true);
    answer_close(&a);
    a = get(f, "/readyz");
    assert_int_equal(a.status, 200);
    assert_at_bool(&a, "ready", true);
    assert_at_text(&a, "raft.role", "leader");
    assert_at_number(&a, "raft.term", 2);
    assert_at_number(&a, "raft.applied_index", FIXTURE_INDEX);
    assert_at_text(&a, "node_id", "0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A");
    assert_at_text(&a, "listen", "10.1.11.2:848");
    assert_at_text(&a, "started", "2026-11-24T13:00:00.000Z");
    assert_at_bool(&a, "primary", true);
    answer_close(&a);
}

static void a_witness_is_ready_and_listens_to_nobody(void **state)
{
    struct fixture *f = *state;
    f->health.witness = true;
    f->health.primary = false;
    f->health.listen = (struct endpoint){0};
    struct answer a = get(f, "/readyz");
    assert_int_equal(a.status, 200);
    assert_at_bool(&a, "witness", true);
    assert_at_null(&a, "minority");
    assert_true(json_is_null(json_object_get(a.json, "listen")));
    answer_close(&a);
}

static void not_ready_says_why_and_what_it_is(void **state)
{
    struct fixture *f = *state;
    f->health.ready = false;
    snprintf(f->health.reason, sizeof(f->health.reason), "the log is being replayed");
    struct answer a = get(f, "/readyz");
    assert_problem(&a, 503, "not-ready");
    assert_at_text(&a, "detail", "the log is being replayed");
    assert_at_text(&a, "raft.role", "leader");
    assert_at_bool(&a, "ready", false);
    answer_close(&a);
    a = get(f, "/livez");
    assert_int_equal(a.status, 200);
    answer_close(&a);
    f->health.live = false;
    a = get(f, "/livez");
    assert_problem(&a, 503, "not-ready");
    answer_close(&a);
}

static void groups_are_listed(void **state)
{
    struct answer a = get(*state, "/v1/groups");
    assert_int_equal(a.status, 200);
    assert_int_equal(json_array_size(at(&a, "groups")), 2);
    assert_at_text(&a, "groups.0.name", "G1");
    assert_at_text(&a, "groups.1.name", "vpn 2/\xc3\xa9");
    assert_at_text(&a, "groups.1.identity", "vpn2.example.net");
    assert_at_null(&a, "groups.1.last_rekey");
    assert_at_number(&a, "groups.1.member_count", 0);
    answer_close(&a);
}

static void a_group_is_shown(void **state)
{
    char value[128];
    struct answer a = get(*state, "/v1/groups/G1");
    assert_int_equal(a.status, 200);
    assert_string_equal(header_of(&a, "Content-Type", value, sizeof(value)), "application/json");
    assert_string_equal(header_of(&a, "Cache-Control", value, sizeof(value)), "no-store");
    assert_string_equal(header_of(&a, "X-Applied-Index", value, sizeof(value)), "41");
    assert_string_equal(header_of(&a, "ETag", value, sizeof(value)), "W/\"c1c1c1c1-41\"");
    assert_at_text(&a, "name", "G1");
    assert_at_text(&a, "identity", "3333");
    assert_at_number(&a, "handle", 7);
    assert_at_text(&a, "server_address", "10.1.11.2");
    assert_at_number(&a, "seq", 11);
    assert_at_number(&a, "generation", 5);
    assert_at_number(&a, "policy_version", 3);
    assert_at_number(&a, "rekeys_sent", 11);
    assert_at_number(&a, "member_count", 3);
    assert_at_number(&a, "members_registered_here", 2);
    assert_at_number(&a, "last_rekey.seq", 11);
    assert_at_number(&a, "last_rekey.duration_ms", 87);
    assert_at_text(&a, "config.kek.cipher", "aes256");
    assert_at_text(&a, "config.kek.ack", "sha256");
    assert_at_number(&a, "config.kek.lifetime_s", 86400);
    assert_at_text(&a, "config.tek.transform", "aes256-sha256");
    assert_at_number(&a, "config.rekey.retransmit_count", 2);
    assert_at_text(&a, "config.members.0", "10.1.13.0/24");
    assert_at_text(&a, "config.members.1", "branch7.example.net");
    assert_at_bool(&a, "config.dialect.bare_signature", false);
    answer_close(&a);
}

static void a_name_with_a_slash_is_found_by_its_encoding(void **state)
{
    struct answer a = get(*state, "/v1/groups/vpn%202%2f%C3%A9");
    assert_int_equal(a.status, 200);
    assert_at_text(&a, "config.tek.transform", "aes256-gcm16");
    assert_at_number(&a, "config.tek.sid_bits", 16);
    assert_at_text(&a, "config.kek.ack", "none");
    answer_close(&a);
}

static void members_are_listed(void **state)
{
    struct answer a = get(*state, "/v1/groups/G1/members");
    assert_int_equal(a.status, 200);
    assert_at_text(&a, "group", "G1");
    assert_int_equal(json_array_size(at(&a, "members")), 3);
    assert_at_null(&a, "next");
    assert_at_text(&a, "members.0.identity", "10.1.13.2");
    assert_at_text(&a, "members.0.identity_type", "IPV4_ADDR");
    assert_at_text(&a, "members.0.endpoint", "10.1.13.2:848");
    assert_at_number(&a, "members.0.registrations", 2);
    assert_at_text(&a, "members.0.first_registered", "2026-11-23T14:00:00.000Z");
    assert_at_text(&a, "members.0.last_registered", "2026-11-24T13:59:00.000Z");
    assert_at_number(&a, "members.0.rekeys_sent", 9);
    assert_at_number(&a, "members.0.acks", 8);
    assert_at_number(&a, "members.0.missed", 1);
    assert_at_number(&a, "members.0.sent_seq.3", 8);
    assert_at_number(&a, "members.0.acked_seq.3", 7);
    assert_at_bool(&a, "members.0.registered_here", true);
    assert_at_bool(&a, "members.1.registered_here", false);
    assert_at_text(&a, "members.1.key_server", "0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B");
    assert_at_number(&a, "members.1.sids.1", 6);
    assert_at_text(&a, "members.2.identity", "branch7.example.net");
    answer_close(&a);
    a = get(*state, "/v1/groups/vpn%202%2f%C3%A9/members");
    assert_int_equal(json_array_size(at(&a, "members")), 0);
    answer_close(&a);
}

static void one_member_is_found_by_address_or_name(void **state)
{
    struct answer a = get(*state, "/v1/groups/G1/members/10.1.14.2");
    assert_int_equal(a.status, 200);
    assert_at_text(&a, "identity", "10.1.14.2");
    answer_close(&a);
    a = get(*state, "/v1/groups/G1/members/branch7.example.net");
    assert_int_equal(a.status, 200);
    assert_at_text(&a, "endpoint", "10.1.15.2:848");
    answer_close(&a);
    static const char *const absent[] = {"10.1.14.3", "branch8.example.net", "3333", "2001:db8::1"};
    for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
        char target[128];
        snprintf(target, sizeof(target), "/v1/groups/G1/members/%s", absent[i]);
        a = get(*state, target);
        assert_problem(&a, 404, "no-such-member");
        answer_close(&a);
    }
}

static void the_policy_tells_keys_by_spi_only(void **state)
{
    struct answer a = get(*state, "/v1/groups/G1/policy");
    assert_int_equal(a.status, 200);
    assert_at_text(&a, "kek.spi", "0x101112131415161718191A1B1C1D1E1F");
    assert_at_text(&a, "kek.cipher", "aes256");
    assert_at_number(&a, "kek.cipher_key_octets", 32);
    assert_at_number(&a, "kek.iv_octets", 16);
    assert_at_number(&a, "kek.remaining_s", 85800);
    assert_at_text(&a, "kek.expires", "2026-11-25T13:50:00.000Z");
    assert_at_number(&a, "previous_kek.remaining_s", 0);
    assert_at_text(&a, "teks.0.spi", "0x5A69F51E");
    assert_at_number(&a, "teks.0.remaining_s", 99);
    assert_at_text(&a, "teks.1.spi", "0xF553AC4C");
    assert_at_number(&a, "teks.1.remaining_s", 6600);
    assert_at_text(&a, "teks.1.transform", "aes256-sha256");
    assert_at_number(&a, "teks.1.integrity_key_octets", 32);
    assert_at_number(&a, "signing.public_octets", 294);
    assert_at_text(&a, "signing.algorithm", "rsa");
    assert_at_text(&a, "now", "2026-11-24T14:00:00.000Z");
    assert_at_text(&a, "selectors.0.src", "192.168.0.0/16");
    assert_at_number(&a, "selectors.1.dst_port", 5060);
    answer_close(&a);
    a = get(*state, "/v1/groups/vpn%202%2f%C3%A9/policy");
    assert_at_null(&a, "kek");
    assert_int_equal(json_array_size(at(&a, "teks")), 0);
    answer_close(&a);
}

static void rekeys_are_listed_newest_first(void **state)
{
    struct answer a = get(*state, "/v1/groups/G1/rekeys");
    assert_int_equal(a.status, 200);
    assert_int_equal(json_array_size(at(&a, "rekeys")), 2);
    assert_at_number(&a, "rekeys.0.seq", 11);
    assert_at_text(&a, "rekeys.0.kind", "tek");
    assert_at_number(&a, "rekeys.1.seq", 10);
    assert_at_text(&a, "rekeys.1.kind", "kek");
    assert_at_number(&a, "rekeys.1.silent", 1);
    assert_at_number(&a, "rekeys.1.retransmits", 2);
    answer_close(&a);
}

static void a_rekey_that_goes_on_has_no_end(void **state)
{
    struct fixture *f = *state;
    struct store_txn *txn;
    assert_ok(store_begin_write(f->store, &txn));
    struct rekey_record rekey = {
        .group_id = 7, .seq = 12, .kind = REKEY_POLICY, .created_ms = FIXTURE_NOW_MS, .members = 3};
    put_rekey(txn, &rekey);
    assert_ok(store_commit(txn));
    struct answer a = get(f, "/v1/groups/G1");
    assert_at_number(&a, "last_rekey.seq", 12);
    assert_at_null(&a, "last_rekey.done");
    assert_at_null(&a, "last_rekey.duration_ms");
    answer_close(&a);
}

static void no_answer_holds_key_material(void **state)
{
    static const char *const targets[] = {"/v1/groups",
                                          "/v1/groups/G1",
                                          "/v1/groups/G1/members",
                                          "/v1/groups/G1/members/10.1.13.2",
                                          "/v1/groups/G1/policy",
                                          "/v1/groups/G1/rekeys",
                                          "/readyz",
                                          "/v1/events"};
    /* What the fixture's wrapped keys and public key would look like: hexadecimal, base64 of either
     * alignment, raw, numbers. */
    static const char *const traces[] = {"a5a5", "A5A5", "paWl", "pqWl",    "\xa5",   "165, 165", "165,165",
                                         "b6b6", "B6B6", "tra2", "wrapped", "secret", "\"key\"",  "private"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct answer a = get(*state, targets[i]);
        assert_int_equal(a.status, 200);
        for (size_t k = 0; k < ARRAY_LEN(traces); k++)
            if (strstr(a.body, traces[k]) != NULL)
                fail_msg("%s holds %s", targets[i], traces[k]);
        answer_close(&a);
    }
}

static void events_come_in_order_and_from_where_one_left_off(void **state)
{
    struct fixture *f = *state;
    assert_ok(event_add_sink(event_ring_sink, f->ring));
    for (unsigned i = 1; i <= 5; i++)
        event(RAFT_ROLE, i == 3 ? "odd\x1b[0m\xff" : "leader", (unsigned long long)i);
    event_remove_sink(event_ring_sink, f->ring);
    struct answer a = get(f, "/v1/events?limit=2");
    assert_int_equal(a.status, 200);
    assert_int_equal(json_array_size(at(&a, "events")), 2);
    assert_at_text(&a, "events.0.name", "RAFT_ROLE");
    assert_at_text(&a, "events.0.facility", "QUORATE");
    assert_at_number(&a, "events.0.severity", 5);
    assert_at_text(&a, "events.1.line", "%QUORATE-5-RAFT_ROLE: Raft role leader in term 2");
    char target[64];
    snprintf(target, sizeof(target), "/v1/events?after=%lld", json_integer_value(at(&a, "last")));
    answer_close(&a);
    a = get(f, target);
    assert_int_equal(json_array_size(at(&a, "events")), 3);
    assert_at_text(&a, "events.0.text", "Raft role odd?[0m? in term 3");
    assert_at_text(&a, "events.2.text", "Raft role leader in term 5");
    snprintf(target, sizeof(target), "/v1/events?after=%lld&limit=512", json_integer_value(at(&a, "last")));
    answer_close(&a);
    a = get(f, target);
    assert_int_equal(json_array_size(at(&a, "events")), 0);
    assert_false(has_header(&a, "ETag"));
    answer_close(&a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_server, teardown_server)
    const struct CMUnitTest tests[] = {
        TEST(live_and_ready),
        TEST(a_witness_is_ready_and_listens_to_nobody),
        TEST(not_ready_says_why_and_what_it_is),
        TEST(groups_are_listed),
        TEST(a_group_is_shown),
        TEST(a_name_with_a_slash_is_found_by_its_encoding),
        TEST(members_are_listed),
        TEST(one_member_is_found_by_address_or_name),
        TEST(the_policy_tells_keys_by_spi_only),
        TEST(rekeys_are_listed_newest_first),
        TEST(a_rekey_that_goes_on_has_no_end),
        TEST(no_answer_holds_key_material),
        TEST(events_come_in_order_and_from_where_one_left_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
