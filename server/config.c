#include "server/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/cluster.h"

static const char *const root_names[] = {"node", "api", "cluster", "ike", "signing", "psk", "groups", NULL};
static const char *const node_names[] = {"listen", "port", "data_dir", "node_key_file", "backup_key_file", NULL};
static const char *const api_names[] = {"listen", "port", NULL};
static const char *const cluster_names[] = {
    "listen", "port", "advertise", "priority", "election_ms", "join", "token_file", "minority_serve_s", NULL};
static const char *const ike_names[] = {"proposals",  "lifetime_s", "legacy", "half_open_max",
                                        "rate_per_s", "rate_burst", NULL};
static const char *const signing_names[] = {"algorithm", "bits", NULL};
static const char *const sign_words[] = {"rsa", "ecdsa256", "ecdsa384", NULL};
static const enum sign_alg sign_algs[] = {SIGN_RSA, SIGN_ECDSA_256, SIGN_ECDSA_384};

static err_t read_port(const struct conf_node *node, uint16_t *port, struct conf_error *error)
{
    uint32_t value = *port;
    err_t err = conf_u32(node, "port", false, 1, 65535, &value, error);
    *port = (uint16_t)value;
    return err;
}

static err_t read_node(const struct conf_node *root, struct ksd_config *config, struct conf_error *error)
{
    const struct conf_node *node = NULL;
    err_t err = conf_group(root, "node", &node, error);
    if (err == E_OK && node == NULL)
        return conf_fail(root, error, "expected a group \"node\"");
    if (err == E_OK)
        err = conf_only(node, node_names, error);
    if (err == E_OK)
        err = conf_addr(node, "listen", true, &config->listen.addr, error);
    if (err == E_OK)
        err = read_port(node, &config->listen.port, error);
    if (err == E_OK)
        err = conf_text(node, "data_dir", false, config->data_dir, sizeof(config->data_dir), error);
    if (err == E_OK)
        err = conf_text(node, "node_key_file", false, config->node_key_file, sizeof(config->node_key_file),
                        error);
    if (err == E_OK)
        err = conf_text(node, "backup_key_file", false, config->backup_key_file,
                        sizeof(config->backup_key_file), error);
    if (err == E_OK && addr_is_multicast(&config->listen.addr))
        return conf_fail(node, error,
                         "node.listen: expected an address of this machine, found a multicast address");
    return err;
}

static bool is_loopback(const struct addr *addr)
{
    static const uint8_t v6[16] = {[15] = 1};
    if (addr->family == AF_INET)
        return addr->bytes[0] == 127;
    return addr->family == AF_INET6 && memcmp(addr->bytes, v6, sizeof(v6)) == 0;
}

static err_t read_api(const struct conf_node *root, struct ksd_config *config, struct conf_error *error)
{
    const struct conf_node *node = NULL;
    err_t err = conf_group(root, "api", &node, error);
    if (err != E_OK || node == NULL)
        return err;
    err = conf_only(node, api_names, error);
    if (err == E_OK)
        err = conf_addr(node, "listen", false, &config->api.addr, error);
    if (err == E_OK)
        err = read_port(node, &config->api.port, error);
    if (err == E_OK && !is_loopback(&config->api.addr))
        return conf_fail(node, error, "api.listen: expected a loopback address, as the API is plain HTTP");
    return err;
}

/* "10.1.21.2:8482": a member's port for join requests. */
static err_t read_join(const struct conf_node *node, struct ksd_config *config, struct conf_error *error)
{
    char text[CONF_TEXT_MAX] = "";
    err_t err = conf_text(node, "join", false, text, sizeof(text), error);
    char *colon = strrchr(text, ':');
    if (err != E_OK || text[0] == '\0')
        return err;
    char *end = NULL;
    unsigned long port = colon != NULL ? strtoul(colon + 1, &end, 10) : 0;
    if (colon != NULL)
        *colon = '\0';
    if (port == 0 || port > 65535 || *end != '\0' || addr_parse(&config->join.addr, text) != E_OK)
        return conf_fail(node, error, "cluster.join: expected \"address:port\" of a key server's join port");
    config->join.port = (uint16_t)port;
    return E_OK;
}

