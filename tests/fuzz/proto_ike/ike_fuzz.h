/* ike_fuzz.h - what the three targets of proto/ike share. An exchange is brought to a state by hand, with the
 * cookies of tests/vectors/gdoi_kat.json and a Diffie-Hellman that is two constants, so that every run is the
 * same and no time goes into numbers. Then the input is fed in one of four ways: RAW     it is the datagram
 *   FRAMED  a header that fits is put before it: first octet the next payload, the rest the body
 *   SEALED  the same, and the body is encrypted under the keys of the exchange: decryption is no wall
 *   SIGNED  the same, and a HASH payload in it is made right before: nor is the HASH */
#ifndef TESTS_FUZZ_PROTO_IKE_IKE_FUZZ_H
#define TESTS_FUZZ_PROTO_IKE_IKE_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "proto/ike/main_mode.h"

enum form { FORM_RAW, FORM_FRAMED, FORM_SEALED, FORM_SIGNED, FORM_COUNT };

/* The first octet chooses the state (high bits) and the form (low bits). */
struct fuzz_input {
    uint8_t state;
    enum form form;
    struct bytes data;
};

static inline struct fuzz_input fuzz_input_of(const uint8_t *data, size_t size)
{
    if (size == 0)
        return (struct fuzz_input){0};
    return (struct fuzz_input){(uint8_t)(data[0] >> 2), (enum form)(data[0] & 3), {data + 1, size - 1}};
}

static const uint8_t fuzz_cookie_i[COOKIE_LEN] = {0x95, 0x7e, 0x3b, 0x86, 0xf6, 0x02, 0xb1, 0x29};
static const uint8_t fuzz_cookie_r[COOKIE_LEN] = {0x23, 0x2f, 0x5e, 0x1e, 0x4f, 0x19, 0x2e, 0x67};

/* Cookies come from the context, all else is one octet repeated. */
static err_t fuzz_fill(void *context, uint8_t *out, size_t len)
{
    if (len == COOKIE_LEN)
        memcpy(out, context, COOKIE_LEN);
    else
        memset(out, 0x4e, len);
    return E_OK;
}

static const struct rng fuzz_rng_i = {fuzz_fill, (void *)(uintptr_t)fuzz_cookie_i};
static const struct rng fuzz_rng_r = {fuzz_fill, (void *)(uintptr_t)fuzz_cookie_r};

static struct ike_policy fuzz_policy;

static inline void fuzz_require(bool condition)
{
    if (!condition)
        abort();
}

static inline struct mm_params fuzz_params(bool initiator)
{
    const struct addr host = {AF_INET, {10, 0, 224, initiator ? 37 : 44}};
    fuzz_policy = (struct ike_policy){.legacy = true, .lifetime_s = IKE_LIFETIME_DEFAULT_S};
    fuzz_require(ike_policy_add(&fuzz_policy, "3des-sha1-modp1024") == E_OK);
    fuzz_require(ike_policy_add(&fuzz_policy, "aes128-sha256-modp2048") == E_OK);
    return (struct mm_params){
        .policy = &fuzz_policy,
        .psk = bytes_of_text("mekmitasdigoat"),
        .local_id = identity_from_addr(&host),
        .doi = DOI_GDOI,
        .rng = initiator ? &fuzz_rng_i : &fuzz_rng_r,
        .send_initial_contact = true,
    };
}

/* As dh_job_run, but constant. */
static inline void fuzz_job_run(struct dh_job *job)
{
    job->pub.len = (uint16_t)dh_public_len(job->group);
    memset(job->pub.data, 0x50, job->pub.len);
    job->shared.len = job->pub.len;
    memset(job->shared.data, 0x53, job->shared.len);
}

static inline err_t fuzz_step(struct main_mode *mm, struct bytes datagram, struct writer *reply,
                              struct mm_effects *out)
{
    struct mm_event event = {datagram.len ? MM_EVENT_DATAGRAM : MM_EVENT_START, datagram, NULL};
    err_t err = main_mode_step(mm, &event, reply, out);
    if (err == E_OK && out->compute) {
        struct dh_job job = out->job;
        fuzz_job_run(&job);
        event = (struct mm_event){.kind = MM_EVENT_DH_DONE, .job = &job};
        err = main_mode_step(mm, &event, reply, out);
    }
    return err;
}

