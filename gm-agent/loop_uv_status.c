/* loop_uv_status.c - the status socket on the loop. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "gm-agent/loop_uv_parts.h"

static void on_closed(uv_handle_t *handle)
{
    struct status_client *client = handle->data;
    if (--client->open_handles == 0) {
        client->loop->clients--;
        free(client);
    }
}

static void client_close(struct status_client *client)
{
    if (client->closing)
        return;
    client->closing = true;
    uv_close((uv_handle_t *)&client->pipe, on_closed);
    uv_close((uv_handle_t *)&client->timer, on_closed);
}

static void on_timeout(uv_timer_t *timer)
{
    client_close(timer->data);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status;
    client_close(write->data);
}

/* Behind the counters. */
static void look_at_dataplane(const struct datapath *datapath, struct status_view *view)
{
    view->has_dscp = datapath->ops->dscp != NULL;
    if (view->has_dscp)
        datapath->ops->dscp(datapath, &view->dscp);
    if (datapath->ops->lanes != NULL)
        view->lane_count = datapath->ops->lanes(datapath, view->lanes);
}

static void answer(struct status_client *client)
{
    struct gm_loop *loop = client->loop;
    bool json = false;
    enum status_command command = status_parse(client->line, &json);
    if (command == STATUS_CLEAR)
        loop_step(loop, &(struct agent_event){.kind = AGENT_EVENT_CLEAR});
    struct datapath_ability abilities[DATAPATH_ABILITY_MAX];
    size_t ability_count = 0;
    if (command == STATUS_SHOW_ELI || command == STATUS_SHOW_ELI_DETAIL)
        ability_count = datapath_abilities(loop->datapath, abilities);
    struct status_view view = {
        .agent = &loop->agent,
        .counters = loop->datapath->ops->counters(loop->datapath),
        .backend = loop->datapath->ops->name,
        .now_ms = clock_mono_ms(&clock_system),
        .abilities = abilities,
        .ability_count = ability_count,
        .probe = loop->probe.core.count != 0 ? &loop->probe.core : NULL,
        .line = client->line,
    };
    view.has_replay = loop->datapath->ops->replay != NULL;
    if (view.has_replay)
        loop->datapath->ops->replay(loop->datapath, &view.replay);
    look_at_dataplane(loop->datapath, &view);
    size_t len = json ? status_json(&view, command, client->answer, sizeof(client->answer))
                      : status_text(&view, command, client->answer, sizeof(client->answer));
    uv_buf_t buffer = uv_buf_init(client->answer, (unsigned)len);
    client->write.data = client;
    uv_read_stop((uv_stream_t *)&client->pipe);
    if (uv_write(&client->write, (uv_stream_t *)&client->pipe, &buffer, 1, on_written) != 0)
        client_close(client);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct status_client *client = handle->data;
    (void)suggested;
    *buffer =
        uv_buf_init(client->line + client->line_len, (unsigned)(sizeof(client->line) - 1 - client->line_len));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct status_client *client = stream->data;
    (void)buffer;
    if (got < 0) {
        client_close(client);
        return;
    }
    client->line_len += (size_t)got;
    client->line[client->line_len] = '\0';
    char *end = strchr(client->line, '\n');
    if (end != NULL) {
        *end = '\0';
        answer(client);
    } else if (client->line_len == sizeof(client->line) - 1) {
        client_close(client);
    }
}

static void on_connection(uv_stream_t *server, int status)
{
    struct gm_loop *loop = server->data;
    struct status_client *client = status == 0 ? calloc(1, sizeof(*client)) : NULL;
    if (client == NULL)
        return;
    client->loop = loop;
    client->pipe.data = client->timer.data = client;
    client->open_handles = 2;
    loop->clients++;
    uv_pipe_init(&loop->uv, &client->pipe, 0);
    uv_timer_init(&loop->uv, &client->timer);
    if (uv_accept(server, (uv_stream_t *)&client->pipe) != 0 || loop->clients > STATUS_CLIENT_MAX ||
        uv_timer_start(&client->timer, on_timeout, STATUS_CLIENT_TIMEOUT_MS, 0) != 0 ||
        uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read) != 0)
        client_close(client);
}

/* A socket that a killed agent left is in the way; anything else at that path is not ours to remove. */
static void remove_stale(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
}

err_t loop_status_open(struct gm_loop *loop, char *why, size_t why_size)
{
    const char *path = loop->config->status_socket;
    if (path[0] == '\0')
        return E_OK;
    remove_stale(path);
    mode_t old = umask(0177);
    uv_pipe_init(&loop->uv, &loop->status, 0);
    loop->status.data = loop;
    loop->has_status = true;
    int failed = uv_pipe_bind(&loop->status, path);
    umask(old);
    if (failed == 0)
        failed = uv_listen((uv_stream_t *)&loop->status, STATUS_CLIENT_MAX, on_connection);
    if (failed != 0) {
        snprintf(why, why_size, "status_socket %s: %s", path, uv_strerror(failed));
        return failed == UV_EACCES ? E_PERMISSION : E_IO;
    }
    return E_OK;
}
