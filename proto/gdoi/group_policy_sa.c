/* Group policy <-> SA payload (RFC 6407 5.2-5.5). One SAT stands for one selector under one TEK. */
#include <string.h>

#include "proto/gdoi/group_policy.h"

enum {
    ID_V4_LEN = 4,
    ID_V6_LEN = 16,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    PROTOCOL_SCTP = 132,
    WORD_BITS = 64,
};

/* --- encode --- */

/* The ID data of one selector, which the SATs of all TEKs borrow. */
struct selector_ids {
    uint8_t src[2 * ID_V6_LEN];
    uint8_t dst[2 * ID_V6_LEN];
};

static struct gdoi_id id_of_addr(const struct addr *addr, uint16_t port)
{
    uint8_t type = addr->family == AF_INET6 ? ID_IPV6_ADDR : ID_IPV4_ADDR;
    return (struct gdoi_id){type, port, addr_bytes(addr)};
}

/* A host as address, all else as address and mask (RFC 2407 4.6.2), which lie in room. */
static struct gdoi_id id_of_prefix(const struct prefix *prefix, uint16_t port, uint8_t room[2 * ID_V6_LEN])
{
    size_t len = addr_len(&prefix->addr);
    if (prefix->bits == 8 * len)
        return id_of_addr(&prefix->addr, port);
    uint8_t mask[ID_V6_LEN];
    prefix_mask(prefix, mask);
    memcpy(room, prefix->addr.bytes, len);
    memcpy(room + len, mask, len);
    uint8_t type = len == ID_V6_LEN ? ID_IPV6_ADDR_SUBNET : ID_IPV4_ADDR_SUBNET;
    return (struct gdoi_id){type, port, {room, 2 * len}};
}

static uint16_t kek_algorithm(enum cipher_alg cipher)
{
    return cipher == CIPHER_3DES_CBC ? KEK_ALG_3DES : KEK_ALG_AES;
}

static uint16_t sig_hash_number(enum hash_alg alg)
{
    static const uint16_t numbers[] = {[HASH_SHA1] = SIG_HASH_SHA1,
                                       [HASH_SHA256] = SIG_HASH_SHA256,
                                       [HASH_SHA384] = SIG_HASH_SHA384,
                                       [HASH_SHA512] = SIG_HASH_SHA512};
    return (size_t)alg < ARRAY_LEN(numbers) ? numbers[alg] : 0;
}

static uint16_t sig_algorithm_number(enum sign_alg alg)
{
    static const uint16_t numbers[] = {
        [SIGN_RSA] = SIG_ALG_RSA, [SIGN_ECDSA_256] = SIG_ALG_ECDSA_256, [SIGN_ECDSA_384] = SIG_ALG_ECDSA_384};
    return (size_t)alg < ARRAY_LEN(numbers) ? numbers[alg] : 0;
}

static err_t sak_fill(struct gdoi_sak *out, const struct group_policy *policy,
                      const struct gdoi_dialect *dialect)
{
    const struct kek *kek = &policy->kek;
    bool fixed_key = kek->cipher == CIPHER_3DES_CBC;
    *out = (struct gdoi_sak){
        .protocol = PROTOCOL_UDP,
        .src = id_of_addr(&policy->rekey_src.addr, policy->rekey_src.port),
        .dst = id_of_addr(&policy->rekey_dst.addr, policy->rekey_dst.port),
        .algorithm = kek_algorithm(kek->cipher),
        .key_bits = fixed_key ? 0 : (uint16_t)(8 * cipher_key_len(kek->cipher)),
        .lifetime_s = kek->lifetime_s,
        .lifetime_basic = dialect != NULL && dialect->lifetime_basic,
        .sig_hash = sig_hash_number(kek->sig_hash),
        .sig_algorithm = sig_algorithm_number(kek->sig_alg),
        .sig_key_bits = kek->sig_key_bits,
        .ack = (uint16_t)kek->ack, /* each time that the SAK is sent, RFC 8263 5 */
    };
    memcpy(out->spi, kek->spi, KEK_SPI_LEN);
    if (kek->cipher == CIPHER_NONE || out->sig_hash == 0 || out->sig_algorithm == 0)
        return E_UNSUPPORTED;
    return kek->lifetime_s == 0 || !kek_spi_usable(kek->spi) ? E_RANGE : E_OK;
}