/* Make the HASH payload of messages 5 and 6 right, if there is one of the right length. */
static inline void fuzz_sign(const struct main_mode *mm, uint8_t first, uint8_t *plain, size_t len)
{
    struct payload_list list;
    if (payload_list_decode(&list, first, (struct bytes){plain, len}) != E_OK)
        return;
    const struct payload *id = payload_find(&list, PAYLOAD_ID, 0);
    const struct payload *hash = payload_find(&list, PAYLOAD_HASH, 0);
    uint8_t value[HASH_LEN_MAX];
    size_t value_len = hash_len(mm->sa.suite.hash);
    if (hash == NULL || hash->body.len != value_len)
        return;
    struct bytes id_body = id == NULL ? (struct bytes){0} : id->body;
    if (isakmp_sa_auth_hash(&mm->sa, !mm->sa.initiator, (struct bytes){mm->g_xi.data, mm->g_xi.len},
                            (struct bytes){mm->g_xr.data, mm->g_xr.len},
                            (struct bytes){mm->sa_body, mm->sa_body_len}, id_body, value) == E_OK)
        memcpy(plain + (hash->body.data - plain), value, value_len);
}

/* The datagram that an input stands for. buffer has room for ISAKMP_MESSAGE_MAX. Empty if it does not fit. */
static inline struct bytes fuzz_datagram(const struct main_mode *mm, const struct fuzz_input *in,
                                         uint8_t *buffer)
{
    if (in->form == FORM_RAW || in->data.len == 0)
        return in->data;
    struct isakmp_header header = {
        .next_payload = in->data.data[0], .version = ISAKMP_VERSION, .exchange = EXCHANGE_MAIN};
    memcpy(header.cookie_i, fuzz_cookie_i, COOKIE_LEN);
    if (mm->state != MM_R_AWAIT_1)
        memcpy(header.cookie_r, fuzz_cookie_r, COOKIE_LEN);
    struct writer w = writer_over(buffer, ISAKMP_MESSAGE_MAX);
    isakmp_header_encode(&w, &header);
    write_bytes(&w, bytes_slice(in->data, 1, in->data.len));
    if (w.err != E_OK)
        return (struct bytes){0};
    if (in->form == FORM_FRAMED || mm->sa.key.len == 0) {
        isakmp_message_end(&w, 0);
        return writer_bytes(&w);
    }
    if (in->form == FORM_SIGNED)
        fuzz_sign(mm, header.next_payload, buffer + ISAKMP_HEADER_LEN, w.len - ISAKMP_HEADER_LEN);
    uint8_t iv[CIPHER_BLOCK_MAX];
    memcpy(iv, mm->iv, sizeof(iv));
    return isakmp_sa_seal(&mm->sa, iv, &w, 0) == E_OK ? writer_bytes(&w) : (struct bytes){0};
}

/* One input on a copy of a prepared exchange, and what must hold afterwards. */
static inline void fuzz_run(const struct main_mode *prepared, const struct fuzz_input *in)
{
    static uint8_t buffer[ISAKMP_MESSAGE_MAX], reply[ISAKMP_MESSAGE_MAX];
    static struct main_mode mm;
    mm = *prepared;
    struct bytes datagram = fuzz_datagram(prepared, in, buffer);
    struct mm_effects out;
    struct writer w = writer_over(reply, sizeof(reply));
    if (datagram.len == 0)
        return;
    err_t err = fuzz_step(&mm, datagram, &w, &out);
    if (err == E_OK) {
        fuzz_require(out.established == (mm.state == MM_ESTABLISHED));
        fuzz_require(mm.sa_body_len <= sizeof(mm.sa_body) && mm.ni_len <= NONCE_MAX &&
                     mm.nr_len <= NONCE_MAX);
        if (mm.state ==
            MM_ESTABLISHED) /* only by a right HASH: a signed input, or the whole of a known exchange */
            fuzz_require(in->form == FORM_SIGNED && mm.sa.peer_id.len != 0);
    } else if (out.failed) {
        fuzz_require(mm.state == MM_FAILED && !out.established);
        fuzz_require(!out.send || w.len <= datagram.len); /* no amplifier */
    } else {
        fuzz_require(w.len == 0 && !out.send && !out.established);
        mm.bad_messages = prepared->bad_messages;
        fuzz_require(memcmp(&mm, prepared, sizeof(mm)) == 0); /* no trace */
    }
    main_mode_close(&mm);
}

#endif