static err_t read_cluster(const struct conf_node *root, struct ksd_config *config, struct conf_error *error)
{
    const struct conf_node *node = NULL;
    uint32_t priority = CLUSTER_PRIORITY;
    err_t err = conf_group(root, "cluster", &node, error);
    if (err != E_OK || node == NULL)
        return err;
    err = conf_only(node, cluster_names, error);
    if (err == E_OK)
        err = conf_addr(node, "listen", true, &config->cluster.addr, error);
    if (err == E_OK)
        err = read_port(node, &config->cluster.port, error);
    if (err == E_OK)
        err = conf_addr(node, "advertise", false, &config->advertise, error);
    if (err == E_OK)
        err = conf_u32(node, "priority", false, 1, 255, &priority, error);
    if (err == E_OK)
        err = conf_u32(node, "election_ms", false, ELECTION_MIN_MS, ELECTION_MAX_MS, &config->election_ms,
                       error);
    if (err == E_OK)
        err = conf_u32(node, "minority_serve_s", false, 0, MINORITY_SERVE_MAX_S, &config->minority_serve_s,
                       error);
    if (err == E_OK)
        err = conf_text(node, "token_file", false, config->token_file, sizeof(config->token_file), error);
    if (err == E_OK)
        err = read_join(node, config, error);
    config->priority = (uint8_t)priority;
    if (err == E_OK && config->cluster.port == 65535)
        return conf_fail(node, error,
                         "cluster.port: expected at most 65534, as the next port takes join requests");
    return err;
}

static err_t read_proposal(const struct conf_node *item, struct ike_policy *policy, struct conf_error *error)
{
    char text[CONF_TEXT_MAX];
    err_t err = conf_item_text(item, text, sizeof(text), error);
    if (err != E_OK)
        return err;
    err = ike_policy_add(policy, text);
    if (err == E_NOT_AUTHORIZED)
        return conf_fail(item, error, "ike.proposals: \"%.40s\" is weak: expected legacy = true with it",
                         text);
    if (err == E_FULL)
        return conf_fail(item, error, "ike.proposals: expected at most %d proposals", IKE_SUITE_MAX);
    if (err != E_OK)
        return conf_fail(
            item, error,
            "ike.proposals: expected cipher-hash-group such as \"aes256-sha256-ecp256\", found \"%.40s\"",
            text);
    return E_OK;
}

static err_t read_proposals(const struct conf_node *node, struct ike_policy *policy, struct conf_error *error)
{
    const struct conf_node *list = NULL;
    err_t err = conf_list(node, "proposals", &list, error);
    if (err != E_OK || list == NULL)
        return err;
    bool legacy = policy->legacy;
    uint32_t lifetime_s = policy->lifetime_s;
    *policy = (struct ike_policy){.legacy = legacy, .lifetime_s = lifetime_s};
    for (size_t i = 0; i < conf_count(list) && err == E_OK; i++)
        err = read_proposal(conf_item(list, i), policy, error);
    if (err == E_OK && policy->count == 0)
        return conf_fail(list, error, "ike.proposals: expected at least one proposal");
    return err;
}

static err_t read_ike(const struct conf_node *root, struct ksd_config *config, struct conf_error *error)
{
    const struct conf_node *node = NULL;
    err_t err = conf_group(root, "ike", &node, error);
    if (err != E_OK || node == NULL)
        return err;
    err = conf_only(node, ike_names, error);
    if (err == E_OK)
        err = conf_bool(node, "legacy", false, &config->ike.legacy, error);
    if (err == E_OK)
        err = conf_u32(node, "lifetime_s", false, IKE_LIFETIME_MIN_S, LIFETIME_MAX_S, &config->ike.lifetime_s,
                       error);
    if (err == E_OK)
        err = read_proposals(node, &config->ike, error);
    if (err == E_OK)
        err = conf_u32(node, "half_open_max", false, 1, HALF_OPEN_LIMIT, &config->half_open_max, error);
    if (err == E_OK)
        err = conf_u32(node, "rate_per_s", false, 1, RATE_LIMIT, &config->rate_per_s, error);
    if (err == E_OK)
        err = conf_u32(node, "rate_burst", false, 1, RATE_LIMIT, &config->rate_burst, error);
    return err;
}

static err_t read_signing(const struct conf_node *root, struct ksd_config *config, struct conf_error *error)
{
    const struct conf_node *node = NULL;
    err_t err = conf_group(root, "signing", &node, error);
    if (err != E_OK || node == NULL)
        return err;
    unsigned word = 0;
    uint32_t bits = config->sign_bits;
    err = conf_only(node, signing_names, error);
    if (err == E_OK)
        err = conf_word(node, "algorithm", false, sign_words, &word, error);
    if (err == E_OK)
        err = conf_u32(node, "bits", false, 2048, 4096, &bits, error);
    if (err == E_OK && bits % 1024 != 0)
        return conf_fail(node, error, "signing.bits: expected 2048, 3072 or 4096, found %u", bits);
    if (err == E_OK && conf_has(node, "bits") && sign_algs[word] != SIGN_RSA)
        return conf_fail(node, error, "signing.bits: expected with algorithm \"rsa\" only");
    config->sign_alg = sign_algs[word];
    config->sign_bits = (uint16_t)bits;
    return err;
}

