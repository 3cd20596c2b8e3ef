#include "cluster/certs.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "cluster/certs_internal.h"

static const char uri_scheme[] = "quorate:";
enum {
    URI_SCHEME_LEN = sizeof(uri_scheme) - 1,
    URI_LEN = URI_SCHEME_LEN + 2 * CLUSTER_ID_LEN + 1 + 2 * NODE_ID_LEN,
};
_Static_assert((int)URI_LEN < CERT_URI_MAX, "a name fits its text");

err_t cert_refused(err_t err)
{
    ERR_clear_error();
    return err;
}

bool cert_name_equal(const struct cert_name *a, const struct cert_name *b)
{
    return memcmp(a->cluster_id, b->cluster_id, CLUSTER_ID_LEN) == 0 &&
           memcmp(a->node_id, b->node_id, NODE_ID_LEN) == 0;
}

/* Lower case only: a name has one spelling. */
static bool get_hex(uint8_t *out, const uint8_t *text, size_t len)
{
    for (size_t i = 0; i < 2 * len; i++) {
        uint8_t c = text[i], v;
        if (c >= '0' && c <= '9')
            v = (uint8_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = (uint8_t)(c - 'a' + 10);
        else
            return false;
        out[i / 2] = (uint8_t)(i % 2 == 0 ? v << 4 : out[i / 2] | v);
    }
    return true;
}

const char *cert_uri_format(const struct cert_name *name, char out[CERT_URI_MAX])
{
    memcpy(out, uri_scheme, URI_SCHEME_LEN);
    char *at = hex_put(out + URI_SCHEME_LEN, name->cluster_id, CLUSTER_ID_LEN);
    *at++ = ':';
    at = hex_put(at, name->node_id, NODE_ID_LEN);
    *at = '\0';
    return out;
}

err_t cert_uri_parse(struct cert_name *out, struct bytes text)
{
    const uint8_t *at = text.data;
    if (text.len != URI_LEN || memcmp(at, uri_scheme, URI_SCHEME_LEN) != 0)
        return E_BAD_ID;
    at += URI_SCHEME_LEN;
    if (!get_hex(out->cluster_id, at, CLUSTER_ID_LEN) || at[2 * CLUSTER_ID_LEN] != ':')
        return E_BAD_ID;
    return get_hex(out->node_id, at + 2 * CLUSTER_ID_LEN + 1, NODE_ID_LEN) ? E_OK : E_BAD_ID;
}

uint64_t node_raft_id(const uint8_t node_id[NODE_ID_LEN])
{
    struct reader r = reader_over((struct bytes){node_id, 8});
    return read_u64(&r);
}

/* RFC 5280 4.2.1.6. Other names in it are none of ours. */
err_t cert_names_find(const STACK_OF(GENERAL_NAME) * names, struct cert_name *out)
{
    err_t err = E_MISSING;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        struct bytes text = {ASN1_STRING_get0_data(name->d.uniformResourceIdentifier),
                             (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier)};
        if (text.len < URI_SCHEME_LEN || memcmp(text.data, uri_scheme, URI_SCHEME_LEN) != 0)
            continue;
        if (err != E_MISSING)
            return E_BAD_ID;
        err = cert_uri_parse(out, text);
    }
    return err;
}

err_t cert_x509_name(X509 *x509, struct cert_name *out)
{
    int critical = 0; /* -2: the extension stands twice */
    STACK_OF(GENERAL_NAME) *names = X509_get_ext_d2i(x509, NID_subject_alt_name, &critical, NULL);
    if (names == NULL)
        return cert_refused(critical == -2 ? E_BAD_ID : E_MISSING);
    err_t err = cert_names_find(names, out);
    GENERAL_NAMES_free(names);
    return err;
}

bool cert_key_is_p256(EVP_PKEY *pkey)
{
    char group[32];
    size_t len = 0;
    int explicit_curve = 1;
    /* Curve parameters in place of a name may hide a base point of the attacker's choice. */
    bool good =
        pkey != NULL && EVP_PKEY_is_a(pkey, "EC") == 1 &&
        EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) == 1 && strcmp(group, "prime256v1") == 0 &&
        EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit_curve) == 1 &&
        explicit_curve == 0;
    ERR_clear_error();
    return good;
}

err_t cert_wrap(X509 *x509, struct cert **out)
{
    err_t err = E_NO_MEMORY;
    struct cert *cert = calloc(1, sizeof(*cert));
    int len = i2d_X509(x509, NULL);
    if (cert != NULL)
        err = len <= 0 || len > CERT_DER_MAX             ? E_CORRUPT
              : cert_key_is_p256(X509_get0_pubkey(x509)) ? E_OK
                                                         : E_BAD_KEY;
    if (err != E_OK) {
        X509_free(x509);
        free(cert);
        return cert_refused(err);
    }
    uint8_t *at = cert->der;
    cert->der_len = (size_t)i2d_X509(x509, &at);
    cert->x509 = x509;
    *out = cert;
    return E_OK;
}

