/* Requests and certificates: making and signing. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/certs_internal.h"

enum { VERSION_3 = 2, REQUEST_VERSION_1 = 0, SUBJECT_MAX = 65 /* RFC 5280 A.1: ub-common-name, with NUL */ };

/* For people; nothing is decided by it. */
static const char *subject_text(const struct cert_name *name, bool is_ca, char out[SUBJECT_MAX])
{
    char uri[CERT_URI_MAX];
    cert_uri_format(name, uri);
    const char *cluster = strchr(uri, ':') + 1, *node = strrchr(uri, ':') + 1;
    if (is_ca)
        snprintf(out, SUBJECT_MAX, "Quorate cluster %.*s", 2 * CLUSTER_ID_LEN, cluster);
    else
        snprintf(out, SUBJECT_MAX, "Quorate node %s", node);
    return out;
}

static bool set_subject(X509_NAME *subject, const struct cert_name *name, bool is_ca)
{
    char text[SUBJECT_MAX];
    subject_text(name, is_ca, text);
    return subject != NULL && X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                                         (const unsigned char *)text, -1, -1, 0) == 1;
}

/* 127 random bits, not 0 (RFC 5280 4.1.2.2). */
static err_t set_serial(X509 *x509, const struct rng *rng)
{
    uint8_t raw[CERT_SERIAL_LEN];
    err_t err = rng_fill(rng, raw, sizeof(raw));
    if (err != E_OK)
        return err;
    raw[0] = (uint8_t)((raw[0] & 0x7f) | 0x40);
    BIGNUM *number = BN_bin2bn(raw, sizeof(raw), NULL);
    bool good = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != NULL;
    BN_free(number);
    return good ? E_OK : E_CRYPTO;
}