static struct gdoi_sat sat_of(const struct tek *tek, const struct selector *selector,
                              struct selector_ids *ids)
{
    return (struct gdoi_sat){
        .protocol = SAT_ESP,
        .ip_protocol = selector->protocol,
        .src = id_of_prefix(&selector->src, selector->src_port, ids->src),
        .dst = id_of_prefix(&selector->dst, selector->dst_port, ids->dst),
        .transform = tek->suite.transform,
        .spi = tek->spi,
        .lifetime_s = tek->lifetime_s,
        .encapsulation = ENCAP_TUNNEL,
        .auth = tek->suite.auth,
        .key_bits = tek->suite.key_bits,
        .preservation = PRESERVE_BOTH,
    };
}

static err_t sats_fill(struct gdoi_sa *out, const struct group_policy *policy, struct selector_ids *ids)
{
    for (size_t t = 0; t < policy->tek_count; t++) {
        const struct tek *tek = &policy->teks[t];
        size_t before = out->sat_count;
        if (tek->spi < TEK_SPI_MIN || tek->lifetime_s == 0)
            return E_RANGE;
        for (size_t s = 0; s < policy->selector_count; s++) {
            if (!tek_covers(tek, s))
                continue;
            if (out->sat_count == GDOI_SAT_MAX)
                return E_LIMIT;
            out->sats[out->sat_count++] = sat_of(tek, &policy->selectors[s], &ids[s]);
        }
        if (out->sat_count != before)
            out->sats[before].replay = (struct gdoi_replay){policy->time.attribute, policy->time.window_ms,
                                                            policy->time.pseudotime_us};
        if (out->sat_count == before)
            return E_MISSING; /* a key without a SAT could not be downloaded */
    }
    return E_OK;
}

err_t group_policy_encode_sa(const struct group_policy *policy, const struct gdoi_dialect *dialect,
                             struct writer *w)
{
    struct selector_ids ids[POLICY_SELECTOR_MAX];
    struct gdoi_sa sa;
    sa.doi = DOI_GDOI;
    sa.situation = SITUATION_GDOI;
    sa.has_sak = policy->has_kek;
    sa.has_gap = policy->has_delays;
    sa.gap = (struct gdoi_gap){.has_activation = true,
                               .has_deactivation = true,
                               .activation_s = policy->activation_s,
                               .deactivation_s = policy->deactivation_s};
    sa.sat_count = 0;
    if (policy->tek_count > POLICY_TEK_MAX || policy->selector_count > POLICY_SELECTOR_MAX)
        return E_LIMIT;
    err_t err = sa.has_sak ? sak_fill(&sa.sak, policy, dialect) : E_OK;
    if (err == E_OK)
        err = sats_fill(&sa, policy, ids);
    if (err != E_OK)
        return err;
    gdoi_sa_encode(w, &sa);
    return writer_end(w);
}

/* --- decode --- */

static void addr_of_id(const struct gdoi_id *id, struct endpoint *out)
{
    *out = (struct endpoint){.port = id->port};
    if (id->type == ID_IPV4_ADDR || id->type == ID_IPV6_ADDR)
        if (addr_from_bytes(&out->addr, id->data) != E_OK)
            out->addr =
                (struct addr){0}; /* "members should not require a match" (PROTOCOL 2.5): shown only */
}

/* The 4 or 8 octets of an IPv4 ID; host_order: as a little-endian machine has them in memory. */
static struct bytes v4_octets(const struct gdoi_id *id, bool host_order, uint8_t room[2 * ID_V4_LEN])
{
    if (!host_order || id->data.len % ID_V4_LEN != 0 || id->data.len > 2 * ID_V4_LEN)
        return id->data;
    for (size_t i = 0; i < id->data.len; i++)
        room[i] = id->data.data[i / ID_V4_LEN * ID_V4_LEN + (ID_V4_LEN - 1 - i % ID_V4_LEN)];
    return (struct bytes){room, id->data.len};
}

/* A range that is a prefix; its mask has zeros where first and last differ. E_UNSUPPORTED: any other. */
static err_t prefix_of_range(struct bytes first, struct bytes last, struct prefix *out)
{
    uint8_t mask[ID_V6_LEN];
    for (size_t i = 0; i < first.len; i++)
        mask[i] = (uint8_t) ~(first.data[i] ^ last.data[i]);
    err_t err = prefix_from_mask(out, first, (struct bytes){mask, first.len});
    return err == E_RANGE ? E_UNSUPPORTED : err;
}