static err_t check_twins(const struct conf_node *node, const struct ksd_config *config,
                         const struct group_config *group, struct conf_error *error)
{
    char text[ID_TEXT_MAX];
    for (const struct group_config *other = config->groups; other < group; other++) {
        if (strcmp(other->name, group->name) == 0)
            return conf_fail(node, error, "groups: expected different names, found \"%s\" twice",
                             group->name);
        if (identity_equal(&other->identity, &group->identity))
            return conf_fail(node, error,
                             "groups: expected different identities, \"%s\" and \"%s\" have %.80s",
                             other->name, group->name, identity_format(&group->identity, text));
    }
    return E_OK;
}

static err_t read_groups(const struct conf_node *root, struct ksd_config *config, struct conf_error *error)
{
    const struct conf_node *list = NULL;
    err_t err = conf_list(root, "groups", &list, error);
    size_t count = conf_count(list);
    if (err != E_OK || count == 0)
        return err;
    if (count > GROUP_MAX)
        return conf_fail(list, error, "groups: expected at most %d groups, found %zu", GROUP_MAX, count);
    config->groups = calloc(count, sizeof(*config->groups));
    if (config->groups == NULL)
        return E_NO_MEMORY;
    for (; config->group_count < count && err == E_OK; config->group_count++) {
        const struct conf_node *node = conf_item(list, config->group_count);
        struct group_config *group = &config->groups[config->group_count];
        err = config_group_read(node, config->sign_alg, group, error);
        if (err == E_OK)
            err = check_twins(node, config, group, error);
    }
    return err;
}

static err_t read_root(const struct conf_node *root, struct ksd_config *config, struct conf_error *error)
{
    err_t err = conf_only(root, root_names, error);
    if (err == E_OK)
        err = read_node(root, config, error);
    if (err == E_OK)
        err = read_api(root, config, error);
    if (err == E_OK)
        err = read_cluster(root, config, error);
    if (err == E_OK)
        err = read_ike(root, config, error);
    if (err == E_OK)
        err = read_signing(root, config, error);
    if (err == E_OK)
        err = config_psks_read(root, config, error);
    if (err == E_OK)
        err = read_groups(root, config, error);
    return err;
}

/* DIR/name that systemd gave (LoadCredential=node.key:...); else other. */
static void set_credential(char out[CONFIG_PATH_MAX], const char *name, const char *other)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    if (dir != NULL && snprintf(out, CONFIG_PATH_MAX, "%s/%s", dir, name) < CONFIG_PATH_MAX &&
        access(out, F_OK) == 0)
        return;
    snprintf(out, CONFIG_PATH_MAX, "%s", other);
}

static void set_defaults(struct ksd_config *config, const char *path)
{
    snprintf(config->path, sizeof(config->path), "%s", path);
    snprintf(config->data_dir, sizeof(config->data_dir), "/var/lib/quorate");
    set_credential(config->node_key_file, "node.key", "/etc/quorate/node.key"); /* which ksd makes itself */
    set_credential(config->backup_key_file, "backup.key", "");
    config->listen.port = GDOI_PORT;
    config->api = (struct endpoint){addr_v4(127, 0, 0, 1), API_PORT_DEFAULT};
    config->cluster.port = CLUSTER_PORT_DEFAULT;
    config->election_ms = CLUSTER_ELECTION_MS;
    config->priority = CLUSTER_PRIORITY;
    config->minority_serve_s = MINORITY_SERVE_DEFAULT;
    ike_policy_default(&config->ike);
    config->ike.lifetime_s = IKE_LIFETIME_CONFIG_S;
    config->half_open_max = HALF_OPEN_DEFAULT;
    config->rate_per_s = RATE_DEFAULT;
    config->rate_burst = RATE_BURST_DEFAULT;
    config->sign_alg = SIGN_RSA;
    config->sign_bits = 2048;
}

err_t config_read(struct ksd_config **out, const char *path, struct conf_error *error)
{
    *out = NULL;
    struct conf_file *file = NULL;
    err_t err = conf_open(&file, path, error);
    if (err != E_OK)
        return err;
    struct ksd_config *config = calloc(1, sizeof(*config));
    if (config == NULL) {
        conf_free(file);
        return E_NO_MEMORY;
    }
    set_defaults(config, path);
    err = read_root(conf_root(file), config, error);
    conf_free(file);
    if (err == E_OK)
        *out = config;
    else
        config_free(config);
    return err;
}

void config_free(struct ksd_config *config)
{
    if (config == NULL)
        return;
    if (config->psks != NULL)
        secret_wipe(config->psks, config->psk_count * sizeof(*config->psks));
    free(config->psks);
    free(config->groups);
    free(config);
}
