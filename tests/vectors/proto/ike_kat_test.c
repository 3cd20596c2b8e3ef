/* ike_kat_test.c - phase 1 against recorded exchanges: every value of the reference implementation's log
 * (tests/vectors/gdoi_kat.json), and four captures with their keys. */
#include "tests/lib/test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/ike/main_mode_parts.h"
#include "proto/wire/notify.h"
#include "tests/lib/pcap.h"

#define VECTORS QUORATE_SOURCE_DIR "/tests/vectors/"

static json_t *kat;

struct value {
    size_t len;
    uint8_t data[1024];
};

static struct bytes view(const struct value *value)
{
    return (struct bytes){value->data, value->len};
}

static struct value value_of(const char *name)
{
    struct value value;
    const char *text = json_string_value(json_object_get(kat, name));
    if (text == NULL)
        fail_msg("no %s in gdoi_kat.json", name);
    value.len = hex(text, value.data, sizeof(value.data)).len;
    return value;
}

static void assert_same(struct bytes got, struct bytes wanted)
{
    assert_int_equal(got.len, wanted.len);
    assert_memory_equal(got.data, wanted.data, wanted.len);
}

static void assert_value(struct bytes got, const char *name)
{
    struct value wanted = value_of(name);
    assert_same(got, view(&wanted));
}

static uint32_t number_of(const char *name)
{
    struct value value = value_of(name);
    struct reader r = reader_over(view(&value));
    uint32_t number = read_u32(&r);
    assert_ok(reader_end(&r));
    return number;
}

/* The SA of the log, with its keys. */
static struct isakmp_sa recorded_sa(void)
{
    struct isakmp_sa sa = {.suite = {CIPHER_3DES_CBC, HASH_SHA1, IKE_GROUP_MODP1024, IKE_AUTH_PSK}};
    memcpy(sa.cookie_i, value_of("cky_i").data, COOKIE_LEN);
    memcpy(sa.cookie_r, value_of("cky_r").data, COOKIE_LEN);
    struct value ni = value_of("ni_b"), nr = value_of("nr_b"), g_xy = value_of("g_xy");
    struct bytes psk = bytes_of_text(json_string_value(json_object_get(kat, "psk_ascii")));
    assert_ok(isakmp_sa_derive(&sa, psk, view(&ni), view(&nr), view(&g_xy)));
    return sa;
}

static void keys_are_those_of_the_log(void **state)
{
    (void)state;
    struct isakmp_sa sa = recorded_sa();
    assert_value(secret_view(&sa.skeyid), "skeyid");
    assert_value(secret_view(&sa.skeyid_d), "skeyid_d");
    assert_value(secret_view(&sa.skeyid_a), "skeyid_a");
    assert_value(secret_view(&sa.skeyid_e), "skeyid_e");
    assert_value(secret_view(&sa.key), "ka"); /* SKEYID_e of 20 octets, expanded to 24 */
    isakmp_sa_close(&sa);
}

/* HASH payload of a plaintext that begins with ID. */
static struct bytes hash_in(struct bytes plain)
{
    struct payload_list list;
    assert_ok(payload_list_decode(&list, PAYLOAD_ID, plain));
    return payload_find(&list, PAYLOAD_HASH, 0)->body;
}

static void both_hashes_are_those_of_the_log(void **state)
{
    (void)state;
    struct isakmp_sa sa = recorded_sa();
    struct value g_xi = value_of("g_xi"), g_xr = value_of("g_xr"), sai_b = value_of("sai_b");
    struct value idii_b = value_of("idii_b"), idir_b = value_of("idir_b");
    struct value mm5 = value_of("mm5_plain"), mm6 = value_of("mm6_plain");
    uint8_t hash[HASH_LEN_MAX];
    assert_ok(isakmp_sa_auth_hash(&sa, true, view(&g_xi), view(&g_xr), view(&sai_b), view(&idii_b), hash));
    assert_same((struct bytes){hash, 20}, hash_in(view(&mm5)));
    assert_ok(isakmp_sa_auth_hash(&sa, false, view(&g_xi), view(&g_xr), view(&sai_b), view(&idir_b), hash));
    assert_same((struct bytes){hash, 20}, hash_in(view(&mm6)));
    isakmp_sa_close(&sa);
}

