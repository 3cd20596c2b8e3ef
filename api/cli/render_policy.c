/* render_policy.c - 'show crypto gdoi ks policy', '... ks rekey'. */
#include <string.h>

#include "api/cli/ksctl.h"

static const struct {
    const char *word;
    const char *text;
} transforms[] = {
    {"aes128-sha256", "esp-aes esp-sha256-hmac"},
    {"aes192-sha256", "esp-192-aes esp-sha256-hmac"},
    {"aes256-sha256", "esp-256-aes esp-sha256-hmac"},
    {"aes256-sha384", "esp-256-aes esp-sha384-hmac"},
    {"aes256-sha512", "esp-256-aes esp-sha512-hmac"},
    {"aes128-gcm16", "esp-gcm"},
    {"aes192-gcm16", "esp-gcm 192"},
    {"aes256-gcm16", "esp-gcm 256"},
};

const char *transform_text(const char *word, char out[TRANSFORM_TEXT_MAX])
{
    snprintf(out, TRANSFORM_TEXT_MAX, "%s", word);
    for (size_t i = 0; i < sizeof(transforms) / sizeof(transforms[0]); i++)
        if (strcmp(transforms[i].word, word) == 0)
            snprintf(out, TRANSFORM_TEXT_MAX, "%s", transforms[i].text);
    return out;
}

/* "    label              : value             label               : value" as routers have it. */
static void put_pair(FILE *out, const char *left, const char *left_value, const char *right,
                     long long right_value)
{
    fprintf(out, "    %-19s: %-14s%-22s: %lld\n", left, left_value, right, right_value);
}

static void put_numbers(FILE *out, const char *left, long long left_value, const char *right,
                        long long right_value)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", left_value);
    put_pair(out, left, text, right, right_value);
}

static void put_kek(FILE *out, const json_t *policy)
{
    const json_t *kek = value_at(policy, "kek"), *signing = value_at(policy, "signing");
    bool is_aes = strncmp(text_at(kek, "cipher"), "aes", 3) == 0;
    long long bits = number_at(signing, "bits");
    bool is_rsa = strcmp(text_at(signing, "algorithm"), "rsa") == 0;
    fprintf(out, "  KEK POLICY (transport type : Unicast)\n");
    fprintf(out, "    spi : %s\n", text_at(kek, "spi"));
    fprintf(out, "    %-19s: %-14s%-22s: %s\n", "management alg", "disabled", "encrypt alg",
            is_aes ? "AES" : "3DES");
    put_numbers(out, "crypto iv length", number_at(kek, "iv_octets"), "key size",
                number_at(kek, "cipher_key_octets"));
    put_numbers(out, "orig life(sec)", number_at(kek, "lifetime_s"), "remaining life(sec)",
                number_at(kek, "remaining_s"));
    if (signing != NULL && !json_is_null(signing)) {
        put_pair(out, "sig hash algorithm", "enabled", "sig key length", number_at(signing, "public_octets"));
        fprintf(out, "    %-19s: %lld\n", "sig size",
                is_rsa ? bits / 8 : 2 * ((bits + 7) / 8)); /* r and s, RFC 4754 */
    }
    fprintf(out, "    %-19s: %s\n", "acknowledgement",
            strcmp(text_at(kek, "ack"), "none") == 0 ? "none" : "RFC8263");
    fputc('\n', out);
}

static void put_tek(FILE *out, const json_t *policy, const json_t *tek)
{
    char transform[TRANSFORM_TEXT_MAX];
    long long life = number_at(tek, "lifetime_s"), left = number_at(tek, "remaining_s");
    fprintf(out, "  TEK POLICY (encaps : ENCAPS_TUNNEL)\n");
    fprintf(out, "    %-19s: %s\n", "spi", text_at(tek, "spi"));
    fprintf(out, "    %-19s: %s\n", "access-list", text_at(policy, "group"));
    fprintf(out, "    %-19s: %s\n", "transform", transform_text(text_at(tek, "transform"), transform));
    put_numbers(out, "alg key size", number_at(tek, "cipher_key_octets"), "sig key size",
                number_at(tek, "integrity_key_octets"));
    put_numbers(out, "orig life(sec)", life, "remaining life(sec)", left);
    put_numbers(out, "tek life(sec)", life, "elapsed time(sec)", life - left);
    fputc('\n', out);
}

