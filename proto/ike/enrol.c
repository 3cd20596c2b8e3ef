#include "proto/ike/enrol.h"

#include <string.h>

#include "base/compiler.h"
#include "base/hex.h"
#include "proto/crypto/cipher.h"
#include "proto/crypto/prf.h"

enum { KIND_REQUEST = 1, KIND_ANSWER = 2, KIND_REFUSAL = 3, HEAD_LEN = 4 + 2 + 1 };

static const uint8_t magic[4] = {'Q', 'R', 'T', 'E'};
static const char token_prefix[] = "qe1.";
enum { PREFIX_LEN = sizeof(token_prefix) - 1, SECRET_TEXT_LEN = 2 * ENROL_SECRET_LEN };

/* What may be refused for, as the other side learns it. */
static const err_t refusals[] = {E_INTERNAL,  E_AUTH,    E_EXPIRED, E_REPLAY,    E_BAD_KE,
                                 E_NOT_FOUND, E_CORRUPT, E_LIMIT,   E_NO_QUORUM, E_NOT_PRIMARY};

/* ---- tokens ---- */

err_t enrol_token_make(struct enrol_token *out, const struct addr *member, const struct rng *rng)
{
    uint8_t raw[ENROL_SECRET_LEN];
    *out = (struct enrol_token){.member = *member};
    err_t err = rng_fill(rng, raw, sizeof(raw));
    if (err == E_OK)
        err = secret_set(&out->secret, BYTES_OF(raw));
    secret_wipe(raw, sizeof(raw));
    return err;
}

void enrol_token_close(struct enrol_token *token)
{
    secret_close(&token->secret);
}

void enrol_token_format(const struct enrol_token *token, char out[ENROL_TOKEN_TEXT_MAX])
{
    memcpy(out, token_prefix, PREFIX_LEN);
    char *end = hex_put(out + PREFIX_LEN, token->secret.data, ENROL_SECRET_LEN);
    *end++ = '.';
    addr_format(&token->member, end);
}

err_t enrol_token_parse(struct enrol_token *out, struct bytes text)
{
    uint8_t raw[ENROL_SECRET_LEN] = {0};
    char member[ADDR_TEXT_MAX];
    *out = (struct enrol_token){0};
    while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
        text.len--;
    size_t head = PREFIX_LEN + SECRET_TEXT_LEN + 1;
    if (text.len <= head || text.len - head >= sizeof(member) || text.data[head - 1] != '.' ||
        memcmp(text.data, token_prefix, PREFIX_LEN) != 0)
        return E_RANGE;
    memcpy(member, text.data + head, text.len - head);
    member[text.len - head] = '\0';
    err_t err = strlen(member) == text.len - head ? addr_parse(&out->member, member) : E_RANGE;
    if (err == E_OK && !hex_read(raw, text.data + PREFIX_LEN, ENROL_SECRET_LEN))
        err = E_RANGE;
    if (err == E_OK)
        err = secret_set(&out->secret, BYTES_OF(raw));
    secret_wipe(raw, sizeof(raw));
    return err;
}

err_t enrol_token_key(const struct enrol_token *token, struct secret *key, uint8_t id[ENROL_ID_LEN])
{
    uint8_t digest[ENROL_MAC_LEN];
    struct bytes key_label = bytes_of_text("quorate enrol key"), id_label = bytes_of_text("quorate enrol id");
    err_t err = prf_secret(HASH_SHA256, secret_view(&token->secret), &key_label, 1, key);
    if (err == E_OK)
        err = prf_parts(HASH_SHA256, secret_view(key), &id_label, 1, digest);
    if (err == E_OK)
        memcpy(id, digest, ENROL_ID_LEN);
    return err;
}

/* ---- parts of messages ---- */

static void write_head(struct writer *w, uint8_t kind)
{
    write_bytes(w, BYTES_OF(magic));
    write_u16(w, ENROL_VERSION);
    write_u8(w, kind);
}

static uint8_t read_head(struct reader *r)
{
    reader_require(r, bytes_equal(read_bytes(r, sizeof(magic)), BYTES_OF(magic)));
    if (r->err == E_OK && read_u16(r) != ENROL_VERSION)
        reader_fail(r, E_BAD_VERSION);
    return read_u8(r);
}

static void write_block(struct writer *w, struct bytes b)
{
    if (b.len > UINT8_MAX)
        writer_fail(w, E_LIMIT);
    write_u8(w, (uint8_t)b.len);
    write_bytes(w, b);
}

static struct bytes read_block(struct reader *r)
{
    return read_bytes(r, read_u8(r));
}

static void read_addr(struct reader *r, struct addr *out)
{
    struct bytes raw = read_block(r);
    reader_require(r, r->err == E_OK && addr_from_bytes(out, raw) == E_OK);
}

static err_t request_mac(const struct secret *key, struct bytes signed_part, uint8_t out[ENROL_MAC_LEN])
{
    struct bytes parts[] = {bytes_of_text("quorate enrol request"), signed_part};
    return prf_parts(HASH_SHA256, secret_view(key), parts, ARRAY_LEN(parts), out);
}

