/* The two messages.
 *
 * request: "QRTJ" | version u16 | 1 | token id 16 | node id 16 | nonce 16 | host u8-len | port u16 | CSR
 * u16-len | level u32 | HMAC 32 answer:  "QRTJ" | version u16 | 2 | epoch u64 | role u8 | certificate u16-len
 * | authority u16-len | members u8 | (node id 16 | host u8-len | port u16) .. | HMAC 32 over the request's
 * HMAC and all before refusal: "QRTJ" | version u16 | 3 | reason u8 */
#include <string.h>

#include "cluster/join_internal.h"

enum { KIND_REQUEST = 1, KIND_ANSWER = 2, KIND_REFUSAL = 3 };

static const uint8_t magic[4] = {'Q', 'R', 'T', 'J'};

/* What may be refused for, as the other side learns it. */
static const err_t refusals[] = {E_INTERNAL,      E_AUTH,      E_EXPIRED,  E_REPLAY,    E_BAD_ID,
                                 E_BAD_SIGNATURE, E_BAD_KEY,   E_CORRUPT,  E_NOT_FOUND, E_LIMIT,
                                 E_NOT_PRIMARY,   E_NO_QUORUM, E_OLD_BUILD};

static void write_head(struct writer *w, uint8_t kind)
{
    write_bytes(w, BYTES_OF(magic));
    write_u16(w, JOIN_VERSION);
    write_u8(w, kind);
}

/* The kind, or 0 with the reader's error set. */
static uint8_t read_head(struct reader *r)
{
    reader_require(r, bytes_equal(read_bytes(r, sizeof(magic)), BYTES_OF(magic)));
    if (read_u16(r) != JOIN_VERSION)
        reader_fail(r, E_BAD_VERSION);
    return read_u8(r);
}

static void write_peer(struct writer *w, const struct transport_peer *peer)
{
    size_t len = strnlen(peer->host, TRANSPORT_HOST_MAX);
    if (len == 0 || len == TRANSPORT_HOST_MAX || peer->port == 0)
        writer_fail(w, E_RANGE);
    write_u8(w, (uint8_t)len);
    write_bytes(w, (struct bytes){(const uint8_t *)peer->host, len});
    write_u16(w, peer->port);
}

/* Letters, digits and what stands in addresses: it will be shown, resolved and written to files. */
static bool host_is_sane(struct bytes host)
{
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
              c == '-' || c == ':' || c == '_' || c == '%'))
            return false;
    }
    return host.len != 0 && host.len < TRANSPORT_HOST_MAX;
}

static void read_peer(struct reader *r, char host[TRANSPORT_HOST_MAX], uint16_t *port)
{
    struct bytes text = read_bytes(r, read_u8(r));
    *port = read_u16(r);
    reader_require(r, host_is_sane(text) && *port != 0);
    if (r->err != E_OK)
        return;
    memcpy(host, text.data, text.len);
    host[text.len] = '\0';
}

static void write_block(struct writer *w, struct bytes b)
{
    write_u16(w, (uint16_t)b.len);
    write_bytes(w, b);
}

static struct bytes read_block(struct reader *r)
{
    struct bytes b = read_bytes(r, read_u16(r));
    reader_require(r, b.len != 0 && b.len <= CERT_DER_MAX);
    return b;
}

