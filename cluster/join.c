/* Tokens and what the cluster keeps of them. */
#include "cluster/join.h"

#include <string.h>

#include "base/hex.h"
#include "cluster/join_internal.h"
#include "proto/crypto/prf.h"

static const char token_prefix[] = "qj1.";
enum {
    PREFIX_LEN = sizeof(token_prefix) - 1,
    TOKEN_TEXT_LEN = PREFIX_LEN + 2 * (CLUSTER_ID_LEN + JOIN_SECRET_LEN + CERT_FINGERPRINT_LEN) + 2,
    RECORD_VERSION = 1,
};
_Static_assert((int)TOKEN_TEXT_LEN < (int)JOIN_TOKEN_TEXT_MAX, "a token fits its text");

err_t join_token_make(struct join_token *out, const struct cert *ca, const struct rng *rng)
{
    struct cert_name name;
    uint8_t raw[JOIN_SECRET_LEN];
    err_t err = cert_get_name(ca, &name);
    if (err == E_OK)
        err = rng_fill(rng, raw, sizeof(raw));
    if (err != E_OK)
        return err;
    err = secret_set(&out->secret, BYTES_OF(raw));
    secret_wipe(raw, sizeof(raw));
    memcpy(out->cluster_id, name.cluster_id, CLUSTER_ID_LEN);
    cert_fingerprint(ca, out->ca_fingerprint);
    return err;
}

void join_token_close(struct join_token *token)
{
    secret_close(&token->secret);
}

static void get_hex(struct reader *r, uint8_t *out, size_t len)
{
    struct bytes digits = read_bytes(r, 2 * len);
    reader_require(r, digits.len == 2 * len && hex_read(out, digits.data, len));
}

void join_token_format(const struct join_token *token, char out[JOIN_TOKEN_TEXT_MAX])
{
    memcpy(out, token_prefix, PREFIX_LEN);
    char *end = hex_put(out + PREFIX_LEN, token->cluster_id, CLUSTER_ID_LEN);
    *end++ = '.';
    end = hex_put(end, token->secret.data, JOIN_SECRET_LEN);
    *end++ = '.';
    hex_text(end, token->ca_fingerprint, CERT_FINGERPRINT_LEN);
}

err_t join_token_parse(struct join_token *out, struct bytes text)
{
    uint8_t raw[JOIN_SECRET_LEN];
    while (text.len != 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == ' '))
        text.len--; /* as it comes from a terminal */
    struct reader r = reader_over(text);
    struct bytes prefix = read_bytes(&r, PREFIX_LEN);
    get_hex(&r, out->cluster_id, CLUSTER_ID_LEN);
    reader_require(&r, read_u8(&r) == '.');
    get_hex(&r, raw, sizeof(raw));
    reader_require(&r, read_u8(&r) == '.');
    get_hex(&r, out->ca_fingerprint, CERT_FINGERPRINT_LEN);
    bool good = reader_end(&r) == E_OK && bytes_equal(prefix, bytes_of_text(token_prefix));
    err_t err = good ? secret_set(&out->secret, BYTES_OF(raw)) : E_RANGE;
    secret_wipe(raw, sizeof(raw));
    return err;
}

/* What the cluster keeps: HMAC(token, "..."), from which no token comes back. */
err_t join_key_of(const struct join_token *token, struct secret *key, uint8_t id[JOIN_ID_LEN])
{
    uint8_t raw[HASH_LEN_MAX];
    struct bytes key_label = bytes_of_text("quorate join key"), id_label = bytes_of_text("quorate join id");
    err_t err = prf_secret(HASH_SHA256, secret_view(&token->secret), &key_label, 1, key);
    if (err == E_OK)
        err = prf_parts(HASH_SHA256, secret_view(&token->secret), &id_label, 1, raw);
    if (err == E_OK)
        memcpy(id, raw, JOIN_ID_LEN);
    return err;
}

err_t join_mac(const struct secret *key, const char *direction, const struct bytes *parts, size_t count,
               uint8_t out[JOIN_MAC_LEN])
{
    struct secret mac_key = {0};
    struct bytes label = bytes_of_text(direction);
    err_t err = prf_secret(HASH_SHA256, secret_view(key), &label, 1, &mac_key);
    if (err == E_OK)
        err = prf_parts(HASH_SHA256, secret_view(&mac_key), parts, count, out);
    secret_close(&mac_key);
    return err;
}

static struct bytes wrap_context(const uint8_t id[JOIN_ID_LEN], uint8_t out[5 + JOIN_ID_LEN])
{
    memcpy(out, "join|", 5);
    memcpy(out + 5, id, JOIN_ID_LEN);
    return (struct bytes){out, 5 + JOIN_ID_LEN};
}