/* Decrypt a recorded message and compare. */
static void opens_to(const struct isakmp_sa *sa, uint8_t iv[CIPHER_BLOCK_MAX], const char *wire,
                     const char *plain)
{
    struct value message = value_of(wire);
    struct isakmp_header header;
    struct bytes body, clear;
    uint8_t out[1024];
    assert_ok(isakmp_header_decode(&header, &body, view(&message)));
    assert_ok(isakmp_sa_open(sa, iv, body, out, &clear));
    assert_value(clear, plain);
}

static void messages_open_under_chained_ivs(void **state)
{
    (void)state;
    struct isakmp_sa sa = recorded_sa();
    struct value g_xi = value_of("g_xi"), g_xr = value_of("g_xr");
    uint8_t iv[CIPHER_BLOCK_MAX];
    assert_ok(isakmp_sa_phase1_iv(&sa, view(&g_xi), view(&g_xr), iv));
    assert_value((struct bytes){iv, 8}, "iv_phase1");
    opens_to(&sa, iv, "mm5_wire", "mm5_plain");
    opens_to(&sa, iv, "mm6_wire", "mm6_plain");
    memcpy(sa.last_block, iv, sizeof(iv));

    assert_ok(isakmp_sa_exchange_iv(&sa, number_of("pull_msgid"), iv));
    assert_value((struct bytes){iv, 8}, "pull_iv");
    opens_to(&sa, iv, "pull1_wire", "pull1_plain");
    opens_to(&sa, iv, "pull2_wire", "pull2_plain");
    opens_to(&sa, iv, "pull3_wire", "pull3_plain");
    opens_to(&sa, iv, "pull4_wire", "pull4_plain");
    isakmp_sa_close(&sa);
}

static void pull_hashes_verify(void **state)
{
    (void)state;
    struct isakmp_sa sa = recorded_sa();
    uint32_t id = number_of("pull_msgid");
    struct value one = value_of("pull1_plain"), three = value_of("pull3_plain");
    struct value ni_b = value_of("pull_ni_b"), nr_b = value_of("pull_nr_b");
    struct payload_list list;
    assert_ok(payload_list_decode(&list, PAYLOAD_HASH, view(&one)));
    struct bytes first[] = {list.items[1].whole, list.items[2].whole}; /* M-ID | Ni | ID */
    assert_ok(isakmp_sa_check_hash(&sa, id, first, 2, list.items[0].body));
    assert_err(isakmp_sa_check_hash(&sa, id ^ 1, first, 2, list.items[0].body), E_BAD_HASH);
    assert_err(isakmp_sa_check_hash(&sa, id, first, 1, list.items[0].body), E_BAD_HASH);
    assert_ok(payload_list_decode(&list, PAYLOAD_HASH, view(&three)));
    struct bytes third[] = {view(&ni_b), view(&nr_b)}; /* M-ID | Ni_b | Nr_b */
    assert_ok(isakmp_sa_check_hash(&sa, id, third, 2, list.items[0].body));
    isakmp_sa_close(&sa);
}

/* Gives what was recorded, then zeros. */
struct script {
    struct value bytes;
    size_t at;
};

static err_t script_fill(void *context, uint8_t *out, size_t len)
{
    struct script *script = context;
    for (size_t i = 0; i < len; i++)
        out[i] = script->at < script->bytes.len ? script->bytes.data[script->at++] : 0;
    return E_OK;
}

static struct ike_policy policy;
static struct script script;
static const struct rng scripted = {script_fill, &script};

