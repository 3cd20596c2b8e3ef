/* ike_kat_test.c - phase 1 against every value of the reference implementation's log
 * (tests/vectors/gdoi_kat.json). */
#include "tests/vectors/proto/kat.h"

#include "proto/ike/main_mode_parts.h"
#include "tests/lib/pcap.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_those_of_the_log),
        cmocka_unit_test(both_hashes_are_those_of_the_log),
        cmocka_unit_test(messages_open_under_chained_ivs),
        cmocka_unit_test(pull_hashes_verify),
        cmocka_unit_test(the_responder_follows_the_recorded_initiator),
        cmocka_unit_test(the_initiator_follows_the_recorded_responder),
    };
    return cmocka_run_group_tests_name("vectors/proto/ike_kat", tests, setup, teardown);
}