static err_t prefix_of_id(const struct gdoi_id *id, bool host_order, struct prefix *out)
{
    bool range = id->type == ID_IPV4_ADDR_RANGE || id->type == ID_IPV6_ADDR_RANGE;
    bool subnet = id->type == ID_IPV4_ADDR_SUBNET || id->type == ID_IPV6_ADDR_SUBNET;
    bool v6 = id->type == ID_IPV6_ADDR || id->type == ID_IPV6_ADDR_SUBNET || id->type == ID_IPV6_ADDR_RANGE;
    size_t len = v6 ? ID_V6_LEN : ID_V4_LEN;
    uint8_t room[2 * ID_V4_LEN];
    struct bytes data = v6 ? id->data : v4_octets(id, host_order, room);
    *out = (struct prefix){.addr.family = v6 ? AF_INET6 : AF_INET};
    if (!v6 && !subnet && !range && id->type != ID_IPV4_ADDR)
        return E_UNSUPPORTED;
    if (data.len == 0)
        return E_OK; /* many senders (RFC 6407 5.5.1): any address */
    if (data.len != (subnet || range ? 2 * len : len))
        return E_BAD_LENGTH;
    if (subnet)
        return prefix_from_mask(out, bytes_slice(data, 0, len), bytes_slice(data, len, len));
    if (range)
        return prefix_of_range(bytes_slice(data, 0, len), bytes_slice(data, len, len), out);
    out->bits = (uint8_t)(8 * len);
    return addr_from_bytes(&out->addr, data);
}

static err_t prefixes_of_sat(const struct gdoi_sat *sat, bool host_order, struct selector *out)
{
    err_t err = prefix_of_id(&sat->src, host_order, &out->src);
    return err == E_OK ? prefix_of_id(&sat->dst, host_order, &out->dst) : err;
}

/* The reference implementation writes the addresses of a SAT in host order; on a little-endian machine its
 * mask is then none (seen in its capture). */
static err_t selector_of_sat(const struct gdoi_sat *sat, bool any_dialect, struct selector *out)
{
    *out =
        (struct selector){.protocol = sat->ip_protocol, .src_port = sat->src.port, .dst_port = sat->dst.port};
    err_t err = prefixes_of_sat(sat, false, out);
    if (err == E_RANGE && any_dialect)
        err = prefixes_of_sat(sat, true, out);
    if (err != E_OK)
        return err;
    bool ported =
        out->protocol == PROTOCOL_TCP || out->protocol == PROTOCOL_UDP || out->protocol == PROTOCOL_SCTP;
    if (!ported && (out->src_port != 0 || out->dst_port != 0))
        return E_RANGE;
    return out->src.addr.family == out->dst.addr.family ? E_OK : E_RANGE;
}

static bool selector_equal(const struct selector *a, const struct selector *b)
{
    return a->protocol == b->protocol && a->src_port == b->src_port && a->dst_port == b->dst_port &&
           prefix_equal(&a->src, &b->src) && prefix_equal(&a->dst, &b->dst);
}

static bool suite_known(const struct esp_suite *suite, bool any_dialect)
{
    bool weak = suite->transform == ESP_3DES || suite->auth == AUTH_HMAC_SHA1;
    return (!weak || any_dialect) && tek_key_len(suite) != 0;
}

/* What this SAT says about its key; the parts of it that we cannot honour are refused, not ignored. */
static err_t tek_of_sat(const struct gdoi_sat *sat, bool any_dialect, struct tek *out)
{
    *out = (struct tek){
        .spi = sat->spi,
        .suite = {.transform = sat->transform, .key_bits = sat->key_bits, .auth = sat->auth},
        .lifetime_s = sat->lifetime_s,
    };
    if (sat->protocol != SAT_ESP || !suite_known(&out->suite, any_dialect) || sat->esn)
        return E_UNSUPPORTED;
    if (sat->encapsulation != ENCAP_TUNNEL && !(any_dialect && sat->encapsulation == ENCAP_TRANSPORT))
        return E_UNSUPPORTED;
    if (sat->preservation != 0 && sat->preservation != PRESERVE_BOTH)
        return E_UNSUPPORTED;
    if (sat->direction != 0 && sat->direction != DIRECTION_SYMMETRIC)
        return E_UNSUPPORTED;
    return sat->spi < TEK_SPI_MIN || sat->lifetime_s == 0 ? E_RANGE : E_OK;
}

static bool tek_agrees(const struct tek *a, const struct tek *b)
{
    return a->suite.transform == b->suite.transform && a->suite.key_bits == b->suite.key_bits &&
           a->suite.auth == b->suite.auth && a->lifetime_s == b->lifetime_s;
}

static err_t find_or_add_tek(struct group_policy *policy, const struct tek *tek, struct tek **out)
{
    for (size_t i = 0; i < policy->tek_count; i++) {
        *out = &policy->teks[i];
        if ((*out)->spi == tek->spi)
            return tek_agrees(*out, tek) ? E_OK : E_RANGE;
    }
    if (policy->tek_count == POLICY_TEK_MAX)
        return E_LIMIT;
    *out = &policy->teks[policy->tek_count++];
    **out = *tek; /* no keys in it yet */
    return E_OK;
}