static struct mm_params recorded_params(const char *cookie, uint8_t host)
{
    const struct addr addr = {AF_INET, {10, 0, 224, host}};
    policy = (struct ike_policy){.legacy = true, .lifetime_s = IKE_LIFETIME_DEFAULT_S};
    assert_ok(ike_policy_add(&policy, "3des-sha1-modp1024"));
    script = (struct script){value_of(cookie), 0};
    return (struct mm_params){
        .policy = &policy,
        .psk = bytes_of_text(json_string_value(json_object_get(kat, "psk_ascii"))),
        .local_id = identity_from_addr(&addr),
        .doi = DOI_GDOI,
        .rng = &scripted,
        .send_initial_contact = true,
    };
}

static uint8_t reply[4096];
static size_t reply_len;

static struct mm_effects step(struct main_mode *mm, struct bytes datagram, struct dh_job *job)
{
    struct mm_effects out;
    struct writer w = writer_over(reply, sizeof(reply));
    struct mm_event event = {job            ? MM_EVENT_DH_DONE
                             : datagram.len ? MM_EVENT_DATAGRAM
                                            : MM_EVENT_START,
                             datagram, job};
    assert_ok(main_mode_step(mm, &event, &w, &out));
    reply_len = w.len;
    return out;
}

/* The log has no private numbers: the jobs come back with its public values and its secret. */
static struct dh_job recorded_job(const struct mm_effects *out, const char *own)
{
    struct dh_job job = out->job;
    struct value pub = value_of(own), g_xy = value_of("g_xy");
    job.pub.len = (uint16_t)pub.len;
    memcpy(job.pub.data, pub.data, pub.len);
    job.shared.len = (uint16_t)g_xy.len;
    memcpy(job.shared.data, g_xy.data, g_xy.len);
    return job;
}

static void the_responder_follows_the_recorded_initiator(void **state)
{
    (void)state;
    struct pcap pcap;
    struct main_mode mm;
    struct mm_params params = recorded_params("cky_r", 44);
    pcap_read(&pcap, VECTORS "gdoid.pcap");
    assert_ok(main_mode_responder_init(&mm, &params));
    struct mm_effects out = step(&mm, pcap.items[0].payload, NULL);
    assert_true(out.send);
    assert_same((struct bytes){reply, reply_len}, pcap.items[1].payload); /* octet for octet its message 2 */

    out = step(&mm, pcap.items[2].payload, NULL);
    assert_true(out.compute);
    struct dh_job job = recorded_job(&out, "g_xr");
    assert_value((struct bytes){job.peer.data, job.peer.len}, "g_xi");
    out = step(&mm, (struct bytes){0}, &job);
    assert_true(out.send);

    /* Its nonce has 16 octets, ours 32: put the recorded one in its place and derive again. */
    struct value nr = value_of("nr_b"), g_xy = value_of("g_xy");
    struct dh_shared shared = {.len = (uint16_t)g_xy.len};
    memcpy(shared.data, g_xy.data, g_xy.len);
    memcpy(mm.nr, nr.data, nr.len);
    mm.nr_len = nr.len;
    assert_ok(mm_derive(&mm, &shared));

    out = step(&mm, pcap.items[4].payload, NULL);
    assert_true(out.established && out.send);
    assert_int_equal(mm.state, MM_ESTABLISHED);
    assert_true(mm.peer_initial_contact); /* with DOI 1 under an SA of DOI 2 */
    char text[ID_TEXT_MAX];
    assert_string_equal(identity_format(&mm.sa.peer_id, text), "10.0.224.37");
    /* Its message 6 has an INITIAL-CONTACT behind the HASH, ours not: ID and HASH are the same. */
    struct isakmp_header header;
    struct bytes body, clear;
    uint8_t plain[1024];
    struct value mm5 = value_of("mm5_wire"), mm6 = value_of("mm6_plain");
    uint8_t iv[CIPHER_BLOCK_MAX] = {0};
    memcpy(iv, mm5.data + mm5.len - 8, 8);
    assert_ok(isakmp_header_decode(&header, &body, (struct bytes){reply, reply_len}));
    assert_ok(isakmp_sa_open(&mm.sa, iv, body, plain, &clear));
    assert_memory_equal(clear.data, mm6.data, 12);
    assert_same(hash_in(clear), hash_in(view(&mm6)));
    main_mode_close(&mm);
    pcap_close(&pcap);
}