err_t join_record_key(const struct join_record *record, const struct wrap_key *wrap_key, struct secret *out)
{
    uint8_t context[5 + JOIN_ID_LEN];
    return keywrap_open(wrap_key, wrap_context(record->id, context), &record->key, out);
}

err_t join_record_make(struct join_record *out, const struct join_token *token, enum join_role role,
                       uint64_t expires_ms, const struct wrap_key *wrap_key, const struct rng *rng)
{
    struct secret key = {0};
    uint8_t context[5 + JOIN_ID_LEN];
    *out = (struct join_record){.expires_ms = expires_ms, .role = role};
    err_t err = join_key_of(token, &key, out->id);
    if (err == E_OK)
        err = keywrap_seal(wrap_key, rng, wrap_context(out->id, context), secret_view(&key), &out->key);
    secret_close(&key);
    return err;
}

void join_record_encode(struct writer *w, const struct join_record *record)
{
    write_u8(w, RECORD_VERSION);
    write_bytes(w, BYTES_OF(record->id));
    write_u64(w, record->expires_ms);
    write_u8(w, (uint8_t)record->role);
    write_u8(w, record->used);
    write_bytes(w, BYTES_OF(record->used_by));
    write_u16(w, record->key.len);
    write_bytes(w, (struct bytes){record->key.data, record->key.len});
}

err_t join_record_decode(struct join_record *out, struct bytes encoded)
{
    struct reader r = reader_over(encoded);
    *out = (struct join_record){0};
    reader_require(&r, read_u8(&r) == RECORD_VERSION);
    read_into(&r, out->id, sizeof(out->id));
    out->expires_ms = read_u64(&r);
    uint8_t role = read_u8(&r), used = read_u8(&r);
    read_into(&r, out->used_by, sizeof(out->used_by));
    size_t len = read_u16(&r);
    reader_require(&r, len <= WRAPPED_MAX && role >= JOIN_VOTER && role <= JOIN_STANDBY && used <= 1);
    struct bytes key = read_bytes(&r, len);
    err_t err = reader_end(&r);
    if (err != E_OK)
        return err;
    out->role = (enum join_role)role;
    out->used = used != 0;
    out->key.len = (uint16_t)len;
    if (key.len > 0)
        memcpy(out->key.data, key.data, len);
    return E_OK;
}

static err_t may_use(const struct join_record *record, const uint8_t mac[JOIN_MAC_LEN], uint64_t now_ms)
{
    if (record->used) /* the answer to the request that used it may be given again, even late */
        return memcmp(record->used_by, mac, JOIN_MAC_LEN) == 0 ? E_EXISTS : E_REPLAY;
    return now_ms < record->expires_ms ? E_OK : E_EXPIRED;
}

err_t join_record_use(struct join_record *record, const uint8_t mac[JOIN_MAC_LEN], uint64_t now_ms)
{
    err_t err = may_use(record, mac, now_ms);
    if (err == E_EXISTS)
        return E_OK;
    if (err != E_OK)
        return err;
    record->used = true;
    memcpy(record->used_by, mac, JOIN_MAC_LEN);
    return E_OK;
}

err_t join_request_check(const struct join_request *request, const struct join_record *record,
                         const uint8_t cluster_id[CLUSTER_ID_LEN], const struct wrap_key *wrap_key,
                         uint64_t now_ms)
{
    struct secret key = {0};
    struct cert_name name;
    uint8_t mac[JOIN_MAC_LEN];
    err_t err = memcmp(request->token_id, record->id, JOIN_ID_LEN) == 0 ? E_OK : E_AUTH;
    if (err == E_OK)
        err = join_record_key(record, wrap_key, &key);
    if (err == E_OK)
        err = join_mac(&key, JOIN_TO_CLUSTER, &request->signed_part, 1, mac);
    if (err == E_OK && !secret_equal(BYTES_OF(mac), BYTES_OF(request->mac)))
        err = E_AUTH;
    secret_close(&key);
    if (err == E_OK)
        err = cert_request_check(request->csr, &name);
    if (err == E_OK &&
        (memcmp(name.node_id, request->node_id, NODE_ID_LEN) != 0 ||
         memcmp(name.cluster_id, cluster_id, CLUSTER_ID_LEN) != 0 || node_raft_id(name.node_id) == 0))
        err = E_BAD_ID;
    return err == E_OK ? may_use(record, request->mac, now_ms) : err;
}