err_t join_request_make(const struct join_token *token, const struct cert_key *key,
                        const struct transport_peer *self, uint32_t level, const struct rng *rng,
                        uint8_t out[JOIN_REQUEST_MAX], size_t *out_len)
{
    struct secret mac_key = {0};
    struct cert_name name;
    uint8_t id[JOIN_ID_LEN], nonce[JOIN_NONCE_LEN], csr[CERT_DER_MAX], mac[JOIN_MAC_LEN];
    size_t csr_len = 0;
    memcpy(name.cluster_id, token->cluster_id, CLUSTER_ID_LEN);
    memcpy(name.node_id, self->id, NODE_ID_LEN);
    err_t err = join_key_of(token, &mac_key, id);
    if (err == E_OK)
        err = rng_fill(rng, nonce, sizeof(nonce));
    if (err == E_OK)
        err = cert_request_make(key, &name, csr, &csr_len);
    if (err != E_OK)
        goto done;
    struct writer w = writer_over(out, JOIN_REQUEST_MAX);
    write_head(&w, KIND_REQUEST);
    write_bytes(&w, BYTES_OF(id));
    write_bytes(&w, BYTES_OF(self->id));
    write_bytes(&w, BYTES_OF(nonce));
    write_peer(&w, self);
    write_block(&w, (struct bytes){csr, csr_len});
    write_u32(&w, level);
    struct bytes signed_part = writer_bytes(&w);
    err = writer_end(&w);
    if (err == E_OK)
        err = join_mac(&mac_key, JOIN_TO_CLUSTER, &signed_part, 1, mac);
    if (err != E_OK)
        goto done;
    write_bytes(&w, BYTES_OF(mac));
    *out_len = w.len;
    err = writer_end(&w);
done:
    secret_close(&mac_key);
    return err;
}

err_t join_request_decode(struct join_request *out, struct bytes encoded)
{
    struct reader r = reader_over(encoded);
    *out = (struct join_request){0};
    reader_require(&r, read_head(&r) == KIND_REQUEST && encoded.len <= JOIN_REQUEST_MAX);
    read_into(&r, out->token_id, sizeof(out->token_id));
    read_into(&r, out->node_id, sizeof(out->node_id));
    read_skip(&r, JOIN_NONCE_LEN);
    read_peer(&r, out->host, &out->port);
    out->csr = read_block(&r);
    out->level = reader_left(&r) == JOIN_MAC_LEN ? 1 : read_u32(&r); /* builds of before levels tell none */
    if (r.err == E_OK)
        out->signed_part = bytes_slice(encoded, 0, encoded.len - reader_left(&r));
    read_into(&r, out->mac, sizeof(out->mac));
    return reader_end(&r);
}

err_t join_answer_make(const struct join_request *request, const struct join_record *record,
                       const struct wrap_key *wrap_key, const struct join_grant *grant,
                       uint8_t out[JOIN_ANSWER_MAX], size_t *out_len)
{
    struct secret key = {0};
    uint8_t mac[JOIN_MAC_LEN];
    struct writer w = writer_over(out, JOIN_ANSWER_MAX);
    if (grant->member_count > JOIN_MEMBER_MAX)
        return E_LIMIT;
    write_head(&w, KIND_ANSWER);
    write_u64(&w, grant->epoch);
    write_u8(&w, (uint8_t)grant->role);
    write_block(&w, cert_der(grant->cert));
    write_block(&w, cert_der(grant->ca));
    write_u8(&w, (uint8_t)grant->member_count);
    for (size_t i = 0; i < grant->member_count; i++) {
        write_bytes(&w, BYTES_OF(grant->members[i].id));
        write_peer(&w, &grant->members[i]);
    }
    struct bytes parts[] = {BYTES_OF(request->mac), writer_bytes(&w)};
    err_t err = writer_end(&w);
    if (err == E_OK)
        err = join_record_key(record, wrap_key, &key);
    if (err == E_OK)
        err = join_mac(&key, JOIN_TO_NODE, parts, ARRAY_LEN(parts), mac);
    secret_close(&key);
    if (err != E_OK)
        return err;
    write_bytes(&w, BYTES_OF(mac));
    *out_len = w.len;
    return writer_end(&w);
}

err_t join_refusal_make(err_t reason, uint8_t out[JOIN_ANSWER_MAX], size_t *out_len)
{
    struct writer w = writer_over(out, JOIN_ANSWER_MAX);
    uint8_t code = 0; /* anything else is our own trouble */
    for (uint8_t i = 0; i < ARRAY_LEN(refusals); i++) {
        if (refusals[i] == reason)
            code = i;
    }
    write_head(&w, KIND_REFUSAL);
    write_u8(&w, code);
    *out_len = w.len;
    return writer_end(&w);
}

struct answer {
    struct bytes cert, ca;
    struct bytes signed_part;
    uint8_t mac[JOIN_MAC_LEN];
};