/* Nodes have ids of 16 octets; a handle is the first four. */
static void put_head(FILE *out, const json_t *policy, const json_t *server)
{
    fprintf(out, "For group %s (handle: 0x%08llX) server %s (handle: 0x%.8s):\n\n", text_at(policy, "group"),
            (unsigned long long)number_at(policy, "handle"), text_at(policy, "server_address"),
            text_at(server, "node_id"));
}

static size_t live_teks(const json_t *policy)
{
    size_t i, live = 0;
    json_t *tek;
    json_array_foreach(value_at(policy, "teks"), i, tek) live += number_at(tek, "remaining_s") > 0;
    return live;
}

void render_policy(FILE *out, const json_t *groups, const json_t *server)
{
    size_t i, k;
    json_t *entry, *tek;
    fputs("Key Server Policy:\n", out);
    json_array_foreach(groups, i, entry)
    {
        const json_t *policy = value_at(entry, "policy");
        put_head(out, policy, server);
        fprintf(out, "  # of teks : %zu  Seq num : %lld\n", live_teks(policy),
                (long long)number_at(policy, "seq"));
        if (is_there(policy, "kek"))
            put_kek(out, policy);
        json_array_foreach(value_at(policy, "teks"), k, tek) if (number_at(tek, "remaining_s") > 0)
            put_tek(out, policy, tek);
    }
}

static void put_line(FILE *out, const char *label, long long value)
{
    fprintf(out, "    %-36s: %lld\n", label, value);
}

/* Retransmissions are kept by rekey, of the last ones only: a total under the router's label is given while
 * it is one. */
static void put_retransmitted(FILE *out, const json_t *entry)
{
    const json_t *rekeys = value_at(entry, "rekeys.rekeys");
    long long sum = 0;
    size_t i;
    json_t *rekey;
    char label[64];
    json_array_foreach(rekeys, i, rekey) sum += number_at(rekey, "retransmits");
    if ((long long)json_array_size(rekeys) >= number_at(entry, "group.rekeys_sent"))
        snprintf(label, sizeof(label), "Number of Rekeys retransmitted");
    else
        snprintf(label, sizeof(label), "Retransmissions of last %zu rekeys", json_array_size(rekeys));
    put_line(out, label, sum);
}

void render_rekey(FILE *out, const json_t *groups)
{
    size_t i, k;
    json_t *entry, *tek;
    json_array_foreach(groups, i, entry)
    {
        const json_t *group = value_at(entry, "group"), *policy = value_at(entry, "policy");
        fprintf(out, "%sGroup %s (Unicast)\n", i > 0 ? "\n" : "", text_at(group, "name"));
        put_line(out, "Number of Rekeys sent", number_at(group, "rekeys_sent"));
        put_retransmitted(out, entry);
        put_line(out, "KEK rekey lifetime (sec)", number_at(group, "config.kek.lifetime_s"));
        if (is_there(policy, "kek"))
            put_line(out, "    Remaining lifetime (sec)", number_at(policy, "kek.remaining_s"));
        put_line(out, "Retransmit period", number_at(group, "config.rekey.retransmit_s"));
        put_line(out, "Number of retransmissions", number_at(group, "config.rekey.retransmit_count"));
        put_line(out, "IPSec SA 1 lifetime (sec)", number_at(group, "config.tek.lifetime_s"));
        json_int_t left = 0;
        json_array_foreach(value_at(policy, "teks"), k, tek) left =
            number_at(tek, "remaining_s"); /* the newest stands last */
        if (k > 0)
            put_line(out, "    Remaining lifetime (sec)", left);
    }
}
