/* config_psk.c - the list 'psk' of ksd.conf: a key in the file itself, or in a private file of its own. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "server/config.h"

static const char *const psk_names[] = {"peer", "secret", "secret_file", NULL};

/* A file that others can read holds no secret: refused, not warned about. */
static err_t open_private(const struct conf_node *node, const char *path, int *out, struct conf_error *error)
{
    struct stat st = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return conf_fail(node, error, "psk.secret_file: cannot open \"%.120s\": %s", path, strerror(errno));
    const char *wrong = NULL;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        wrong = "a regular file";
    else if ((st.st_mode & (st.st_uid == 0 && geteuid() != 0 ? 037 : 077)) != 0)
        wrong = "mode 0600 or stricter (0640 if it is root's and ksd is not)";
    else if (st.st_size > SECRET_FILE_MAX)
        wrong = "one line of at most 128 octets";
    if (wrong != NULL) {
        close(fd);
        return conf_fail(node, error, "psk.secret_file \"%.120s\": expected %s", path, wrong);
    }
    *out = fd;
    return E_OK;
}

static err_t read_all(int fd, uint8_t *buf, size_t cap, size_t *len)
{
    *len = 0;
    while (*len < cap) {
        ssize_t got = read(fd, buf + *len, cap - *len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return E_IO;
        if (got == 0)
            return E_OK;
        *len += (size_t)got;
    }
    return E_OK;
}

/* The whole file less line ends behind it. */
static err_t secret_from_file(const struct conf_node *node, struct secret *out, struct conf_error *error)
{
    char path[CONFIG_PATH_MAX];
    uint8_t buf[SECRET_FILE_MAX];
    int fd = -1;
    err_t err = conf_text(node, "secret_file", true, path, sizeof(path), error);
    if (err == E_OK)
        err = open_private(node, path, &fd, error);
    if (err != E_OK)
        return err;
    size_t len;
    err = read_all(fd, buf, sizeof(buf), &len);
    close(fd);
    while (len > 0 && (buf[len - 1] == '\n' || buf[len - 1] == '\r'))
        len--;
    if (err != E_OK)
        err = conf_fail(node, error, "psk.secret_file: cannot read \"%.120s\"", path);
    else if (len == 0 || secret_set(out, (struct bytes){buf, len}) != E_OK)
        err = conf_fail(node, error, "psk.secret_file \"%.120s\": expected 1 to %d octets", path,
                        SECRET_LEN_MAX);
    secret_wipe(buf, sizeof(buf));
    return err;
}

static err_t secret_from_text(const struct conf_node *node, struct secret *out, struct conf_error *error)
{
    char text[CONF_TEXT_MAX];
    err_t err = conf_text(node, "secret", true, text, sizeof(text), error);
    if (err == E_OK && (text[0] == '\0' || secret_set(out, bytes_of_text(text)) != E_OK))
        err = conf_fail(node, error, "psk.secret: expected 1 to %d octets", SECRET_LEN_MAX);
    secret_wipe(text, sizeof(text));
    return err;
}

static err_t read_psk(const struct conf_node *node, struct config_psk *out, struct conf_error *error)
{
    err_t err = conf_only(node, psk_names, error);
    if (err == E_OK)
        err = conf_prefix(node, "peer", true, &out->peer, error);
    if (err != E_OK)
        return err;
    if (conf_has(node, "secret") == conf_has(node, "secret_file"))
        return conf_fail(node, error, "psk: expected either secret or secret_file");
    return conf_has(node, "secret") ? secret_from_text(node, &out->secret, error)
                                    : secret_from_file(node, &out->secret, error);
}

err_t config_psks_read(const struct conf_node *root, struct ksd_config *config, struct conf_error *error)
{
    const struct conf_node *list = NULL;
    err_t err = conf_list(root, "psk", &list, error);
    size_t count = conf_count(list);
    if (err != E_OK || count == 0)
        return err;
    if (count > PSK_MAX)
        return conf_fail(list, error, "psk: expected at most %d entries, found %zu", PSK_MAX, count);
    config->psks = calloc(count, sizeof(*config->psks));
    if (config->psks == NULL)
        return E_NO_MEMORY;

    struct map seen; /* the operator's own file: no seed needed against crafted keys */
    map_init(&seen, count, (const uint64_t[2]){0, 0});
    for (; config->psk_count < count && err == E_OK; config->psk_count++) {
        const struct conf_node *node = conf_item(list, config->psk_count);
        struct config_psk *psk = &config->psks[config->psk_count];
        char text[PREFIX_TEXT_MAX];
        err = read_psk(node, psk, error);
        if (err != E_OK)
            continue;
        err = map_insert(&seen, (struct bytes){(const uint8_t *)&psk->peer, sizeof(psk->peer)}, psk);
        if (err == E_EXISTS)
            err = conf_fail(node, error, "psk: expected different peers, found %s twice",
                            prefix_format(&psk->peer, text));
    }
    map_close(&seen);
    return err;
}
