#include "cluster/raft_transport_tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/certs_internal.h"

static const uint8_t alpn[] = "\x0equorate-peer/1";
enum {
    ALPN_LEN = sizeof(alpn) - 1,
    CHAIN_MAX = 8192, /* octets of the certificates that a peer may send: it needs one */
};

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                       unsigned in_len, void *context)
{
    (void)ssl, (void)context;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_len, alpn, ALPN_LEN, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool set_protocol(SSL_CTX *context)
{
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(context, CHAIN_MAX);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_verify_depth(context, 0); /* straight below the authority */
    SSL_CTX_set_alpn_select_cb(context, choose_alpn, NULL);
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_num_tickets(context, 0) == 1 &&
           SSL_CTX_set_ciphersuites(
               context, "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") == 1 &&
           SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1 &&
           SSL_CTX_set1_sigalgs_list(context, "ecdsa_secp256r1_sha256") == 1 &&
           SSL_CTX_set_alpn_protos(context, alpn, ALPN_LEN) == 0;
}

static err_t trust(SSL_CTX *context, const struct cert *const *cas, size_t ca_count)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    for (size_t i = 0; i < ca_count; i++) {
        if (X509_STORE_add_cert(store, cas[i]->x509) != 1)
            return E_NO_MEMORY;
    }
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_X509_STRICT);
    return E_OK;
}

static err_t check_own(const struct cert *cert, const struct cert_key *key, const struct cert *const *cas,
                       size_t ca_count, uint64_t now_s)
{
    err_t err = ca_count == 0 ? E_AUTH : E_OK;
    if (ca_count > CERT_CA_COUNT_MAX)
        return E_LIMIT;
    if (!cert_has_key(cert, key))
        return E_BAD_KEY;
    for (size_t i = 0; i < ca_count; i++) {
        err = cert_verify(cert, cas[i], now_s);
        if (err != E_AUTH)
            break;
    }
    return err;
}

err_t transport_tls_open(struct transport_tls **out, const struct cert *cert, const struct cert_key *key,
                         const struct cert *const *cas, size_t ca_count, uint64_t now_s)
{
    err_t err = check_own(cert, key, cas, ca_count, now_s);
    if (err != E_OK)
        return err;
    struct transport_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL)
        return E_NO_MEMORY;
    err = cert_get_name(cert, &tls->name);
    if (err != E_OK)
        goto failed;
    cert_serial(cert, tls->serial);
    tls->expires_s = (int64_t)now_s + cert_seconds_left(cert, now_s);
    err = E_NO_MEMORY;
    tls->context = SSL_CTX_new(TLS_method());
    if (tls->context == NULL)
        goto failed;
    err = trust(tls->context, cas, ca_count);
    if (err != E_OK)
        goto failed;
    err = E_CRYPTO;
    if (!set_protocol(tls->context) || SSL_CTX_use_certificate(tls->context, cert->x509) != 1 ||
        SSL_CTX_use_PrivateKey(tls->context, key->pkey) != 1)
        goto failed;
    *out = tls;
    return E_OK;
failed:
    transport_tls_free(tls);
    return cert_refused(err);
}

void transport_tls_free(struct transport_tls *tls)
{
    if (tls == NULL)
        return;
    SSL_CTX_free(tls->context); /* each session holds it */
    free(tls);
}

err_t transport_tls_session(const struct transport_tls *tls, bool dialed, uint64_t wall_s, SSL **out)
{
    SSL *ssl = SSL_new(tls->context);
    BIO *in = BIO_new(BIO_s_mem()), *to_peer = BIO_new(BIO_s_mem());
    if (ssl == NULL || in == NULL || to_peer == NULL) {
        SSL_free(ssl);
        BIO_free(in);
        BIO_free(to_peer);
        return cert_refused(E_NO_MEMORY);
    }
    BIO_set_mem_eof_return(in, -1); /* empty means: not yet */
    SSL_set_bio(ssl, in, to_peer);
    X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), (time_t)wall_s);
    if (dialed)
        SSL_set_connect_state(ssl);
    else
        SSL_set_accept_state(ssl);
    *out = ssl;
    return E_OK;
}

static enum transport_reason verify_reason(long code)
{
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return REASON_CERTIFICATE_EXPIRED;
    default:
        return REASON_BAD_CERTIFICATE;
    }
}

enum transport_reason transport_tls_reason(SSL *ssl)
{
    int reason = ERR_GET_REASON(ERR_peek_error());
    ERR_clear_error();
    switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return verify_reason(SSL_get_verify_result(ssl));
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return REASON_NO_CERTIFICATE;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_UNEXPECTED_MESSAGE:
        return SSL_is_init_finished(ssl) ? REASON_TLS_FAILED : REASON_NOT_TLS;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
        return REASON_TLS_VERSION;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return REASON_BAD_PROTOCOL;
    default:
        return reason > SSL_AD_REASON_OFFSET ? REASON_TLS_REFUSED
                                             : REASON_TLS_FAILED; /* an alert, or our own finding */
    }
}

enum transport_reason transport_tls_peer(SSL *ssl, struct cert_name *out)
{
    const unsigned char *chosen = NULL;
    unsigned chosen_len = 0;
    X509 *x509 = SSL_get0_peer_certificate(ssl);
    if (x509 == NULL)
        return REASON_NO_CERTIFICATE;
    if (SSL_get_verify_result(ssl) != X509_V_OK)
        return REASON_BAD_CERTIFICATE;
    SSL_get0_alpn_selected(ssl, &chosen, &chosen_len);
    if (chosen_len != ALPN_LEN - 1 || memcmp(chosen, alpn + 1, chosen_len) != 0)
        return REASON_BAD_PROTOCOL;
    if (X509_check_ca(x509) != 0)
        return REASON_BAD_CERTIFICATE;
    return cert_x509_name(x509, out) == E_OK ? REASON_NONE : REASON_NO_NODE_NAME;
}
