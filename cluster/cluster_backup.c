/* cluster_backup.c - a sealed copy of the whole state at one index: the loop begins a read transaction, the
 * pool reads it to its end and seals it, so nothing waits meanwhile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "cluster/cluster_internal.h"
#include "cluster/node_key.h"

struct stream {
    uint8_t *data; /* heap */
    size_t len, cap;
};

static err_t take_chunk(void *context, struct bytes chunk)
{
    struct stream *s = context;
    if (chunk.len > BACKUP_FILE_MAX - s->len)
        return E_LIMIT;
    if (s->cap - s->len < chunk.len) {
        size_t cap = s->cap + s->cap / 2 + chunk.len;
        uint8_t *data = realloc(s->data, cap);
        if (data == NULL)
            return E_NO_MEMORY;
        s->data = data;
        s->cap = cap;
    }
    memcpy(s->data + s->len, chunk.data, chunk.len);
    s->len += chunk.len;
    return E_OK;
}

/* In the pool. */
static void backup_work(void *context)
{
    struct cluster *c = context;
    struct backup_job *job = &c->backup_job;
    struct stream stream = {0};
    struct secret key = {0};
    job->err = backup_key_open(job->key_file, &key);
    if (job->err == E_OK)
        job->err = store_dump(job->txn, take_chunk, &stream);
    store_abort(job->txn);
    job->txn = NULL;
    if (job->err == E_OK)
        job->err = backup_seal(&job->head, &key, &job->data_key, (struct bytes){stream.data, stream.len},
                               c->options.rng, &job->file, &job->file_len);
    free(stream.data); /* its secrets are wrapped */
    secret_close(&key);
    secret_close(&job->data_key.key);
}

static void backup_done(void *context)
{
    struct cluster *c = context;
    struct backup_job *job = &c->backup_job;
    uint8_t *file = job->file;
    job->running = false;
    job->file = NULL;
    if (job->err == E_OK)
        event(BACKUP_TAKEN, (unsigned long long)job->head.index, (unsigned long long)job->file_len);
    else
        event(BACKUP_FAILED, err_text(job->err));
    job->done(job->context, job->err, job->head.index, file, job->file_len);
    cluster_pump(c);
}

static struct backup_head head_now(const struct cluster *c)
{
    const struct ks_state *state = &c->state;
    const struct raft_node_entry *entry = raft_node_entry(c->node, c->applied_index);
    struct backup_head head = {.index = c->applied_index,
                               .term = entry != NULL ? entry->term : raft_node_term(c->node),
                               .cluster_ms = cluster_now_ms(c),
                               .wall_ms = clock_wall_ms(c->options.clock),
                               .groups = (uint32_t)state->group_count,
                               .psks = (uint32_t)state->psks.count,
                               .nodes = (uint32_t)state->node_count};
    memcpy(head.cluster_id, state->cluster.cluster_id, CLUSTER_ID_LEN);
    for (size_t i = 0; i < state->group_count; i++)
        head.members += (uint32_t)state->groups[i]->members.count;
    return head;
}

static err_t begin(struct cluster *c, const char *key_file)
{
    struct backup_job *job = &c->backup_job;
    if (c->dead || c->stopping || !c->ready || !c->have_key)
        return E_STATE;
    if (job->running || c->snapshot_job.running || c->installing)
        return E_AGAIN;
    *job = (struct backup_job){.head = head_now(c)};
    if (key_file[0] == '\0')
        return E_MISSING;
    if (snprintf(job->key_file, sizeof(job->key_file), "%s", key_file) >= (int)sizeof(job->key_file))
        return E_LIMIT;
    return store_begin_read(c->store, &job->txn);
}

err_t cluster_backup(struct cluster *c, const char *key_file, cluster_backup_fn done, void *context)
{
    struct backup_job *job = &c->backup_job;
    err_t err = begin(c, key_file);
    if (err != E_OK) {
        event(BACKUP_FAILED, err == E_MISSING ? "node.backup_key_file is not set" : err_text(err));
        return err;
    }
    job->data_key.version = c->wrap->version;
    secret_copy(&job->data_key.key, &c->wrap->key);
    job->done = done;
    job->context = context;
    job->running = true;
    job->job = (struct cluster_job){backup_work, backup_done, c};
    cluster_loop_run(c->loop, LANE_SNAPSHOT, &job->job);
    return E_OK;
}