/* The key of one answer: of the token, of both DH values, and of this very request. */
static err_t answer_key(const struct secret *key, const struct dh_key *dh, struct bytes public_value,
                        const uint8_t mac[ENROL_MAC_LEN], struct secret *out)
{
    struct dh_shared shared = {0};
    err_t err = dh_derive(dh, public_value, &shared);
    if (err == E_OK) {
        struct bytes parts[] = {
            bytes_of_text("quorate enrol answer"), {shared.data, shared.len}, {mac, ENROL_MAC_LEN}};
        err = prf_secret(HASH_SHA256, secret_view(key), parts, ARRAY_LEN(parts), out);
    }
    dh_shared_close(&shared);
    return err;
}

/* ---- request ---- */

bool enrol_is_request(struct bytes encoded)
{
    return bytes_equal(bytes_slice(encoded, 0, sizeof(magic)), BYTES_OF(magic));
}

err_t enrol_request_make(const struct enrol_token *token, const struct rng *rng, struct dh_key **dh,
                         uint8_t out[ENROL_REQUEST_MAX], size_t *out_len)
{
    struct secret key = {0};
    struct dh_public public_value;
    uint8_t id[ENROL_ID_LEN], nonce[ENROL_NONCE_LEN], mac[ENROL_MAC_LEN];
    *dh = NULL;
    err_t err = enrol_token_key(token, &key, id);
    if (err == E_OK)
        err = rng_fill(rng, nonce, sizeof(nonce));
    if (err == E_OK)
        err = dh_generate(IKE_GROUP_ECP256, dh, &public_value);
    if (err != E_OK)
        goto done;
    struct writer w = writer_over(out, ENROL_REQUEST_MAX);
    write_head(&w, KIND_REQUEST);
    write_bytes(&w, BYTES_OF(id));
    write_bytes(&w, BYTES_OF(nonce));
    write_block(&w, addr_bytes(&token->member));
    write_bytes(&w, (struct bytes){public_value.data, ENROL_PUBLIC_LEN});
    err = request_mac(&key, writer_bytes(&w), mac);
    write_bytes(&w, BYTES_OF(mac));
    *out_len = w.len;
    if (err == E_OK)
        err = writer_end(&w);
done:
    if (err != E_OK) {
        dh_key_free(*dh);
        *dh = NULL;
    }
    secret_close(&key);
    return err;
}

err_t enrol_request_decode(struct enrol_request *out, struct bytes encoded)
{
    *out = (struct enrol_request){0};
    struct reader r = reader_over(encoded);
    reader_require(&r, read_head(&r) == KIND_REQUEST);
    read_into(&r, out->token_id, ENROL_ID_LEN);
    read_skip(&r, ENROL_NONCE_LEN);
    read_addr(&r, &out->member);
    out->public_value = read_bytes(&r, ENROL_PUBLIC_LEN);
    if (r.err == E_OK)
        out->signed_part = (struct bytes){encoded.data, (size_t)(r.pos - encoded.data)};
    read_into(&r, out->mac, ENROL_MAC_LEN);
    return reader_end(&r);
}

err_t enrol_request_check(const struct enrol_request *request, const struct secret *key)
{
    uint8_t mac[ENROL_MAC_LEN];
    err_t err = request_mac(key, request->signed_part, mac);
    return err != E_OK || secret_equal(BYTES_OF(mac), BYTES_OF(request->mac)) ? err : E_AUTH;
}

/* ---- answer ---- */

void enrol_grant_close(struct enrol_grant *grant)
{
    secret_close(&grant->psk);
}

static err_t encode_grant(struct writer *w, const struct enrol_grant *grant)
{
    if (grant->server_count == 0 || grant->server_count > ENROL_SERVER_MAX)
        return E_LIMIT;
    write_block(w, secret_view(&grant->psk));
    write_block(w, bytes_of_text(grant->group));
    write_u8(w, grant->identity.type);
    write_block(w, (struct bytes){grant->identity.data, grant->identity.len});
    write_u8(w, (uint8_t)grant->server_count);
    for (size_t i = 0; i < grant->server_count; i++)
        write_block(w, addr_bytes(&grant->servers[i]));
    return writer_end(w) == E_OK ? E_OK : E_LIMIT;
}

/* It will stand in a configuration file: letters, digits and the marks that names have. */
static bool name_is_sane(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        if (c < ' ' || c > '~' || c == '"' || c == '\\')
            return false;
    }
    return name.len != 0 && name.len < ENROL_NAME_MAX;
}

