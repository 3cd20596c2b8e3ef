/* config_group.c - one group of ksd.conf: keys, lifetimes, selectors, members. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/config.h"

static const char *const group_names[] = {
    "name",   "identity", "server_address",  "kek",     "tek",    "rekey",
    "policy", "members",  "short_lifetimes", "dialect", "replay", NULL};
static const char *const kek_names[] = {"cipher", "lifetime_s", "hash", "ack", NULL};
static const char *const tek_names[] = {"transform", "lifetime_s", "sid_bits", "runway", NULL};
static const char *const rekey_names[] = {"retransmit_s", "retransmit_count", "activation_s",
                                          "deactivation_s", NULL};
static const char *const replay_names[] = {"window_ms", "attribute", NULL};
static const char *const selector_names[] = {"src", "dst", "protocol", "src_port", "dst_port", NULL};
static const char *const dialect_names[] = {"bare_signature",     "kek_under_old_spi", "lifetime_basic",
                                            "sign_padded_length", "ack_short_length",  NULL};

static const char *const cipher_words[] = {"aes128", "aes192", "aes256", NULL};
static const enum cipher_alg ciphers[] = {CIPHER_AES_CBC_128, CIPHER_AES_CBC_192, CIPHER_AES_CBC_256};
static const char *const hash_words[] = {"sha256", "sha384", "sha512", NULL};
static const enum hash_alg hashes[] = {HASH_SHA256, HASH_SHA384, HASH_SHA512};
static const char *const ack_words[] = {"none", "sha256", "sha512", NULL};
static const enum kek_ack acks[] = {KEK_ACK_NONE, KEK_ACK_SHA256, KEK_ACK_SHA512};

static const char *const transform_words[] = {"aes128-sha256",
                                              "aes192-sha256",
                                              "aes256-sha256",
                                              "aes256-sha384",
                                              "aes256-sha512",
                                              "aes128-gcm8",
                                              "aes128-gcm12",
                                              "aes128-gcm16",
                                              "aes192-gcm16",
                                              "aes256-gcm8",
                                              "aes256-gcm12",
                                              "aes256-gcm16",
                                              NULL};
static const struct esp_suite transforms[] = {
    {ESP_AES_CBC, 128, AUTH_HMAC_SHA256}, {ESP_AES_CBC, 192, AUTH_HMAC_SHA256},
    {ESP_AES_CBC, 256, AUTH_HMAC_SHA256}, {ESP_AES_CBC, 256, AUTH_HMAC_SHA384},
    {ESP_AES_CBC, 256, AUTH_HMAC_SHA512}, {ESP_AES_GCM_8, 128, AUTH_NONE},
    {ESP_AES_GCM_12, 128, AUTH_NONE},     {ESP_AES_GCM_16, 128, AUTH_NONE},
    {ESP_AES_GCM_16, 192, AUTH_NONE},     {ESP_AES_GCM_8, 256, AUTH_NONE},
    {ESP_AES_GCM_12, 256, AUTH_NONE},     {ESP_AES_GCM_16, 256, AUTH_NONE},
};
_Static_assert(ARRAY_LEN(transform_words) == ARRAY_LEN(transforms) + 1, "one word for each transform");

static const char *const protocol_words[] = {"any",  "icmp", "tcp",   "udp", "gre",
                                             "ospf", "sctp", "icmp6", NULL};
static const uint8_t protocols[] = {0, 1, 6, 17, 47, 89, 132, 58};

/* Letters, digits, '-' and '.', no empty label, and a letter in the last one: "10.1.13.300" is a slip, no
 * name. */
static bool is_fqdn(const char *text)
{
    bool letter = false;
    size_t label = 0;
    for (const char *c = text; *c != '\0'; c++) {
        bool alpha = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
        bool digit = *c >= '0' && *c <= '9';
        if (*c == '.' && label == 0)
            return false;
        if (!alpha && !digit && *c != '-' && *c != '_' && *c != '.')
            return false;
        label = *c == '.' ? 0 : label + 1;
        letter = *c == '.' ? false : letter || alpha;
    }
    return label != 0 && letter;
}