static void the_initiator_follows_the_recorded_responder(void **state)
{
    (void)state;
    struct pcap pcap;
    struct main_mode mm;
    struct mm_params params = recorded_params("cky_i", 37);
    pcap_read(&pcap, VECTORS "gdoid.pcap");
    assert_ok(main_mode_initiator_init(&mm, &params));
    struct mm_effects out = step(&mm, (struct bytes){0}, NULL);
    /* Attributes stand in another order in ours: take the recorded SAi_b for the hashes. */
    struct value sai_b = value_of("sai_b"), ni = value_of("ni_b");
    memcpy(mm.sa_body, sai_b.data, sai_b.len);
    mm.sa_body_len = sai_b.len;

    out = step(&mm, pcap.items[1].payload, NULL);
    assert_true(out.compute);
    assert_int_equal(mm.sa.lifetime_s, 60); /* the lower one */
    struct dh_job job = recorded_job(&out, "g_xi");
    out = step(&mm, (struct bytes){0}, &job);
    assert_true(out.send);
    memcpy(mm.ni, ni.data, ni.len);
    mm.ni_len = ni.len;

    out = step(&mm, pcap.items[3].payload, NULL);
    assert_true(out.compute);
    job = recorded_job(&out, "g_xi");
    mm.sa.doi = DOI_IPSEC; /* as its INITIAL-CONTACT has it */
    out = step(&mm, (struct bytes){0}, &job);
    assert_true(out.send);
    assert_value((struct bytes){reply, reply_len}, "mm5_wire"); /* octet for octet its message 5 */

    out = step(&mm, pcap.items[5].payload, NULL);
    assert_true(out.established);
    struct isakmp_sa sa;
    uint8_t iv[CIPHER_BLOCK_MAX];
    main_mode_take_sa(&mm, &sa);
    assert_ok(isakmp_sa_exchange_iv(&sa, number_of("pull_msgid"), iv));
    assert_value((struct bytes){iv, 8}, "pull_iv");
    isakmp_sa_close(&sa);
    pcap_close(&pcap);
}

/* A capture that is walked message by message under a given cipher key. */
struct walk {
    struct pcap pcap;
    struct isakmp_sa sa;
    struct value g_xi;
    struct value g_xr;
    uint8_t iv[CIPHER_BLOCK_MAX];
    uint8_t plain[ISAKMP_MESSAGE_MAX];
};

static void keep(struct value *out, struct bytes from)
{
    assert_true(from.len <= sizeof(out->data));
    out->len = from.len;
    memcpy(out->data, from.data, from.len);
}

/* Payloads of message n (from 0) of the capture; opened if sealed. */
static struct payload_list walk_message(struct walk *walk, size_t n, struct isakmp_header *header)
{
    struct bytes body;
    struct payload_list list;
    bool marker;
    assert_true(n < walk->pcap.count);
    struct bytes datagram = non_esp_marker_strip(walk->pcap.items[n].payload, &marker);
    assert_ok(isakmp_header_decode(header, &body, datagram));
    if (header->flags & ISAKMP_FLAG_ENCRYPTED)
        assert_ok(isakmp_sa_open(&walk->sa, walk->iv, body, walk->plain, &body));
    assert_ok(payload_list_decode(&list, header->next_payload, body));
    return list;
}

