/* ike_loop_uv.c - the socket for members, and whether there is one. A founder binds it before it gives up its
 * capabilities. Who joins binds once its role is known, which stands in the node table: a witness never does.
 */
#include <errno.h>
#include <string.h>

#include "base/sandbox.h"
#include "server/loop_uv_parts.h"

static void on_datagram(void *context, const struct ike_path *path, struct bytes datagram)
{
    core_datagram(((struct server *)context)->core, path, datagram);
}

static void on_udp(uv_poll_t *poll, int status, int events)
{
    struct server *server = poll->data;
    (void)status; /* an ICMP error of some peer: recvmmsg takes it off the socket */
    (void)events;
    udp_receive(server->udp, on_datagram, server);
}

bool server_may_be_witness(const struct server *server)
{
    return server->config->join.addr.family != 0;
}

bool server_is_witness(const struct server *server)
{
    enum node_role role;
    return server->cluster != NULL && cluster_role(server->cluster, &role) && role == NODE_WITNESS;
}

err_t server_ike_bind(struct server *server)
{
    char text[ADDR_TEXT_MAX];
    err_t err = udp_open(&server->udp, &server->config->listen);
    if (err == E_IO)
        event(SOCKET_ERROR, "bind", endpoint_format(&server->config->listen, text), strerror(errno));
    return err;
}

void server_ike_watch(struct server *server)
{
    if (server->udp == NULL || server->polling || !server->handles)
        return;
    uv_poll_init(&server->loop, &server->poll, udp_fd(server->udp));
    server->poll.data = server;
    server->polling = true;
    uv_poll_start(&server->poll, UV_READABLE, on_udp);
}

void server_ike_unwatch(struct server *server)
{
    if (server->polling)
        uv_close((uv_handle_t *)&server->poll, NULL);
    server->polling = false;
}

/* A witness has no socket. It had one if its file lost its 'join': then that ends here. */
static void be_witness(struct server *server)
{
    server->role_known = true;
    server_ike_unwatch(server);
    udp_free(server->udp);
    server->udp = NULL;
    server->lost = 0;
    event(WITNESS_ONLY);
}

err_t server_ike_look(struct server *server)
{
    enum node_role role;
    char text[ADDR_TEXT_MAX];
    err_t err = E_OK;
    if (server->role_known || !cluster_role(server->cluster, &role))
        return E_OK;
    if (role == NODE_WITNESS) {
        be_witness(server);
    } else {
        bool late = server->udp == NULL;
        err = late ? server_ike_bind(server) : E_OK;
        server->role_known = err == E_OK;
        server_ike_watch(server);
        if (err == E_OK && late) {
            struct endpoint listen = udp_endpoint(server->udp);
            event(IKE_LISTENING, endpoint_format(&listen, text));
        }
    }
    if (err == E_OK && server_may_be_witness(server))
        sandbox_bound();
    return err;
}