static bool add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool good = extension != NULL && X509_add_ext(x509, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static bool add_name(X509 *x509, X509 *issuer, const struct cert_name *name)
{
    char value[4 + CERT_URI_MAX], uri[CERT_URI_MAX];
    snprintf(value, sizeof(value), "URI:%s", cert_uri_format(name, uri));
    return add_extension(x509, issuer, NID_subject_alt_name, value);
}

struct cert_plan {
    const struct cert_name *name;
    bool is_ca;
    EVP_PKEY *subject_key;
    X509 *issuer; /* NULL: itself */
    EVP_PKEY *issuer_key;
    uint64_t now_s;
    uint64_t life_s;
};

static bool set_validity(X509 *x509, const struct cert_plan *plan)
{
    time_t from = plan->now_s > CERT_BACKDATE_S ? (time_t)(plan->now_s - CERT_BACKDATE_S) : 0;
    time_t until = (time_t)(plan->now_s + plan->life_s);
    if (ASN1_TIME_set(X509_getm_notBefore(x509), from) == NULL ||
        ASN1_TIME_set(X509_getm_notAfter(x509), until) == NULL)
        return false;
    if (plan->issuer == NULL ||
        ASN1_TIME_compare(X509_get0_notAfter(x509), X509_get0_notAfter(plan->issuer)) <= 0)
        return true;
    return X509_set1_notAfter(x509, X509_get0_notAfter(plan->issuer)) == 1;
}

/* Basic constraints and key usage as RFC 5280 4.2.1.3, 4.2.1.9 and 4.2.1.12 want them; path length 0: no
 * authority below this one. */
static bool set_extensions(X509 *x509, const struct cert_plan *plan)
{
    X509 *issuer = plan->issuer != NULL ? plan->issuer : x509;
    bool good = add_extension(x509, issuer, NID_basic_constraints,
                              plan->is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE");
    good = good && add_extension(x509, issuer, NID_key_usage,
                                 plan->is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
    if (!plan->is_ca)
        good = good && add_extension(x509, issuer, NID_ext_key_usage, "serverAuth,clientAuth");
    good = good && add_extension(x509, issuer, NID_subject_key_identifier, "hash");
    good = good && add_extension(x509, issuer, NID_authority_key_identifier, "keyid:always");
    return good && add_name(x509, issuer, plan->name);
}

static err_t make(const struct cert_plan *plan, const struct rng *rng, struct cert **out)
{
    err_t err = E_NO_MEMORY;
    X509 *x509 = X509_new();
    if (x509 == NULL)
        goto failed;
    err = set_serial(x509, rng);
    if (err != E_OK)
        goto failed;
    err = E_CRYPTO;
    X509_NAME *subject = X509_get_subject_name(x509);
    if (X509_set_version(x509, VERSION_3) != 1 || !set_subject(subject, plan->name, plan->is_ca) ||
        X509_set_issuer_name(x509, plan->issuer != NULL ? X509_get_subject_name(plan->issuer) : subject) !=
            1 ||
        X509_set_pubkey(x509, plan->subject_key) != 1 || !set_validity(x509, plan) ||
        !set_extensions(x509, plan) || X509_sign(x509, plan->issuer_key, EVP_sha256()) <= 0)
        goto failed;
    return cert_wrap(x509, out);
failed:
    X509_free(x509);
    return cert_refused(err);
}

err_t cert_make_ca(const struct cert_key *key, const uint8_t cluster_id[CLUSTER_ID_LEN],
                   const struct rng *rng, uint64_t now_s, unsigned days, struct cert **out)
{
    struct cert_name name = {0};
    memcpy(name.cluster_id, cluster_id, CLUSTER_ID_LEN);
    struct cert_plan plan = {.name = &name,
                             .is_ca = true,
                             .subject_key = key->pkey,
                             .issuer_key = key->pkey,
                             .now_s = now_s,
                             .life_s = (uint64_t)days * 86400};
    return make(&plan, rng, out);
}

static bool request_add_name(X509_REQ *request, const struct cert_name *name)
{
    char value[4 + CERT_URI_MAX], uri[CERT_URI_MAX];
    snprintf(value, sizeof(value), "URI:%s", cert_uri_format(name, uri));
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, value);
    STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
    bool good = extension != NULL && list != NULL && sk_X509_EXTENSION_push(list, extension) == 1 &&
                X509_REQ_add_extensions(request, list) == 1;
    X509_EXTENSION_free(extension);
    sk_X509_EXTENSION_free(list);
    return good;
}

err_t cert_request_make(const struct cert_key *key, const struct cert_name *name, uint8_t out[CERT_DER_MAX],
                        size_t *out_len)
{
    err_t err = E_NO_MEMORY;
    X509_REQ *request = X509_REQ_new();
    if (request == NULL)
        return cert_refused(err);
    err = E_CRYPTO;
    if (X509_REQ_set_version(request, REQUEST_VERSION_1) != 1 ||
        !set_subject(X509_REQ_get_subject_name(request), name, false) ||
        X509_REQ_set_pubkey(request, key->pkey) != 1 || !request_add_name(request, name) ||
        X509_REQ_sign(request, key->pkey, EVP_sha256()) <= 0)
        goto done;
    int len = i2d_X509_REQ(request, NULL);
    if (len <= 0 || len > CERT_DER_MAX)
        goto done;
    *out_len = (size_t)i2d_X509_REQ(request, &out);
    err = E_OK;
done:
    X509_REQ_free(request);
    return cert_refused(err);
}

static err_t request_name(X509_REQ *request, struct cert_name *out)
{
    STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(request);
    int critical = 0;
    STACK_OF(GENERAL_NAME) *names = X509V3_get_d2i(list, NID_subject_alt_name, &critical, NULL);
    err_t err = names == NULL && critical == -2 ? E_BAD_ID : cert_names_find(names, out);
    GENERAL_NAMES_free(names);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    return cert_refused(err);
}

static err_t request_open(struct bytes der, X509_REQ **out, struct cert_name *name)
{
    if (der.len == 0 || der.len > CERT_DER_MAX)
        return E_CORRUPT;
    const uint8_t *at = der.data;
    X509_REQ *request = d2i_X509_REQ(NULL, &at, (long)der.len);
    err_t err = request == NULL || at != der.data + der.len ? E_CORRUPT : E_OK;
    EVP_PKEY *pkey = err == E_OK ? X509_REQ_get0_pubkey(request) : NULL;
    if (err == E_OK && !cert_key_is_p256(pkey))
        err = E_BAD_KEY;
    if (err == E_OK && X509_REQ_verify(request, pkey) != 1)
        err = E_BAD_SIGNATURE;
    if (err == E_OK)
        err = request_name(request, name);
    if (err == E_OK) {
        *out = request;
    } else {
        X509_REQ_free(request);
    }
    return cert_refused(err);
}

err_t cert_request_check(struct bytes der, struct cert_name *out)
{
    X509_REQ *request = NULL;
    err_t err = request_open(der, &request, out);
    X509_REQ_free(request);
    return err;
}

err_t cert_issue_for(const struct cert_key *ca_key, const struct cert *ca, struct bytes request,
                     const struct cert_name *name, const struct rng *rng, uint64_t now_s, uint64_t life_s,
                     struct cert **out)
{
    X509_REQ *req = NULL;
    struct cert_name asked, ca_name;
    if (!cert_is_ca(ca) || !cert_has_key(ca, ca_key))
        return E_BAD_KEY;
    err_t err = cert_get_name(ca, &ca_name);
    if (err == E_OK)
        err = request_open(request, &req, &asked);
    if (err != E_OK)
        return err;
    struct cert_plan plan = {.name = name,
                             .subject_key = X509_REQ_get0_pubkey(req),
                             .issuer = ca->x509,
                             .issuer_key = ca_key->pkey,
                             .now_s = now_s,
                             .life_s = life_s};
    if (!cert_name_equal(&asked, name) || memcmp(ca_name.cluster_id, name->cluster_id, CLUSTER_ID_LEN) != 0)
        err = E_BAD_ID;
    else
        err = make(&plan, rng, out);
    X509_REQ_free(req);
    return err;
}

err_t cert_issue(const struct cert_key *ca_key, const struct cert *ca, struct bytes request,
                 const struct cert_name *name, const struct rng *rng, uint64_t now_s, unsigned days,
                 struct cert **out)
{
    return cert_issue_for(ca_key, ca, request, name, rng, now_s, (uint64_t)days * 86400, out);
}
