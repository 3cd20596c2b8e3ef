/* api_rows.h - rows of known content, of which the tests know what the API makes. */
#ifndef TESTS_UNIT_API_ROWS_H
#define TESTS_UNIT_API_ROWS_H

#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/record.h"
#include "storage/store.h"

enum { FIXTURE_INDEX = 41 };
#define FIXTURE_NOW_MS ((uint64_t)1795528800000) /* 2026-11-24T14:00:00Z */

static inline struct prefix prefix_of(const char *text)
{
    struct prefix prefix;
    assert_ok(prefix_parse(&prefix, text));
    return prefix;
}

static inline struct addr addr_of(const char *text)
{
    struct addr addr;
    assert_ok(addr_parse(&addr, text));
    return addr;
}

/* A wrapped key whose octets are easy to find, should they ever show up in an answer. */
static inline struct wrapped fixture_wrapped(void)
{
    struct wrapped w = {.len = 64};
    memset(w.data, 0xa5, w.len);
    return w;
}

static inline struct kek_record fixture_kek(uint32_t generation, uint8_t first, uint64_t created_ms)
{
    struct kek_record kek = {
        .generation = generation,
        .cipher = CIPHER_AES_CBC_256,
        .sig_hash = HASH_SHA256,
        .ack = KEK_ACK_SHA256,
        .signing_version = 1,
        .created_ms = created_ms,
        .lifetime_s = 86400,
        .iv_key = fixture_wrapped(),
    };
    for (size_t i = 0; i < KEK_SPI_LEN; i++)
        kek.spi[i] = (uint8_t)(first + i);
    return kek;
}

static inline struct tek_record fixture_tek(uint32_t generation, uint32_t spi, struct esp_suite suite,
                                            uint64_t created_ms)
{
    return (struct tek_record){.generation = generation,
                               .spi = spi,
                               .suite = suite,
                               .sid_epoch = 1,
                               .sid_bits = suite.auth == AUTH_NONE ? 16 : 0,
                               .created_ms = created_ms,
                               .lifetime_s = 7200,
                               .key = fixture_wrapped(),
                               .integrity =
                                   suite.auth == AUTH_NONE ? (struct wrapped){0} : fixture_wrapped()};
}

static inline void fixture_put(struct store_txn *txn, enum store_table table, struct row_key key,
                               struct writer *w)
{
    assert_ok(writer_end(w));
    store_put(txn, table, (struct bytes){key.data, key.len}, writer_bytes(w));
}

static inline void put_group(struct store_txn *txn, const struct group_record *group)
{
    uint8_t *row = malloc(RECORD_LEN_MAX);
    struct writer w = writer_over(row, RECORD_LEN_MAX);
    group_record_encode(&w, group);
    fixture_put(txn, TABLE_GROUP, group_row_key(group->id), &w);
    free(row);
}

static inline void put_member(struct store_txn *txn, const struct member_record *member)
{
    uint8_t row[2048];
    struct writer w = writer_over(row, sizeof(row));
    member_record_encode(&w, member);
    fixture_put(txn, TABLE_MEMBER, member_row_key(member->group_id, &member->identity), &w);
}

static inline void put_rekey(struct store_txn *txn, const struct rekey_record *rekey)
{
    uint8_t row[2048];
    struct writer w = writer_over(row, sizeof(row));
    rekey_record_encode(&w, rekey);
    fixture_put(txn, TABLE_REKEY, rekey_row_key(rekey->group_id, rekey->seq), &w);
}

/* G1: 3333, CBC, two TEKs, keys 600 s old. */
static inline struct group_record *fixture_g1(void)
{
    const struct esp_suite cbc = {ESP_AES_CBC, 256, AUTH_HMAC_SHA256};
    struct group_record *g = calloc(1, sizeof(*g));
    struct group_config *c = &g->config;
    *c = (struct group_config){.name = "G1",
                               .identity = identity_from_number(3333),
                               .server_addr = addr_of("10.1.11.2"),
                               .kek_lifetime_s = 86400,
                               .tek_lifetime_s = 7200,
                               .retransmit_s = 10,
                               .retransmit_count = 2,
                               .kek_cipher = CIPHER_AES_CBC_256,
                               .sig_hash = HASH_SHA256,
                               .ack = KEK_ACK_SHA256,
                               .suite = cbc,
                               .activation_s = 10,
                               .deactivation_s = 30,
                               .selector_count = 3,
                               .rule_count = 2};
    c->selectors[0] =
        (struct selector){.src = prefix_of("192.168.0.0/16"), .dst = prefix_of("192.168.0.0/16")};
    c->selectors[1] = (struct selector){
        .src = prefix_of("10.9.0.1/32"), .dst = prefix_of("0.0.0.0/0"), .protocol = 17, .dst_port = 5060};
    c->selectors[2] =
        (struct selector){.src = prefix_of("2001:db8:1::/48"), .dst = prefix_of("2001:db8:2::/48")};
    c->rules[0] = (struct member_rule){.is_prefix = true, .prefix = prefix_of("10.1.13.0/24")};
    assert_ok(identity_from_text(&c->rules[1].identity, ID_FQDN, "branch7.example.net"));
    g->id = 7;
    g->policy_version = 3;
    g->told_version = 3;
    g->generation = 5;
    g->seq = 11;
    g->rekeys_sent = 11;
    g->has_kek = true;
    g->kek = fixture_kek(4, 0x10, FIXTURE_NOW_MS - 600000);
    g->has_previous_kek = true;
    g->previous_kek = fixture_kek(3, 0x80, FIXTURE_NOW_MS - 90000000);
    g->teks[0] = fixture_tek(4, 0x5a69f51e, cbc, FIXTURE_NOW_MS - 7100500);
    g->teks[1] = fixture_tek(5, 0xf553ac4c, cbc, FIXTURE_NOW_MS - 600000);
    g->tek_count = 2;
    g->sid_epoch = 1;
    return g;
}