/* A number, an address, or a name: told apart by kind and by form. */
static err_t read_identity(const struct conf_node *node, struct identity *out, struct conf_error *error)
{
    char text[CONF_TEXT_MAX] = "";
    struct conf_error no_string;
    struct addr addr;
    if (conf_text(node, "identity", true, text, sizeof(text), &no_string) != E_OK) {
        uint32_t number = 0;
        err_t err = conf_u32(node, "identity", true, 0, INT32_MAX, &number, error);
        *out = identity_from_number(number);
        return err;
    }
    if (addr_parse(&addr, text) == E_OK && addr.family == AF_INET) {
        *out = identity_from_addr(&addr);
        return E_OK;
    }
    if (is_fqdn(text) && identity_from_text(out, ID_FQDN, text) == E_OK)
        return E_OK;
    return conf_fail(node, error, "identity: expected a number, an IPv4 address or a name, found \"%.80s\"",
                     text);
}

static err_t read_kek(const struct conf_node *group, uint32_t life_min, struct group_config *out,
                      struct conf_error *error)
{
    const struct conf_node *node = NULL;
    unsigned cipher = 2, hash = 0, ack = 1;
    err_t err = conf_group(group, "kek", &node, error);
    if (err == E_OK && node != NULL)
        err = conf_only(node, kek_names, error);
    if (err == E_OK)
        err = conf_word(node, "cipher", false, cipher_words, &cipher, error);
    if (err == E_OK)
        err = conf_u32(node, "lifetime_s", false, life_min, LIFETIME_MAX_S, &out->kek_lifetime_s, error);
    if (err == E_OK)
        err = conf_word(node, "hash", false, hash_words, &hash, error);
    if (err == E_OK)
        err = conf_word(node, "ack", false, ack_words, &ack, error);
    out->kek_cipher = ciphers[cipher];
    out->sig_hash = hashes[hash];
    out->ack = acks[ack];
    return err;
}

static err_t read_tek(const struct conf_node *group, uint32_t life_min, struct group_config *out,
                      struct conf_error *error)
{
    const struct conf_node *node = NULL;
    unsigned transform = 2;
    uint32_t sid_bits = 0, runway = out->runway;
    err_t err = conf_group(group, "tek", &node, error);
    if (err == E_OK && node != NULL)
        err = conf_only(node, tek_names, error);
    if (err == E_OK)
        err = conf_word(node, "transform", false, transform_words, &transform, error);
    if (err == E_OK)
        err = conf_u32(node, "lifetime_s", false, life_min, LIFETIME_MAX_S, &out->tek_lifetime_s, error);
    if (err == E_OK)
        err = conf_u32(node, "sid_bits", false, 0, 16, &sid_bits, error);
    if (err == E_OK)
        err = conf_u32(node, "runway", false, 0, RUNWAY_MAX, &runway, error);
    if (err != E_OK)
        return err;
    out->runway = (uint8_t)runway;
    out->suite = transforms[transform];
    out->sid_bits = (uint16_t)sid_bits;
    bool counter_mode = out->suite.transform != ESP_AES_CBC;
    if (counter_mode && sid_bits != 8 && sid_bits != 12 && sid_bits != 16)
        return conf_fail(node, error, "tek.sid_bits: expected 8, 12 or 16 with %s (RFC 6054)",
                         transform_words[transform]);
    if (!counter_mode && sid_bits != 0)
        return conf_fail(node, error, "tek.sid_bits: expected with a GCM transform only");
    return E_OK;
}

static err_t read_delays(const struct conf_node *node, struct group_config *out, struct conf_error *error)
{
    uint32_t activation = out->activation_s;
    uint32_t deactivation = out->deactivation_s;
    err_t err = conf_u32(node, "activation_s", false, 0, DELAY_MAX_S, &activation, error);
    if (err == E_OK)
        err = conf_u32(node, "deactivation_s", false, 0, DELAY_MAX_S, &deactivation, error);
    if (err == E_OK && deactivation < activation)
        return conf_fail(
            node, error,
            "rekey.deactivation_s: expected at least activation_s (%u), found %u (RFC 6407 5.4.1)",
            activation, deactivation);
    out->activation_s = (uint16_t)activation;
    out->deactivation_s = (uint16_t)deactivation;
    return err;
}

static err_t read_rekey(const struct conf_node *group, struct group_config *out, struct conf_error *error)
{
    const struct conf_node *node = NULL;
    uint32_t period_min = out->short_lifetimes ? 1 : RETRANSMIT_MIN_S;
    err_t err = conf_group(group, "rekey", &node, error);
    if (err == E_OK && node != NULL)
        err = conf_only(node, rekey_names, error);
    if (err == E_OK)
        err = conf_u32(node, "retransmit_s", false, period_min, RETRANSMIT_MAX_S, &out->retransmit_s, error);
    if (err == E_OK)
        err =
            conf_u32(node, "retransmit_count", false, 0, RETRANSMIT_COUNT_MAX, &out->retransmit_count, error);
    if (err == E_OK)
        err = read_delays(node, out, error);
    return err;
}