static err_t find_or_add_selector(struct group_policy *policy, const struct selector *selector, size_t *out)
{
    for (*out = 0; *out < policy->selector_count; (*out)++)
        if (selector_equal(&policy->selectors[*out], selector))
            return E_OK;
    if (policy->selector_count == POLICY_SELECTOR_MAX)
        return E_LIMIT;
    policy->selectors[policy->selector_count++] = *selector;
    return E_OK;
}

static err_t take_sat(struct group_policy *policy, const struct gdoi_sat *sat, bool any_dialect)
{
    struct selector selector;
    struct tek said;
    struct tek *tek;
    size_t at;
    err_t err = tek_of_sat(sat, any_dialect, &said);
    if (err == E_OK)
        err = selector_of_sat(sat, any_dialect, &selector);
    if (err == E_OK)
        err = find_or_add_tek(policy, &said, &tek);
    if (err == E_OK)
        err = find_or_add_selector(policy, &selector, &at);
    if (err != E_OK)
        return err;
    if (policy->time.attribute == 0)
        policy->time =
            (struct policy_time){sat->replay.attribute, sat->replay.window_ms, sat->replay.pseudotime_us};
    uint64_t bit = UINT64_C(1) << at % WORD_BITS;
    if ((tek->covers[at / WORD_BITS] & bit) != 0)
        return E_DUPLICATE;
    tek->covers[at / WORD_BITS] |= bit;
    return E_OK;
}

/* A TEK that serves every selector says so by no bits: the common case has one form. */
static void settle_covers(struct group_policy *policy)
{
    for (size_t t = 0; t < policy->tek_count; t++) {
        struct tek *tek = &policy->teks[t];
        size_t covered = 0;
        for (size_t s = 0; s < policy->selector_count; s++)
            covered += tek_covers(tek, s);
        if (covered == policy->selector_count)
            memset(tek->covers, 0, sizeof(tek->covers));
    }
}

/* "An implementation MUST abort if it encounters an attribute or capability that it does not understand" (RFC
 * 6407 5.3.2); an acknowledgement that we cannot give is no such thing (RFC 8263 4). */
static err_t take_sak(struct group_policy *out, const struct gdoi_sak *sak, bool any_dialect)
{
    struct kek *kek = &out->kek;
    out->has_kek = true;
    addr_of_id(&sak->src, &out->rekey_src);
    addr_of_id(&sak->dst, &out->rekey_dst);
    memcpy(kek->spi, sak->spi, KEK_SPI_LEN);
    kek->cipher = kek_cipher(sak->algorithm, sak->key_bits);
    kek->lifetime_s = sak->lifetime_s;
    kek->sig_hash = sig_hash_alg(sak->sig_hash);
    kek->sig_alg = sig_sign_alg(sak->sig_algorithm);
    kek->sig_key_bits = sak->sig_key_bits;
    kek->ack = sak->ack <= LKH_ACK_SHA512 ? (enum kek_ack)sak->ack : KEK_ACK_NONE;
    if (sak->sig_hash == 0 && kek->sig_alg == SIGN_ECDSA_256)
        kek->sig_hash = HASH_SHA256; /* not required there: the curve says it (RFC 6407 5.3.6, RFC 4754) */
    if (sak->sig_hash == 0 && kek->sig_alg == SIGN_ECDSA_384)
        kek->sig_hash = HASH_SHA384;
    if (any_dialect && kek->lifetime_s == 0)
        kek->lifetime_s = KEK_LIFETIME_DEFAULT_S;
    if (sak->management != 0 || kek->cipher == CIPHER_NONE || kek->sig_hash == HASH_NONE ||
        kek->sig_alg == SIGN_NONE)
        return E_UNSUPPORTED;
    return kek->lifetime_s == 0 || !kek_spi_usable(kek->spi) ? E_RANGE : E_OK;
}

err_t group_policy_from_sa(struct group_policy *out, struct bytes sa_body, bool any_dialect)
{
    struct gdoi_sa sa;
    err_t err = gdoi_sa_decode(&sa, sa_body);
    if (err == E_OK && sa.has_sak)
        err = take_sak(out, &sa.sak, any_dialect);
    if (err == E_OK && sa.has_gap) {
        out->has_delays = true;
        out->activation_s = sa.gap.activation_s;
        out->deactivation_s = sa.gap.deactivation_s;
    }
    for (size_t i = 0; err == E_OK && i < sa.sat_count; i++)
        err = take_sat(out, &sa.sats[i], any_dialect);
    if (err == E_OK)
        settle_covers(out);
    else
        group_policy_close(out);
    return err;
}