void cert_free(struct cert *cert)
{
    if (cert == NULL)
        return;
    X509_free(cert->x509);
    free(cert);
}

struct bytes cert_der(const struct cert *cert)
{
    return (struct bytes){cert->der, cert->der_len};
}

err_t cert_get_name(const struct cert *cert, struct cert_name *out)
{
    return cert_x509_name(cert->x509, out);
}

const char *cert_serial(const struct cert *cert, char out[CERT_SERIAL_MAX])
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert->x509);
    int len = ASN1_STRING_length(serial);
    if (len > CERT_SERIAL_LEN)
        len = CERT_SERIAL_LEN; /* another's certificate; RFC 5280 4.1.2.2 allows 20 */
    *hex_put(out, ASN1_STRING_get0_data(serial), (size_t)len) = '\0';
    return out;
}

void cert_fingerprint(const struct cert *cert, uint8_t out[CERT_FINGERPRINT_LEN])
{
    unsigned len = 0;
    if (EVP_Digest(cert->der, cert->der_len, out, &len, EVP_sha256(), NULL) != 1) {
        memset(out, 0, CERT_FINGERPRINT_LEN); /* equal to no fingerprint */
        ERR_clear_error();
    }
}

bool cert_is_ca(const struct cert *cert)
{
    return X509_check_ca(cert->x509) == 1;
}

int64_t cert_seconds_left(const struct cert *cert, uint64_t now_s)
{
    ASN1_TIME *now = ASN1_TIME_set(NULL, (time_t)now_s);
    int days = 0, seconds = 0;
    bool good = now != NULL && ASN1_TIME_diff(&days, &seconds, now, X509_get0_notAfter(cert->x509)) == 1;
    ASN1_TIME_free(now);
    if (!good)
        return cert_refused(E_OK), INT64_MIN;
    return (int64_t)days * 86400 + seconds;
}

static bool seconds_of(const ASN1_TIME *time, uint64_t *out)
{
    ASN1_TIME *zero = ASN1_TIME_set(NULL, 0);
    int days = 0, seconds = 0;
    bool good = zero != NULL && ASN1_TIME_diff(&days, &seconds, zero, time) == 1 && days >= 0 && seconds >= 0;
    ASN1_TIME_free(zero);
    *out = good ? (uint64_t)days * 86400 + (uint64_t)seconds : 0;
    return cert_refused(good ? E_OK : E_CORRUPT) == E_OK;
}

void cert_describe(const struct cert *cert, struct node_cert *out)
{
    char serial[CERT_SERIAL_MAX];
    *out = (struct node_cert){0};
    if (!seconds_of(X509_get0_notBefore(cert->x509), &out->not_before_s) ||
        !seconds_of(X509_get0_notAfter(cert->x509), &out->not_after_s)) {
        *out = (struct node_cert){0};
        return;
    }
    cert_fingerprint(cert, out->fingerprint);
    cert_serial(cert, serial);
    size_t len = strlen(serial);
    for (size_t i = 0; i < len; i++) { /* right-aligned: a serial may begin with zeros */
        uint8_t digit = (uint8_t)(serial[i] <= '9' ? serial[i] - '0' : serial[i] - 'a' + 10);
        size_t at = 2 * NODE_SERIAL_LEN - len + i;
        out->serial[at / 2] |= (uint8_t)(digit << (at % 2 == 0 ? 4 : 0));
    }
}

bool cert_has_key(const struct cert *cert, const struct cert_key *key)
{
    bool same = EVP_PKEY_eq(X509_get0_pubkey(cert->x509), key->pkey) == 1;
    ERR_clear_error();
    return same;
}

static err_t verify_err(int code)
{
    return code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID ? E_EXPIRED : E_AUTH;
}

static err_t verify_chain(X509 *x509, X509 *ca, uint64_t now_s)
{
    err_t err = E_NO_MEMORY;
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    if (store == NULL || context == NULL || X509_STORE_add_cert(store, ca) != 1 ||
        X509_STORE_CTX_init(context, store, x509, NULL) != 1)
        goto done;
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_time(param, (time_t)now_s);
    X509_VERIFY_PARAM_set_depth(param, 0); /* straight below the authority */
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    err = X509_verify_cert(context) == 1 ? E_OK : verify_err(X509_STORE_CTX_get_error(context));
done:
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return cert_refused(err);
}

err_t cert_verify(const struct cert *cert, const struct cert *ca, uint64_t now_s)
{
    struct cert_name name, ca_name;
    if (cert_is_ca(cert) || !cert_is_ca(ca))
        return E_AUTH;
    err_t err = verify_chain(cert->x509, ca->x509, now_s);
    if (err == E_OK)
        err = cert_get_name(cert, &name);
    if (err == E_OK)
        err = cert_get_name(ca, &ca_name);
    if (err == E_OK && memcmp(name.cluster_id, ca_name.cluster_id, CLUSTER_ID_LEN) != 0)
        err = E_BAD_ID;
    return err;
}