/* vpn-2: an FQDN as identity, GCM, nothing made yet. */
static inline struct group_record *fixture_g2(void)
{
    struct group_record *g = calloc(1, sizeof(*g));
    struct group_config *c = &g->config;
    *c = (struct group_config){.name = "vpn 2/\xc3\xa9",
                               .server_addr = addr_of("10.1.11.2"),
                               .kek_lifetime_s = 3600,
                               .tek_lifetime_s = 900,
                               .retransmit_s = 40,
                               .retransmit_count = 3,
                               .kek_cipher = CIPHER_AES_CBC_128,
                               .sig_hash = HASH_SHA512,
                               .ack = KEK_ACK_NONE,
                               .suite = {ESP_AES_GCM_16, 256, AUTH_NONE},
                               .sid_bits = 16,
                               .selector_count = 1};
    assert_ok(identity_from_text(&c->identity, ID_FQDN, "vpn2.example.net"));
    c->selectors[0] = (struct selector){.src = prefix_of("0.0.0.0/0"), .dst = prefix_of("0.0.0.0/0")};
    g->id = 9;
    g->policy_version = 1;
    g->sid_epoch = 1;
    return g;
}

static inline struct member_record fixture_member(uint32_t group_id, const char *address, uint8_t server)
{
    struct addr addr = addr_of(address);
    struct member_record m = {.group_id = group_id,
                              .identity = identity_from_addr(&addr),
                              .endpoint = {addr, 848},
                              .first_ms = FIXTURE_NOW_MS - 86400000,
                              .last_ms = FIXTURE_NOW_MS - 60000,
                              .registrations = 2,
                              .seq_base = 2,
                              .rekeys_sent = 9,
                              .acks = 8,
                              .missed = 1,
                              .sent_seq = {11, 10, 9, 8},
                              .acked_seq = {11, 10, 9, 7}};
    memset(m.key_server, server, NODE_ID_LEN);
    return m;
}

static inline void fixture_rows(struct store *store)
{
    uint8_t row[8192];
    struct store_txn *txn;
    struct writer w = writer_over(row, sizeof(row));
    struct cluster_record cluster = {.coop_epoch = 1, .time_ms = FIXTURE_NOW_MS, .next_group_id = 10};
    memset(cluster.cluster_id, 0xc1, CLUSTER_ID_LEN);
    assert_ok(store_begin_write(store, &txn));
    cluster_record_encode(&w, &cluster);
    fixture_put(txn, TABLE_META, single_row_key(), &w);
    struct signing_record signing = {
        .version = 1, .alg = SIGN_RSA, .bits = 2048, .public_len = 294, .private_len = 1300};
    memset(signing.public_key, 0xb6, signing.public_len);
    memset(signing.private_key, 0xa5, signing.private_len);
    w = writer_over(row, sizeof(row));
    signing_record_encode(&w, &signing);
    fixture_put(txn, TABLE_SIGNING, single_row_key(), &w);

    struct group_record *g1 = fixture_g1(), *g2 = fixture_g2();
    put_group(txn, g1);
    put_group(txn, g2);
    free(g1);
    free(g2);
    struct member_record m = fixture_member(7, "10.1.13.2", 0x0a);
    put_member(txn, &m);
    m = fixture_member(7, "10.1.14.2", 0x0b);
    m.sid_count = 2;
    m.first_sid = 5;
    put_member(txn, &m);
    m = fixture_member(7, "10.1.15.2", 0x0a);
    assert_ok(identity_from_text(&m.identity, ID_FQDN, "branch7.example.net"));
    put_member(txn, &m);
    struct rekey_record rekey = {.group_id = 7,
                                 .seq = 10,
                                 .kind = REKEY_KEK,
                                 .created_ms = FIXTURE_NOW_MS - 4200000,
                                 .done_ms = FIXTURE_NOW_MS - 4200000 + 1250,
                                 .members = 3,
                                 .acked = 2,
                                 .silent = 1,
                                 .retransmits = 2,
                                 .push_len = 700};
    put_rekey(txn, &rekey);
    rekey = (struct rekey_record){.group_id = 7,
                                  .seq = 11,
                                  .kind = REKEY_TEK,
                                  .created_ms = FIXTURE_NOW_MS - 600000,
                                  .done_ms = FIXTURE_NOW_MS - 600000 + 87,
                                  .members = 3,
                                  .acked = 3,
                                  .push_len = 604};
    put_rekey(txn, &rekey);
    store_set_applied(txn, FIXTURE_INDEX, 2);
    assert_ok(store_commit(txn));
}

#endif
