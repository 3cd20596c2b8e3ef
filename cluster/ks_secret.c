#include <string.h>

#include "cluster/ks_internal.h"

struct bytes wrap_context(const struct ks_state *state, uint32_t group_id, enum wrap_object object,
                          struct bytes name, uint8_t out[WRAP_CONTEXT_MAX])
{
    struct writer w = writer_over(out, WRAP_CONTEXT_MAX);
    write_bytes(&w, BYTES_OF(state->cluster.cluster_id));
    write_u32(&w, group_id);
    write_u8(&w, (uint8_t)object);
    write_bytes(&w, bytes_slice(name, 0, WRAP_CONTEXT_MAX - w.len));
    return writer_bytes(&w);
}

static struct bytes psk_context(const struct ks_state *state, const struct prefix *peer,
                                uint8_t out[WRAP_CONTEXT_MAX])
{
    struct row_key key = psk_row_key(peer);
    return wrap_context(state, 0, WRAP_PSK, row_key_bytes(&key), out);
}

static struct bytes signing_context(const struct ks_state *state, uint32_t version,
                                    uint8_t out[WRAP_CONTEXT_MAX])
{
    uint8_t name[4];
    struct writer w = writer_over(name, sizeof(name));
    write_u32(&w, version);
    return wrap_context(state, 0, WRAP_SIGNING, writer_bytes(&w), out);
}

err_t ks_psk_seal(const struct ks_state *state, const struct wrap_key *wrap, const struct rng *rng,
                  const struct prefix *peer, struct bytes psk, struct psk_record *out)
{
    uint8_t context[WRAP_CONTEXT_MAX];
    *out = (struct psk_record){.peer = *peer};
    return keywrap_seal(wrap, rng, psk_context(state, peer, context), psk, &out->psk);
}

err_t ks_psk_open(const struct ks_state *state, const struct wrap_key *wrap, const struct psk_record *record,
                  struct secret *out)
{
    uint8_t context[WRAP_CONTEXT_MAX];
    return keywrap_open(wrap, psk_context(state, &record->peer, context), &record->psk, out);
}

err_t ks_signing_seal(const struct ks_state *state, const struct wrap_key *wrap, const struct rng *rng,
                      enum sign_alg alg, uint16_t bits, struct bytes priv, struct bytes pub,
                      struct signing_record *out)
{
    *out = (struct signing_record){.version = state->signing.version + 1, .alg = alg, .bits = bits};
    if (priv.len > SIGN_PRIVATE_MAX || pub.len > SIGN_PUBLIC_MAX)
        return E_LIMIT;
    memcpy(out->public_key, pub.data, pub.len);
    out->public_len = (uint16_t)pub.len;
    uint8_t context[WRAP_CONTEXT_MAX];
    size_t len = 0;
    err_t err = keywrap_seal_bytes(wrap, rng, signing_context(state, out->version, context), priv,
                                   out->private_key, &len);
    out->private_len = (uint16_t)len;
    return err;
}

const struct signing_record *ks_signing_of(const struct ks_state *state, uint32_t version)
{
    if (version == 0)
        return NULL;
    if (version == state->signing.version)
        return &state->signing;
    return version == state->previous_signing.version ? &state->previous_signing : NULL;
}

err_t ks_signing_open(const struct ks_state *state, const struct wrap_key *wrap, uint32_t version,
                      uint8_t out[SIGN_PRIVATE_MAX], size_t *out_len)
{
    const struct signing_record *key = ks_signing_of(state, version);
    *out_len = 0;
    if (key == NULL)
        return E_STATE;
    if (key->private_len > SIGN_PRIVATE_MAX + KEYWRAP_OVERHEAD)
        return E_CORRUPT;
    uint8_t context[WRAP_CONTEXT_MAX];
    return keywrap_open_bytes(wrap, signing_context(state, key->version, context),
                              (struct bytes){key->private_key, key->private_len}, out, out_len);
}

err_t ks_ca_seal(const struct ks_state *state, const struct wrap_key *wrap, const struct rng *rng,
                 struct bytes cert, struct bytes pkcs8, struct ca_record *out)
{
    *out = (struct ca_record){0};
    if (cert.len > CA_CERT_MAX || pkcs8.len > CA_KEY_MAX)
        return E_LIMIT;
    memcpy(out->cert, cert.data, cert.len);
    out->cert_len = (uint16_t)cert.len;
    uint8_t context[WRAP_CONTEXT_MAX];
    size_t len = 0;
    err_t err = keywrap_seal_bytes(wrap, rng, wrap_context(state, 0, WRAP_CA, (struct bytes){0}, context),
                                   pkcs8, out->key, &len);
    out->key_len = (uint16_t)len;
    return err;
}

err_t ks_ca_open(const struct ks_state *state, const struct wrap_key *wrap, uint8_t out[CA_KEY_MAX],
                 size_t *out_len)
{
    *out_len = 0;
    if (state->ca.cert_len == 0)
        return E_STATE;
    uint8_t context[WRAP_CONTEXT_MAX];
    return keywrap_open_bytes(wrap, wrap_context(state, 0, WRAP_CA, (struct bytes){0}, context),
                              (struct bytes){state->ca.key, state->ca.key_len}, out, out_len);
}