/* Messages 1 to 6: SA, then KE and NONCE, then ID and HASH in each direction. */
static void walk_main_mode(struct walk *walk)
{
    struct isakmp_header header;
    const struct payload_rule rules[] = {
        {P(SA), P(VENDOR), P(VENDOR)},
        {P(KE) | P(NONCE), P(VENDOR) | P(NATD), P(VENDOR) | P(NATD)},
        {P(ID) | P(HASH), P(NOTIFY), P(NOTIFY)},
    };
    for (size_t n = 0; n < 6; n++) {
        if (n == 4)
            assert_ok(isakmp_sa_phase1_iv(&walk->sa, view(&walk->g_xi), view(&walk->g_xr), walk->iv));
        struct payload_list list = walk_message(walk, n, &header);
        assert_int_equal(header.exchange, EXCHANGE_MAIN);
        assert_int_equal((header.flags & ISAKMP_FLAG_ENCRYPTED) != 0, n >= 4);
        assert_ok(payload_rule_check(&rules[n / 2], &list));
        if (n / 2 == 0) {
            struct ike_offer offer;
            assert_ok(ike_offer_decode(&offer, payload_find(&list, PAYLOAD_SA, 0)->body));
        } else if (n / 2 == 1) {
            keep(n == 2 ? &walk->g_xi : &walk->g_xr, payload_find(&list, PAYLOAD_KE, 0)->body);
        } else {
            struct id_payload id;
            assert_ok(id_payload_decode(&id, payload_find(&list, PAYLOAD_ID, 0)->body));
            assert_int_equal(id.type, ID_IPV4_ADDR);
            assert_memory_equal(id.data.data, walk->pcap.items[n].from.addr.bytes, 4);
            assert_int_equal(payload_find(&list, PAYLOAD_HASH, 0)->body.len, hash_len(walk->sa.suite.hash));
        }
    }
    memcpy(walk->sa.last_block, walk->iv, sizeof(walk->iv));
}

/* Messages 7 to 10 are one PULL. Gives its first message's payloads through check, if there is a SKEYID_a. */
static void walk_pull(struct walk *walk)
{
    const struct payload_rule rules[] = {
        {P(HASH) | P(NONCE) | P(ID), 0, 0},
        {P(HASH) | P(NONCE) | P(SA), 0, 0},
        {P(HASH), 0, 0},
        {P(HASH) | P(SEQ) | P(KD), 0, 0},
    };
    for (size_t n = 0; n < 4; n++) {
        struct isakmp_header header;
        struct bytes datagram = walk->pcap.items[6 + n].payload;
        struct bytes body;
        assert_ok(isakmp_header_decode(&header, &body, datagram));
        assert_int_equal(header.exchange, EXCHANGE_PULL);
        if (n == 0)
            assert_ok(isakmp_sa_exchange_iv(&walk->sa, header.message_id, walk->iv));
        struct payload_list list = walk_message(walk, 6 + n, &header);
        assert_ok(payload_rule_check(&rules[n], &list));
        assert_int_equal(list.items[0].type, PAYLOAD_HASH);
        struct bytes covered[] = {list.items[1].whole, list.items[2].whole};
        if (n == 0 && walk->sa.skeyid_a.len != 0)
            assert_ok(isakmp_sa_check_hash(&walk->sa, header.message_id, covered, 2, list.items[0].body));
    }
}

static void walk_open(struct walk *walk, const char *file, struct ike_suite suite, struct bytes key)
{
    memset(walk, 0, sizeof(*walk));
    pcap_read(&walk->pcap, file);
    walk->sa.suite = suite;
    assert_ok(secret_set(&walk->sa.key, key));
}

static const struct ike_suite aes128_sha256 = {CIPHER_AES_CBC_128, HASH_SHA256, IKE_GROUP_MODP2048,
                                               IKE_AUTH_PSK};
static const struct ike_suite tripledes_sha1 = {CIPHER_3DES_CBC, HASH_SHA1, IKE_GROUP_MODP1024, IKE_AUTH_PSK};

