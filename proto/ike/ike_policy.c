#include "proto/ike/ike_policy.h"

#include <stdio.h>
#include <string.h>

/* The words of the configuration and the numbers of RFC 2409 appendix A, one row per algorithm. */
struct cipher_word {
    const char *text;
    enum cipher_alg cipher;
    uint16_t encryption;
    uint16_t key_bits; /* 0: the attribute must be absent (fixed key length) */
    bool weak;
};
static const struct cipher_word cipher_words[] = {
    {"aes256", CIPHER_AES_CBC_256, IKE_ENC_AES, 256, false},
    {"aes128", CIPHER_AES_CBC_128, IKE_ENC_AES, 128, false},
    {"3des", CIPHER_3DES_CBC, IKE_ENC_3DES, 0, true},
};

struct hash_word {
    const char *text;
    enum hash_alg hash;
    uint16_t number;
    bool weak;
};
static const struct hash_word hash_words[] = {
    {"sha256", HASH_SHA256, IKE_HASH_SHA256, false},
    {"sha384", HASH_SHA384, IKE_HASH_SHA384, false},
    {"sha512", HASH_SHA512, IKE_HASH_SHA512, false},
    {"sha1", HASH_SHA1, IKE_HASH_SHA1, true},
};

struct group_word {
    const char *text;
    uint16_t group;
    bool weak;
};
static const struct group_word group_words[] = {
    {"ecp256", IKE_GROUP_ECP256, false},     {"ecp384", IKE_GROUP_ECP384, false},
    {"modp2048", IKE_GROUP_MODP2048, false}, {"ecp521", IKE_GROUP_ECP521, false},
    {"modp3072", IKE_GROUP_MODP3072, false}, {"modp4096", IKE_GROUP_MODP4096, false},
    {"modp1536", IKE_GROUP_MODP1536, true},  {"modp1024", IKE_GROUP_MODP1024, true},
};

static const struct cipher_word *cipher_word_of(enum cipher_alg cipher)
{
    for (size_t i = 0; i < ARRAY_LEN(cipher_words); i++)
        if (cipher_words[i].cipher == cipher)
            return &cipher_words[i];
    return NULL;
}

static const struct hash_word *hash_word_of(enum hash_alg hash)
{
    for (size_t i = 0; i < ARRAY_LEN(hash_words); i++)
        if (hash_words[i].hash == hash)
            return &hash_words[i];
    return NULL;
}

static const struct group_word *group_word_of(uint16_t group)
{
    for (size_t i = 0; i < ARRAY_LEN(group_words); i++)
        if (group_words[i].group == group)
            return &group_words[i];
    return NULL;
}

bool ike_suite_equal(const struct ike_suite *a, const struct ike_suite *b)
{
    return a->cipher == b->cipher && a->hash == b->hash && a->group == b->group && a->auth == b->auth;
}

bool ike_suite_is_weak(const struct ike_suite *suite)
{
    const struct cipher_word *cipher = cipher_word_of(suite->cipher);
    const struct hash_word *hash = hash_word_of(suite->hash);
    const struct group_word *group = group_word_of(suite->group);
    return cipher == NULL || hash == NULL || group == NULL || cipher->weak || hash->weak || group->weak;
}

static bool policy_has(const struct ike_policy *policy, const struct ike_suite *suite)
{
    for (size_t i = 0; i < policy->count; i++)
        if (ike_suite_equal(&policy->suites[i], suite))
            return true;
    return false;
}

static err_t policy_put(struct ike_policy *policy, struct ike_suite suite)
{
    if (policy_has(policy, &suite))
        return E_OK;
    if (ike_suite_is_weak(&suite) && !policy->legacy)
        return E_NOT_AUTHORIZED;
    if (policy->count == IKE_SUITE_MAX)
        return E_FULL;
    policy->suites[policy->count++] = suite;
    return E_OK;
}

/* Cipher and hash pairs, best first; each goes with every group that is not weak. */
static const struct {
    enum cipher_alg cipher;
    enum hash_alg hash;
} default_tiers[] = {
    {CIPHER_AES_CBC_256, HASH_SHA256}, {CIPHER_AES_CBC_128, HASH_SHA256}, {CIPHER_AES_CBC_256, HASH_SHA384},
    {CIPHER_AES_CBC_256, HASH_SHA512}, {CIPHER_AES_CBC_128, HASH_SHA384}, {CIPHER_AES_CBC_128, HASH_SHA512},
};

void ike_policy_default(struct ike_policy *out)
{
    *out = (struct ike_policy){.lifetime_s = IKE_LIFETIME_DEFAULT_S};
    for (size_t i = 0; i < ARRAY_LEN(default_tiers); i++) {
        for (size_t g = 0; g < ARRAY_LEN(group_words); g++) {
            if (!group_words[g].weak && out->count < IKE_SUITE_MAX)
                out->suites[out->count++] = (struct ike_suite){default_tiers[i].cipher, default_tiers[i].hash,
                                                               group_words[g].group, IKE_AUTH_PSK};
        }
    }
}