/* Time-based anti-replay rides in the IV of GCM: without a sender id there is none. */
static err_t read_replay(const struct conf_node *group, struct group_config *out, struct conf_error *error)
{
    const struct conf_node *node = NULL;
    uint32_t attribute = SAT_ATTR_REPLAY_DEFAULT;
    err_t err = conf_group(group, "replay", &node, error);
    if (err != E_OK || node == NULL)
        return err;
    err = conf_only(node, replay_names, error);
    if (err == E_OK)
        err = conf_u32(node, "window_ms", true, 1, REPLAY_WINDOW_MAX_MS, &out->replay_window_ms, error);
    if (err == E_OK)
        err =
            conf_u32(node, "attribute", false, SAT_ATTR_PRIVATE_MIN, SAT_ATTR_PRIVATE_MAX, &attribute, error);
    if (err == E_OK && out->sid_bits == 0)
        err = conf_fail(node, error, "replay: expected with a GCM transform only");
    out->replay_attribute = (uint16_t)attribute;
    return err;
}

static err_t read_selector(const struct conf_node *node, struct selector *out, struct conf_error *error)
{
    unsigned word = 0;
    uint32_t src_port = 0, dst_port = 0;
    err_t err = conf_only(node, selector_names, error);
    if (err == E_OK)
        err = conf_prefix(node, "src", true, &out->src, error);
    if (err == E_OK)
        err = conf_prefix(node, "dst", true, &out->dst, error);
    if (err == E_OK)
        err = conf_word(node, "protocol", false, protocol_words, &word, error);
    if (err == E_OK)
        err = conf_u32(node, "src_port", false, 1, 65535, &src_port, error);
    if (err == E_OK)
        err = conf_u32(node, "dst_port", false, 1, 65535, &dst_port, error);
    if (err != E_OK)
        return err;
    out->protocol = protocols[word];
    out->src_port = (uint16_t)src_port;
    out->dst_port = (uint16_t)dst_port;
    bool has_ports = out->protocol == 6 || out->protocol == 17 || out->protocol == 132;
    if ((src_port != 0 || dst_port != 0) && !has_ports)
        return conf_fail(node, error, "policy: expected protocol \"tcp\", \"udp\" or \"sctp\" with a port");
    if (out->src.addr.family != out->dst.addr.family)
        return conf_fail(node, error, "policy: expected src and dst of one IP version");
    return E_OK;
}

static bool selector_equal(const struct selector *a, const struct selector *b)
{
    return prefix_equal(&a->src, &b->src) && prefix_equal(&a->dst, &b->dst) && a->protocol == b->protocol &&
           a->src_port == b->src_port && a->dst_port == b->dst_port;
}

static err_t read_policy(const struct conf_node *group, struct group_config *out, struct conf_error *error)
{
    const struct conf_node *list = NULL;
    err_t err = conf_list(group, "policy", &list, error);
    size_t count = conf_count(list);
    if (err != E_OK)
        return err;
    if (count < 1 || count > POLICY_SELECTOR_MAX)
        return conf_fail(list != NULL ? list : group, error, "policy: expected 1 to %d entries, found %zu",
                         POLICY_SELECTOR_MAX, count);
    for (size_t i = 0; i < count && err == E_OK; i++) {
        err = read_selector(conf_item(list, i), &out->selectors[i], error);
        for (size_t j = 0; j < i && err == E_OK; j++)
            if (selector_equal(&out->selectors[i], &out->selectors[j]))
                err = conf_fail(conf_item(list, i), error,
                                "policy: expected different entries, this equals entry %zu", j + 1);
    }
    out->selector_count = count;
    return err;
}

static err_t read_rule(const struct conf_node *item, struct member_rule *out, struct conf_error *error)
{
    char text[CONF_TEXT_MAX];
    err_t err = conf_item_text(item, text, sizeof(text), error);
    if (err != E_OK)
        return err;
    out->is_prefix = prefix_parse(&out->prefix, text) == E_OK;
    if (out->is_prefix || (is_fqdn(text) && identity_from_text(&out->identity, ID_FQDN, text) == E_OK))
        return E_OK;
    return conf_fail(item, error,
                     "members: expected an address, a prefix without host bits or a name, found \"%.80s\"",
                     text);
}