static err_t decode_answer(struct join_result *out, struct answer *parts, struct bytes encoded, err_t *reason)
{
    struct reader r = reader_over(encoded);
    uint8_t kind = read_head(&r);
    if (r.err == E_OK && kind == KIND_REFUSAL) {
        uint8_t code = read_u8(&r);
        *reason = code < ARRAY_LEN(refusals) ? refusals[code] : E_INTERNAL;
        err_t err = reader_end(&r);
        return err == E_OK ? E_REFUSED : err;
    }
    reader_require(&r, kind == KIND_ANSWER && encoded.len <= JOIN_ANSWER_MAX);
    out->epoch = read_u64(&r);
    uint8_t role = read_u8(&r);
    reader_require(&r, role >= JOIN_VOTER && role <= JOIN_STANDBY);
    out->role = (enum join_role)role;
    parts->cert = read_block(&r);
    parts->ca = read_block(&r);
    size_t count = read_u8(&r);
    reader_require(&r, count <= JOIN_MEMBER_MAX);
    for (size_t i = 0; i < count && r.err == E_OK; i++) {
        read_into(&r, out->members[i].id, NODE_ID_LEN);
        read_peer(&r, out->members[i].host, &out->members[i].port);
    }
    out->member_count = count;
    if (r.err == E_OK)
        parts->signed_part = bytes_slice(encoded, 0, encoded.len - reader_left(&r));
    read_into(&r, parts->mac, JOIN_MAC_LEN);
    return reader_end(&r);
}

static err_t check_mac(const struct join_token *token, const struct join_request *request,
                       const struct answer *parts)
{
    struct secret key = {0};
    uint8_t id[JOIN_ID_LEN], mac[JOIN_MAC_LEN];
    struct bytes macked[] = {BYTES_OF(request->mac), parts->signed_part};
    err_t err = join_key_of(token, &key, id);
    if (err == E_OK)
        err = join_mac(&key, JOIN_TO_NODE, macked, ARRAY_LEN(macked), mac);
    if (err == E_OK && !secret_equal(BYTES_OF(mac), BYTES_OF(parts->mac)))
        err = E_AUTH;
    secret_close(&key);
    return err;
}

/* The authority is the token's, and the certificate is ours, by it. */
static err_t check_certs(const struct join_result *result, const struct join_token *token,
                         const struct cert_key *key, const struct join_request *request, uint64_t now_s)
{
    uint8_t fingerprint[CERT_FINGERPRINT_LEN];
    struct cert_name name;
    cert_fingerprint(result->ca, fingerprint);
    if (!secret_equal(BYTES_OF(fingerprint), BYTES_OF(token->ca_fingerprint)))
        return E_AUTH;
    err_t err = cert_verify(result->cert, result->ca, now_s);
    if (err == E_OK)
        err = cert_get_name(result->cert, &name);
    if (err != E_OK)
        return err;
    if (memcmp(name.node_id, request->node_id, NODE_ID_LEN) != 0 ||
        memcmp(name.cluster_id, token->cluster_id, CLUSTER_ID_LEN) != 0)
        return E_BAD_ID;
    return cert_has_key(result->cert, key) ? E_OK : E_BAD_KEY;
}

err_t join_answer_open(struct join_result *out, const struct join_token *token, const struct cert_key *key,
                       struct bytes request, struct bytes answer, uint64_t now_s, err_t *reason)
{
    struct join_request own;
    struct answer parts = {0};
    *out = (struct join_result){0};
    *reason = E_OK;
    err_t err = join_request_decode(&own, request);
    if (err == E_OK)
        err = decode_answer(out, &parts, answer, reason);
    if (err == E_OK)
        err = check_mac(token, &own, &parts);
    if (err == E_OK)
        err = cert_open(parts.cert, &out->cert);
    if (err == E_OK)
        err = cert_open(parts.ca, &out->ca);
    if (err == E_OK)
        err = check_certs(out, token, key, &own, now_s);
    if (err != E_OK)
        join_result_close(out);
    return err;
}

void join_result_close(struct join_result *result)
{
    cert_free(result->cert);
    cert_free(result->ca);
    result->cert = result->ca = NULL;
    result->member_count = 0;
}