static void the_reference_capture_decodes(void **state)
{
    (void)state;
    struct walk walk;
    struct value ka = value_of("ka");
    walk_open(&walk, VECTORS "gdoid.pcap", tripledes_sha1, view(&ka));
    assert_ok(secret_set(&walk.sa.skeyid_a, (struct bytes){value_of("skeyid_a").data, 20}));
    walk_main_mode(&walk);
    walk_pull(&walk);
    pcap_close(&walk.pcap);
}

static void the_capture_with_doi_1_decodes(void **state)
{
    (void)state;
    struct walk walk;
    struct value ka = value_of("ka");
    walk_open(&walk, VECTORS "gdoid_doi1.pcap", tripledes_sha1, view(&ka));
    walk_main_mode(&walk);
    walk_pull(&walk);
    pcap_close(&walk.pcap);
}

/* The hex that follows a label in a keys file, up to the end of its line; skip words before it are left out.
 */
static struct value hex_after(const char *text, const char *label, int skip)
{
    struct value value;
    char line[256] = {0};
    const char *at = strstr(text, label);
    if (at == NULL)
        fail_msg("no \"%s\" in the keys file", label);
    at += strlen(label);
    for (int i = 0; i < skip; i++) {
        at += strspn(at, " \n");
        at += strcspn(at, " \n");
    }
    at += strspn(at, " \n");
    memcpy(line, at, strspn(at, "0123456789abcdef "));
    value.len = hex(line, value.data, sizeof(value.data)).len;
    return value;
}

static void the_aes_capture_of_the_reference_decodes(void **state)
{
    (void)state;
    struct walk walk;
    char *keys = text_file_read(VECTORS "gdoid_psk_aes128_sha256_modp2048.keys.txt");
    struct value key = hex_after(keys, "phase1_key(Ka)=", 0);
    struct value skeyid_a = hex_after(keys, "KE_NONCE: SKEYID_a:", 3); /* behind time, class and level */
    walk_open(&walk, VECTORS "gdoid_psk_aes128_sha256_modp2048.pcap", aes128_sha256, view(&key));
    assert_ok(secret_set(&walk.sa.skeyid_a, view(&skeyid_a)));
    assert_int_equal(skeyid_a.len, 32);
    walk_main_mode(&walk);
    walk_pull(&walk);
    pcap_close(&walk.pcap);
    free(keys);
}

static void the_capture_of_charon_decodes(void **state)
{
    (void)state;
    struct walk walk;
    char *keys = text_file_read(VECTORS "charon.keys.txt");
    struct value key = hex_after(strstr(keys, "charon_psk:"), " key ", 0);
    walk_open(&walk, VECTORS "charon_psk_aes128_sha256_modp2048.pcap", aes128_sha256, view(&key));
    walk_main_mode(&walk);
    pcap_close(&walk.pcap);
    free(keys);
}

static int setup(void **state)
{
    (void)state;
    json_error_t error;
    heap_fault_after(-1);
    kat = json_load_file(VECTORS "gdoi_kat.json", 0, &error);
    return kat == NULL;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(kat);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_those_of_the_log),
        cmocka_unit_test(both_hashes_are_those_of_the_log),
        cmocka_unit_test(messages_open_under_chained_ivs),
        cmocka_unit_test(pull_hashes_verify),
        cmocka_unit_test(the_responder_follows_the_recorded_initiator),
        cmocka_unit_test(the_initiator_follows_the_recorded_responder),
        cmocka_unit_test(the_reference_capture_decodes),
        cmocka_unit_test(the_capture_with_doi_1_decodes),
        cmocka_unit_test(the_aes_capture_of_the_reference_decodes),
        cmocka_unit_test(the_capture_of_charon_decodes),
    };
    return cmocka_run_group_tests_name("vectors/proto/ike", tests, setup, teardown);
}
