/* raft_transport_tls.h - how key servers prove themselves to each other: mutual TLS 1.3 (RFC 8446) with
 * certificates of the cluster's authority, over memory instead of sockets. No tickets, no resumption, no
 * early data: every connection is verified anew. ALPN "quorate-peer/1" (RFC 7301) keeps other protocols of
 * the same authority away. */
#ifndef CLUSTER_RAFT_TRANSPORT_TLS_H
#define CLUSTER_RAFT_TRANSPORT_TLS_H

#include <openssl/ssl.h>

#include "cluster/certs.h"
#include "cluster/raft_transport.h"

struct transport_tls {
    SSL_CTX *context;
    struct cert_name name; /* of our certificate */
    char serial[CERT_SERIAL_MAX];
    int64_t expires_s; /* since 1970 */
};

/* One side of a connection; certificates are judged at wall_s. E_NO_MEMORY, E_CRYPTO. */
err_t transport_tls_session(const struct transport_tls *tls, bool dialed, uint64_t wall_s,
                            SSL **out) MUST_USE;
/* Why the handshake or a read failed; empties OpenSSL's error queue. */
enum transport_reason transport_tls_reason(SSL *ssl);
/* After the handshake: whom the verified certificate names. REASON_NONE or why not. */
enum transport_reason transport_tls_peer(SSL *ssl, struct cert_name *out);

#endif