static err_t decode_grant(struct enrol_grant *out, struct bytes plain)
{
    struct reader r = reader_over(plain);
    struct bytes psk = read_block(&r), name = read_block(&r);
    reader_require(&r, name_is_sane(name) && psk.len != 0);
    reader_require(&r, r.err == E_OK && secret_set(&out->psk, psk) == E_OK);
    if (r.err == E_OK)
        memcpy(out->group, name.data, name.len);
    struct id_payload id = {.type = read_u8(&r)};
    id.data = read_block(&r);
    reader_require(&r, r.err == E_OK && identity_from_payload(&out->identity, &id) == E_OK);
    uint8_t count = read_u8(&r);
    reader_require(&r, count != 0 && count <= ENROL_SERVER_MAX);
    for (; out->server_count < count && r.err == E_OK; out->server_count++)
        read_addr(&r, &out->servers[out->server_count]);
    return reader_end(&r);
}

err_t enrol_answer_make(const struct enrol_request *request, const struct secret *key,
                        const struct enrol_grant *grant, uint8_t out[ENROL_ANSWER_MAX], size_t *out_len)
{
    static const uint8_t nonce[AEAD_NONCE_LEN] = {0}; /* the key serves once */
    struct dh_key *dh = NULL;
    struct dh_public public_value;
    struct secret seal = {0};
    uint8_t plain[ENROL_ANSWER_MAX - HEAD_LEN - ENROL_PUBLIC_LEN - AEAD_TAG_LEN];
    struct writer body = writer_over(plain, sizeof(plain)), w = writer_over(out, ENROL_ANSWER_MAX);
    err_t err = encode_grant(&body, grant);
    if (err == E_OK)
        err = dh_generate(IKE_GROUP_ECP256, &dh, &public_value);
    if (err == E_OK)
        err = answer_key(key, dh, request->public_value, request->mac, &seal);
    if (err == E_OK) {
        write_head(&w, KIND_ANSWER);
        write_bytes(&w, (struct bytes){public_value.data, ENROL_PUBLIC_LEN});
        err = aead_seal(secret_view(&seal), nonce, writer_bytes(&w), writer_bytes(&body), out + w.len);
        *out_len = w.len + body.len + AEAD_TAG_LEN;
    }
    dh_key_free(dh);
    secret_close(&seal);
    secret_wipe(plain, sizeof(plain));
    return err;
}

err_t enrol_refusal_make(err_t reason, uint8_t out[ENROL_ANSWER_MAX], size_t *out_len)
{
    uint8_t code = 0;
    for (uint8_t i = 0; i < ARRAY_LEN(refusals); i++) {
        if (refusals[i] == reason)
            code = i;
    }
    struct writer w = writer_over(out, ENROL_ANSWER_MAX);
    write_head(&w, KIND_REFUSAL);
    write_u8(&w, code);
    *out_len = w.len;
    return writer_end(&w);
}

static err_t read_refusal(struct reader *r, err_t *reason)
{
    uint8_t code = read_u8(r);
    err_t err = reader_end(r);
    if (err != E_OK)
        return err;
    *reason = code < ARRAY_LEN(refusals) ? refusals[code] : E_INTERNAL;
    return E_REFUSED;
}

static err_t open_sealed(struct enrol_grant *out, const struct secret *seal, struct bytes head,
                         struct bytes sealed)
{
    static const uint8_t nonce[AEAD_NONCE_LEN] = {0};
    uint8_t plain[ENROL_ANSWER_MAX];
    if (sealed.len < AEAD_TAG_LEN || sealed.len > ENROL_ANSWER_MAX)
        return E_TRUNCATED;
    err_t err = aead_open(secret_view(seal), nonce, head, sealed, plain);
    if (err == E_OK)
        err = decode_grant(out, (struct bytes){plain, sealed.len - AEAD_TAG_LEN});
    else if (err == E_CORRUPT)
        err = E_AUTH;
    secret_wipe(plain, sizeof(plain));
    return err;
}

err_t enrol_answer_open(struct enrol_grant *out, const struct enrol_token *token, const struct dh_key *dh,
                        struct bytes request, struct bytes answer, err_t *reason)
{
    struct secret key = {0}, seal = {0};
    struct enrol_request asked;
    uint8_t id[ENROL_ID_LEN];
    *out = (struct enrol_grant){0};
    *reason = E_OK;
    struct reader r = reader_over(answer);
    uint8_t kind = read_head(&r);
    if (r.err == E_OK && kind == KIND_REFUSAL)
        return read_refusal(&r, reason);
    reader_require(&r, kind == KIND_ANSWER);
    struct bytes public_value = read_bytes(&r, ENROL_PUBLIC_LEN);
    struct bytes head = bytes_slice(answer, 0, HEAD_LEN + ENROL_PUBLIC_LEN), sealed = read_rest(&r);
    err_t err = reader_end(&r);
    if (err == E_OK)
        err = enrol_request_decode(&asked, request);
    if (err == E_OK)
        err = enrol_token_key(token, &key, id);
    if (err == E_OK)
        err = answer_key(&key, dh, public_value, asked.mac, &seal);
    if (err == E_OK)
        err = open_sealed(out, &seal, head, sealed);
    if (err != E_OK)
        enrol_grant_close(out);
    secret_close(&key);
    secret_close(&seal);
    return err;
}