static err_t read_members(const struct conf_node *group, struct group_config *out, struct conf_error *error)
{
    const struct conf_node *list = NULL;
    err_t err = conf_list(group, "members", &list, error);
    if (err != E_OK || list == NULL)
        return err;
    size_t count = conf_count(list);
    if (count < 1 || count > GROUP_RULE_MAX)
        return conf_fail(list, error,
                         "members: expected 1 to %d entries, found %zu (leave it out to allow every peer)",
                         GROUP_RULE_MAX, count);
    for (size_t i = 0; i < count && err == E_OK; i++)
        err = read_rule(conf_item(list, i), &out->rules[i], error);
    out->rule_count = count;
    return err;
}

static err_t read_dialect(const struct conf_node *group, struct gdoi_dialect *out, struct conf_error *error)
{
    const struct conf_node *node = NULL;
    err_t err = conf_group(group, "dialect", &node, error);
    if (err != E_OK || node == NULL)
        return err;
    err = conf_only(node, dialect_names, error);
    if (err == E_OK)
        err = conf_bool(node, "bare_signature", false, &out->bare_signature, error);
    if (err == E_OK)
        err = conf_bool(node, "kek_under_old_spi", false, &out->kek_under_old_spi, error);
    if (err == E_OK)
        err = conf_bool(node, "lifetime_basic", false, &out->lifetime_basic, error);
    if (err == E_OK)
        err = conf_bool(node, "sign_padded_length", false, &out->sign_padded_length, error);
    if (err == E_OK)
        err = conf_bool(node, "ack_short_length", false, &out->ack_short_length, error);
    return err;
}

/* Names go into URLs, log lines and file names: a plain alphabet. */
static err_t check_name(const struct conf_node *node, const char *name, struct conf_error *error)
{
    size_t len = strlen(name);
    if (len != 0 &&
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == len &&
        name[0] != '.')
        return E_OK;
    return conf_fail(node, error, "name: expected letters, digits, '-', '_' and '.', found \"%.64s\"", name);
}

/* RFC 4754 7: the curve names its hash. */
static err_t check_hash(const struct conf_node *node, enum sign_alg sign_alg,
                        const struct group_config *group, struct conf_error *error)
{
    if (sign_alg == SIGN_ECDSA_256 && group->sig_hash != HASH_SHA256)
        return conf_fail(node, error,
                         "kek.hash: expected \"sha256\" with signing algorithm \"ecdsa256\" (RFC 4754)");
    if (sign_alg == SIGN_ECDSA_384 && group->sig_hash != HASH_SHA384)
        return conf_fail(node, error,
                         "kek.hash: expected \"sha384\" with signing algorithm \"ecdsa384\" (RFC 4754)");
    return E_OK;
}

static err_t read_head(const struct conf_node *node, struct group_config *out, struct conf_error *error)
{
    err_t err = conf_only(node, group_names, error);
    if (err == E_OK)
        err = conf_text(node, "name", true, out->name, sizeof(out->name), error);
    if (err == E_OK)
        err = check_name(node, out->name, error);
    if (err == E_OK)
        err = read_identity(node, &out->identity, error);
    if (err == E_OK)
        err = conf_addr(node, "server_address", true, &out->server_addr, error);
    if (err == E_OK)
        err = conf_bool(node, "short_lifetimes", false, &out->short_lifetimes, error);
    return err;
}

err_t config_group_read(const struct conf_node *node, enum sign_alg sign_alg, struct group_config *out,
                        struct conf_error *error)
{
    *out = (struct group_config){.kek_lifetime_s = 86400,
                                 .tek_lifetime_s = 3600,
                                 .runway = RUNWAY_DEFAULT,
                                 .retransmit_s = 10,
                                 .retransmit_count = 2,
                                 .activation_s = 10,
                                 .deactivation_s = 30};
    err_t err = read_head(node, out, error);
    uint32_t life_min = out->short_lifetimes ? LIFETIME_SHORT_MIN_S : LIFETIME_MIN_S;
    if (err == E_OK)
        err = read_kek(node, life_min, out, error);
    if (err == E_OK)
        err = check_hash(node, sign_alg, out, error);
    if (err == E_OK)
        err = read_tek(node, life_min, out, error);
    if (err == E_OK)
        err = read_replay(node, out, error);
    if (err == E_OK)
        err = read_rekey(node, out, error);
    if (err == E_OK)
        err = read_policy(node, out, error);
    if (err == E_OK)
        err = read_members(node, out, error);
    if (err == E_OK)
        err = read_dialect(node, &out->dialect, error);
    return err;
}