/* Is the word of len characters at text this one? */
static bool word_is(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && memcmp(text, word, len) == 0;
}

err_t ike_policy_add(struct ike_policy *policy, const char *text)
{
    struct ike_suite suite = {.auth = IKE_AUTH_PSK};
    size_t len = strcspn(text, "-");
    for (size_t i = 0; i < ARRAY_LEN(cipher_words); i++)
        if (word_is(text, len, cipher_words[i].text))
            suite.cipher = cipher_words[i].cipher;
    text += text[len] == '\0' ? len : len + 1;
    len = strcspn(text, "-");
    for (size_t i = 0; i < ARRAY_LEN(hash_words); i++)
        if (word_is(text, len, hash_words[i].text))
            suite.hash = hash_words[i].hash;
    text += text[len] == '\0' ? len : len + 1;
    for (size_t i = 0; i < ARRAY_LEN(group_words); i++)
        if (strcmp(text, group_words[i].text) == 0)
            suite.group = group_words[i].group;
    if (suite.cipher == CIPHER_NONE || suite.hash == HASH_NONE || suite.group == 0)
        return E_RANGE;
    return policy_put(policy, suite);
}

const char *ike_suite_format(const struct ike_suite *suite, char out[IKE_SUITE_TEXT_MAX])
{
    const struct cipher_word *cipher = cipher_word_of(suite->cipher);
    const struct hash_word *hash = hash_word_of(suite->hash);
    const struct group_word *group = group_word_of(suite->group);
    (void)snprintf(out, IKE_SUITE_TEXT_MAX, "%s-%s-%s", cipher ? cipher->text : "?", hash ? hash->text : "?",
                   group ? group->text : "?");
    return out;
}

bool ike_suite_from_transform(struct ike_suite *out, const struct ike_transform *transform)
{
    struct ike_suite suite = {.auth = transform->auth};
    /* RFC 3602 5.3: AES must say its key length; RFC 2409 appendix A: fixed-length ciphers must not. */
    for (size_t i = 0; i < ARRAY_LEN(cipher_words); i++)
        if (cipher_words[i].encryption == transform->encryption &&
            cipher_words[i].key_bits == transform->key_bits)
            suite.cipher = cipher_words[i].cipher;
    for (size_t i = 0; i < ARRAY_LEN(hash_words); i++)
        if (hash_words[i].number == transform->hash)
            suite.hash = hash_words[i].hash;
    for (size_t i = 0; i < ARRAY_LEN(group_words); i++)
        if (group_words[i].group == transform->group)
            suite.group = group_words[i].group;
    *out = suite;
    return !transform->unknown && suite.cipher != CIPHER_NONE && suite.hash != HASH_NONE && suite.group != 0;
}

err_t ike_policy_choose(const struct ike_policy *policy, const struct ike_offer *offer,
                        struct ike_suite *out_suite, struct ike_transform *chosen)
{
    for (size_t ours = 0; ours < policy->count; ours++) {
        if (ike_suite_is_weak(&policy->suites[ours]) && !policy->legacy)
            continue;
        for (size_t i = 0; i < offer->count; i++) {
            struct ike_suite theirs;
            if (ike_suite_from_transform(&theirs, &offer->transforms[i]) &&
                ike_suite_equal(&theirs, &policy->suites[ours])) {
                *out_suite = theirs;
                *chosen = offer->transforms[i];
                return E_OK;
            }
        }
    }
    return E_NO_PROPOSAL;
}

static struct ike_transform transform_of(const struct ike_policy *policy, size_t n)
{
    const struct ike_suite *suite = &policy->suites[n];
    const struct cipher_word *cipher = cipher_word_of(suite->cipher);
    const struct hash_word *hash = hash_word_of(suite->hash);
    return (struct ike_transform){
        .proposal = 1,
        .number = (uint8_t)(n + 1),
        .encryption = cipher ? cipher->encryption : 0,
        .hash = hash ? hash->number : 0,
        .auth = suite->auth,
        .group = suite->group,
        .key_bits = cipher ? cipher->key_bits : 0,
        .life_type = LIFE_SECONDS,
        .life_duration = policy->lifetime_s,
    };
}

void ike_policy_offer(const struct ike_policy *policy, uint32_t doi, struct ike_offer *out)
{
    *out = (struct ike_offer){
        .doi = doi,
        .situation = doi == DOI_GDOI ? SITUATION_GDOI : SITUATION_IDENTITY_ONLY,
    };
    for (size_t i = 0; i < policy->count && out->count < IKE_OFFER_MAX; i++)
        if (policy->legacy || !ike_suite_is_weak(&policy->suites[i]))
            out->transforms[out->count++] = transform_of(policy, i);
}

uint32_t ike_policy_lifetime(const struct ike_policy *policy, const struct ike_transform *chosen)
{
    bool theirs = chosen->life_type == LIFE_SECONDS && chosen->life_duration != 0 &&
                  chosen->life_duration < policy->lifetime_s;
    return theirs ? chosen->life_duration : policy->lifetime_s;
}
