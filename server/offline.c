#include "server/offline.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/event.h"
#include "base/hex.h"
#include "cluster/node_key.h"
#include "cluster/restore.h"

enum { TIME_TEXT_MAX = 32, SHOWN_LEN = 8, REASON_MAX = 160 };

static const char *time_text(uint64_t ms, char out[TIME_TEXT_MAX])
{
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000);
    if (gmtime_r(&seconds, &tm) == NULL || strftime(out, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(out, TIME_TEXT_MAX, "?");
    return out;
}

/* In the words of a backup: the errors of the floors below are about more. */
static const char *backup_reason(err_t err)
{
    switch (err) {
    case E_BAD_VERSION:
        return "a backup of a version that this ksd does not know";
    case E_TRUNCATED:
        return "the backup is cut short";
    case E_TRAILING:
        return "something stands behind the end of the backup";
    case E_CORRUPT:
    case E_RANGE:
        return "this is no backup of ksd, or it is damaged";
    case E_AUTH:
        return "the backup key is another one than the backup was made with, or the backup is forged";
    case E_OLD_BUILD:
        return "the backup is of a cluster whose level is above that of this ksd: a newer one is needed";
    case E_LIMIT:
        return "the file is too large, or the sequence numbers of a group would end";
    default:
        return err_text(err);
    }
}

static void show(const char *file, const struct backup_head *head, size_t len)
{
    char when[TIME_TEXT_MAX], cluster[2 * CLUSTER_ID_LEN + 1];
    printf("%s: sealed backup, version %d, %zu octets, digest good\n", file, BACKUP_VERSION, len);
    printf("  cluster     %s\n", hex_text(cluster, head->cluster_id, CLUSTER_ID_LEN));
    printf("  taken       %s, index %llu, term %llu\n", time_text(head->wall_ms, when),
           (unsigned long long)head->index, (unsigned long long)head->term);
    printf("  holds       %u groups, %u members, %u pre-shared keys, %u key servers\n",
           (unsigned)head->groups, (unsigned)head->members, (unsigned)head->psks, (unsigned)head->nodes);
}

bool offline_check(const char *file)
{
    struct backup_head head;
    uint8_t *data = NULL;
    size_t len = 0;
    err_t err = disk_read(file, BACKUP_FILE_MAX, &data, &len);
    if (err != E_OK) {
        fprintf(stderr, "ksd: %s: %s\n", file, err_text(err));
        return false;
    }
    err = backup_check((struct bytes){data, len}, &head);
    free(data);
    if (err == E_OK)
        show(file, &head, len);
    else
        fprintf(stderr, "ksd: %s: %s\n", file, backup_reason(err));
    return err == E_OK;
}

static err_t read_all(const char *file, const struct ksd_config *config, struct secret *key, uint8_t **data,
                      size_t *len, char why[REASON_MAX])
{
    if (config->backup_key_file[0] == '\0') {
        snprintf(why, REASON_MAX, "node.backup_key_file is not set in the configuration");
        return E_MISSING;
    }
    err_t err = backup_key_open(config->backup_key_file, key);
    if (err != E_OK) {
        snprintf(why, REASON_MAX, "the backup key cannot be read: %s",
                 err == E_BAD_LENGTH ? "expected 16 to 128 characters" : err_text(err));
        return err;
    }
    err = disk_read(file, BACKUP_FILE_MAX, data, len);
    if (err != E_OK)
        snprintf(why, REASON_MAX, "%s", err_text(err));
    return err;
}

bool offline_restore(const char *file, const struct ksd_config *config)
{
    struct restore_options options = {.data_dir = config->data_dir,
                                      .node_key_file = config->node_key_file,
                                      .disk = &disk_real,
                                      .rng = &rng_system};
    struct restore_report report;
    struct secret key = {0};
    char why[REASON_MAX] = "", old_id[2 * SHOWN_LEN + 1], new_id[2 * SHOWN_LEN + 1];
    uint8_t *data = NULL;
    size_t len = 0;
    err_t err = read_all(file, config, &key, &data, &len, why);
    if (err == E_OK) {
        err = cluster_restore(&options, (struct bytes){data, len}, &key, &report);
        if (err == E_EXISTS)
            snprintf(why, sizeof(why), "the data directory is not empty");
        else if (err != E_OK)
            snprintf(why, sizeof(why), "%s", backup_reason(err));
    }
    secret_close(&key);
    free(data);
    if (err != E_OK) {
        event(RESTORE_FAILED, file, why);
        return false;
    }
    event(RESTORED, hex_text(old_id, report.head.cluster_id, SHOWN_LEN),
          (unsigned long long)report.head.index, hex_text(new_id, report.cluster_id, SHOWN_LEN));
    show(file, &report.head, len);
    printf("  restored in %s; start ksd, then let the other key servers join anew\n", config->data_dir);
    return true;
}
