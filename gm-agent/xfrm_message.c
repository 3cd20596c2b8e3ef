/* xfrm_message.c - builders and parsers of XFRM netlink messages. */
#include "gm-agent/xfrm_message.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <string.h>

struct auth_name {
    uint16_t auth;
    const char *name;
    uint16_t trunc_bits; /* RFC 4868: half of the hash */
};

static const struct auth_name auth_names[] = {
    {AUTH_HMAC_SHA256, "hmac(sha256)", 128},
    {AUTH_HMAC_SHA384, "hmac(sha384)", 192},
    {AUTH_HMAC_SHA512, "hmac(sha512)", 256},
};
static const char cbc_name[] = "cbc(aes)";
static const char gcm_name[] = "rfc4106(gcm(aes))";

/* XFRMA_ALG_CRYPT, _AUTH_TRUNC and _AEAD: name, lengths in bits, key. One layout serves all on the way in. */
struct algorithm {
    char name[XFRM_ALGORITHM_NAME_MAX];
    uint32_t icv_bits;
    struct bytes key;
};

static const struct auth_name *auth_by_number(uint16_t auth)
{
    for (size_t i = 0; i < sizeof(auth_names) / sizeof(auth_names[0]); i++)
        if (auth_names[i].auth == auth)
            return &auth_names[i];
    return NULL;
}

bool xfrm_suite_known(const struct esp_suite *suite)
{
    return esp_key_len(suite) != 0;
}

static struct nlmsghdr *begin(uint8_t buffer[XFRM_MESSAGE_MAX], uint16_t type, uint16_t flags, uint32_t seq)
{
    memset(buffer, 0, XFRM_MESSAGE_MAX);
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = type;
    message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    message->nlmsg_seq = seq;
    return message;
}

static void no_limits(struct xfrm_lifetime_cfg *limits)
{
    limits->soft_byte_limit = limits->hard_byte_limit = XFRM_INF;
    limits->soft_packet_limit = limits->hard_packet_limit = XFRM_INF;
}

static void put_algorithms(struct nlmsghdr *message, const struct xfrm_sa *sa)
{
    union {
        struct xfrm_algo crypt;
        struct xfrm_algo_auth auth;
        struct xfrm_algo_aead aead;
        uint8_t room[sizeof(struct xfrm_algo_aead) + SECRET_LEN_MAX];
    } a;
    const struct auth_name *auth = auth_by_number(sa->suite.auth);
    memset(&a, 0, sizeof(a));
    if (sa->suite.transform != ESP_AES_CBC) {
        memcpy(a.aead.alg_name, gcm_name, sizeof(gcm_name));
        a.aead.alg_key_len = 8u * sa->key.len;
        a.aead.alg_icv_len = (uint32_t)(8 * esp_icv_len(&sa->suite));
        memcpy(a.room + sizeof(a.aead), sa->key.data, sa->key.len);
        mnl_attr_put(message, XFRMA_ALG_AEAD, sizeof(a.aead) + sa->key.len, &a);
    } else if (auth != NULL) {
        memcpy(a.auth.alg_name, auth->name, strlen(auth->name));
        a.auth.alg_key_len = 8u * sa->integrity.len;
        a.auth.alg_trunc_len = auth->trunc_bits;
        memcpy(a.room + sizeof(a.auth), sa->integrity.data, sa->integrity.len);
        mnl_attr_put(message, XFRMA_ALG_AUTH_TRUNC, sizeof(a.auth) + sa->integrity.len, &a);
        memset(&a, 0, sizeof(a));
        memcpy(a.crypt.alg_name, cbc_name, sizeof(cbc_name));
        a.crypt.alg_key_len = 8u * sa->key.len;
        memcpy(a.room + sizeof(a.crypt), sa->key.data, sa->key.len);
        mnl_attr_put(message, XFRMA_ALG_CRYPT, sizeof(a.crypt) + sa->key.len, &a);
    }
    secret_wipe(&a, sizeof(a));
}

struct nlmsghdr *xfrm_build_sa(uint8_t buffer[XFRM_MESSAGE_MAX], uint32_t seq, const struct xfrm_sa *sa)
{
    struct nlmsghdr *message = begin(buffer, XFRM_MSG_NEWSA, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, seq);
    struct xfrm_usersa_info *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
    memcpy(&info->id.daddr.a4, sa->dst, 4);
    memcpy(&info->saddr.a4, sa->src, 4);
    info->id.spi = htonl(sa->spi);
    info->id.proto = IPPROTO_ESP;
    no_limits(&info->lft);
    info->reqid = sa->reqid;
    info->family = AF_INET;
    info->mode = XFRM_MODE_TUNNEL;
    info->flags = sa->flags;
    /* No replay window: several senders share the numbers (RFC 3740, DATAPATH 3). */
    put_algorithms(message, sa);
    if (sa->extra_flags != 0)
        mnl_attr_put_u32(message, XFRMA_SA_EXTRA_FLAGS, sa->extra_flags);
    return message;
}

struct nlmsghdr *xfrm_build_sa_delete(uint8_t buffer[XFRM_MESSAGE_MAX], uint32_t seq,
                                      const struct xfrm_sa *sa)
{
    struct nlmsghdr *message = begin(buffer, XFRM_MSG_DELSA, NLM_F_ACK, seq);
    struct xfrm_usersa_id *id = mnl_nlmsg_put_extra_header(message, sizeof(*id));
    memcpy(&id->daddr.a4, sa->dst, 4);
    id->spi = htonl(sa->spi);
    id->family = AF_INET;
    id->proto = IPPROTO_ESP;
    return message;
}

static void put_selector(struct xfrm_selector *out, const struct xfrm_policy *policy)
{
    memcpy(&out->saddr.a4, policy->src.addr.bytes, 4);
    memcpy(&out->daddr.a4, policy->dst.addr.bytes, 4);
    out->prefixlen_s = policy->src.bits;
    out->prefixlen_d = policy->dst.bits;
    out->proto = policy->protocol;
    out->sport = htons(policy->src_port);
    out->sport_mask = policy->src_port != 0 ? 0xffff : 0;
    out->dport = htons(policy->dst_port);
    out->dport_mask = policy->dst_port != 0 ? 0xffff : 0;
    out->ifindex = (int)policy->ifindex;
    out->family = AF_INET;
}

static void put_template(struct nlmsghdr *message, const struct xfrm_policy *policy)
{
    struct xfrm_user_tmpl tmpl;
    memset(&tmpl, 0, sizeof(tmpl));
    memcpy(&tmpl.id.daddr.a4, policy->tmpl_dst, 4);
    memcpy(&tmpl.saddr.a4, policy->tmpl_src, 4);
    tmpl.id.spi = htonl(policy->tmpl_spi);
    tmpl.id.proto = IPPROTO_ESP;
    tmpl.family = AF_INET;
    tmpl.reqid = policy->reqid;
    tmpl.mode = XFRM_MODE_TUNNEL;
    tmpl.optional = policy->optional;
    tmpl.aalgos = tmpl.ealgos = tmpl.calgos = ~0u;
    mnl_attr_put(message, XFRMA_TMPL, sizeof(tmpl), &tmpl);
}

struct nlmsghdr *xfrm_build_policy(uint8_t buffer[XFRM_MESSAGE_MAX], uint32_t seq,
                                   const struct xfrm_policy *policy)
{
    struct nlmsghdr *message = begin(buffer, XFRM_MSG_UPDPOLICY, NLM_F_ACK, seq);
    struct xfrm_userpolicy_info *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
    put_selector(&info->sel, policy);
    no_limits(&info->lft);
    info->priority = policy->priority;
    info->dir = policy->dir;
    info->action = policy->action == XFRM_DROP ? XFRM_POLICY_BLOCK : XFRM_POLICY_ALLOW;
    if (policy->action == XFRM_PROTECT)
        put_template(message, policy);
    return message;
}

struct nlmsghdr *xfrm_build_policy_delete(uint8_t buffer[XFRM_MESSAGE_MAX], uint32_t seq,
                                          const struct xfrm_policy *policy)
{
    struct nlmsghdr *message = begin(buffer, XFRM_MSG_DELPOLICY, NLM_F_ACK, seq);
    struct xfrm_userpolicy_id *id = mnl_nlmsg_put_extra_header(message, sizeof(*id));
    put_selector(&id->sel, policy);
    id->dir = policy->dir;
    return message;
}

struct nlmsghdr *xfrm_build_dump(uint8_t buffer[XFRM_MESSAGE_MAX], uint32_t seq, uint16_t type)
{
    struct nlmsghdr *message = begin(buffer, type, NLM_F_DUMP, seq);
    size_t id_len =
        type == XFRM_MSG_GETSA ? sizeof(struct xfrm_usersa_id) : sizeof(struct xfrm_userpolicy_id);
    mnl_nlmsg_put_extra_header(message, id_len);
    return message;
}

/* The header has a fixed part of header_len octets with the key behind it. */
static err_t read_algorithm(const struct nlattr *attribute, size_t header_len, struct algorithm *out)
{
    const uint8_t *value = mnl_attr_get_payload(attribute);
    size_t len = mnl_attr_get_payload_len(attribute);
    uint32_t key_bits;
    if (len < header_len)
        return E_BAD_LENGTH;
    memcpy(out->name, value, sizeof(out->name));
    out->name[sizeof(out->name) - 1] = '\0';
    memcpy(&key_bits, value + sizeof(out->name), sizeof(key_bits));
    if (header_len > sizeof(struct xfrm_algo))
        memcpy(&out->icv_bits, value + sizeof(out->name) + sizeof(key_bits), sizeof(out->icv_bits));
    if (key_bits % 8 != 0 || key_bits / 8 > SECRET_LEN_MAX || key_bits / 8 != len - header_len)
        return E_BAD_LENGTH;
    out->key = (struct bytes){value + header_len, key_bits / 8};
    return E_OK;
}

static void take_crypt(struct xfrm_sa *sa, const struct algorithm *algorithm)
{
    if (strcmp(algorithm->name, cbc_name) != 0)
        return;
    sa->suite.transform = ESP_AES_CBC;
    sa->suite.key_bits = (uint16_t)(8 * algorithm->key.len);
}

static void take_auth(struct xfrm_sa *sa, const struct algorithm *algorithm)
{
    for (size_t i = 0; i < sizeof(auth_names) / sizeof(auth_names[0]); i++)
        if (strcmp(algorithm->name, auth_names[i].name) == 0 &&
            algorithm->icv_bits == auth_names[i].trunc_bits)
            sa->suite.auth = auth_names[i].auth;
}

static void take_aead(struct xfrm_sa *sa, const struct algorithm *algorithm)
{
    if (strcmp(algorithm->name, gcm_name) != 0 || algorithm->key.len < 4)
        return;
    sa->suite.transform = algorithm->icv_bits == 128  ? ESP_AES_GCM_16
                          : algorithm->icv_bits == 96 ? ESP_AES_GCM_12
                                                      : ESP_AES_GCM_8;
    sa->suite.key_bits = (uint16_t)(8 * (algorithm->key.len - 4)); /* the salt is not counted */
}

static err_t read_sa_attribute(struct xfrm_sa *sa, const struct nlattr *attribute)
{
    struct algorithm algorithm = {.icv_bits = 0};
    err_t err = E_OK;
    switch (mnl_attr_get_type(attribute)) {
    case XFRMA_ALG_CRYPT:
        err = read_algorithm(attribute, sizeof(struct xfrm_algo), &algorithm);
        if (err == E_OK && (err = secret_set(&sa->key, algorithm.key)) == E_OK)
            take_crypt(sa, &algorithm);
        return err;
    case XFRMA_ALG_AUTH_TRUNC:
        err = read_algorithm(attribute, sizeof(struct xfrm_algo_auth), &algorithm);
        if (err == E_OK && (err = secret_set(&sa->integrity, algorithm.key)) == E_OK)
            take_auth(sa, &algorithm);
        return err;
    case XFRMA_ALG_AEAD:
        err = read_algorithm(attribute, sizeof(struct xfrm_algo_aead), &algorithm);
        if (err == E_OK && (err = secret_set(&sa->key, algorithm.key)) == E_OK)
            take_aead(sa, &algorithm);
        return err;
    case XFRMA_SA_EXTRA_FLAGS:
        if (mnl_attr_get_payload_len(attribute) != sizeof(uint32_t))
            return E_BAD_LENGTH;
        sa->extra_flags = mnl_attr_get_u32(attribute);
        return E_OK;
    default:
        return E_OK;
    }
}

/* Is the message long enough, and are the attributes behind its fixed part whole? */
static err_t check_frame(const struct nlmsghdr *message, size_t fixed)
{
    if (message->nlmsg_len < NLMSG_HDRLEN + NLMSG_ALIGN(fixed))
        return E_TRUNCATED;
    if (message->nlmsg_len % NLMSG_ALIGNTO != 0)
        return E_BAD_LENGTH; /* the kernel pads the last one too; libmnl would look beyond it */
    const uint8_t *end = (const uint8_t *)message + message->nlmsg_len;
    const struct nlattr *attribute;
    const uint8_t *reached = (const uint8_t *)message + NLMSG_HDRLEN + NLMSG_ALIGN(fixed);
    mnl_attr_for_each(attribute, message, fixed)
    {
        reached = (const uint8_t *)attribute + NLMSG_ALIGN(attribute->nla_len);
    }
    return reached >= end ? E_OK : E_BAD_LENGTH;
}

err_t xfrm_parse_sa(struct xfrm_sa *out, struct xfrm_sa_usage *usage, const struct nlmsghdr *message)
{
    memset(out, 0, sizeof(*out));
    memset(usage, 0, sizeof(*usage));
    if (message->nlmsg_type != XFRM_MSG_NEWSA)
        return E_UNEXPECTED;
    struct xfrm_usersa_info copy,
        *info = &copy; /* in a dump it stands at any multiple of 4, and has 64-bit parts */
    err_t err = check_frame(message, sizeof(copy));
    if (err != E_OK)
        return err;
    memcpy(&copy, mnl_nlmsg_get_payload(message), sizeof(copy));
    if (info->family != AF_INET || info->id.proto != IPPROTO_ESP || info->mode != XFRM_MODE_TUNNEL)
        return E_UNEXPECTED;
    memcpy(out->src, &info->saddr.a4, 4);
    memcpy(out->dst, &info->id.daddr.a4, 4);
    out->spi = ntohl(info->id.spi);
    out->reqid = info->reqid;
    out->flags = info->flags;
    usage->packets = info->curlft.packets;
    usage->bytes = info->curlft.bytes;
    usage->replay = info->stats.replay;
    usage->integrity_failed = info->stats.integrity_failed;
    const struct nlattr *attribute;
    mnl_attr_for_each(attribute, message, sizeof(*info))
    {
        if ((err = read_sa_attribute(out, attribute)) != E_OK)
            break;
    }
    if (err != E_OK)
        xfrm_sa_close(out);
    return err;
}

static err_t read_template(struct xfrm_policy *out, const struct nlattr *attribute)
{
    const struct xfrm_user_tmpl *tmpl = mnl_attr_get_payload(attribute);
    if (mnl_attr_get_payload_len(attribute) < sizeof(*tmpl))
        return E_BAD_LENGTH;
    if (mnl_attr_get_payload_len(attribute) != sizeof(*tmpl) || tmpl->family != AF_INET)
        return E_UNEXPECTED;
    memcpy(out->tmpl_src, &tmpl->saddr.a4, 4);
    memcpy(out->tmpl_dst, &tmpl->id.daddr.a4, 4);
    out->tmpl_spi = ntohl(tmpl->id.spi);
    out->reqid = tmpl->reqid;
    out->optional = tmpl->optional != 0;
    out->action = XFRM_PROTECT;
    return E_OK;
}

err_t xfrm_parse_policy(struct xfrm_policy *out, const struct nlmsghdr *message)
{
    memset(out, 0, sizeof(*out));
    if (message->nlmsg_type != XFRM_MSG_NEWPOLICY)
        return E_UNEXPECTED;
    struct xfrm_userpolicy_info copy, *info = &copy;
    err_t err = check_frame(message, sizeof(copy));
    if (err != E_OK)
        return err;
    memcpy(&copy, mnl_nlmsg_get_payload(message), sizeof(copy));
    if (info->sel.family != AF_INET || info->sel.prefixlen_s > 32 || info->sel.prefixlen_d > 32)
        return E_UNEXPECTED;
    out->dir = info->dir;
    out->src.addr.family = out->dst.addr.family = AF_INET;
    memcpy(out->src.addr.bytes, &info->sel.saddr.a4, 4);
    memcpy(out->dst.addr.bytes, &info->sel.daddr.a4, 4);
    out->src.bits = info->sel.prefixlen_s;
    out->dst.bits = info->sel.prefixlen_d;
    out->protocol = info->sel.proto;
    out->src_port = ntohs(info->sel.sport);
    out->dst_port = ntohs(info->sel.dport);
    out->ifindex = (uint32_t)info->sel.ifindex;
    out->priority = info->priority;
    out->action = info->action == XFRM_POLICY_BLOCK ? XFRM_DROP : XFRM_PASS;
    const struct nlattr *attribute;
    mnl_attr_for_each(attribute, message, sizeof(*info))
    {
        if (mnl_attr_get_type(attribute) == XFRMA_TMPL && (err = read_template(out, attribute)) != E_OK)
            return err;
    }
    return E_OK;
}

void xfrm_sa_close(struct xfrm_sa *sa)
{
    secret_wipe(sa, sizeof(*sa));
}

bool xfrm_sa_same_place(const struct xfrm_sa *a, const struct xfrm_sa *b)
{
    return a->spi == b->spi && memcmp(a->dst, b->dst, 4) == 0;
}

bool xfrm_sa_equal(const struct xfrm_sa *a, const struct xfrm_sa *b)
{
    return xfrm_sa_same_place(a, b) && memcmp(a->src, b->src, 4) == 0 && a->reqid == b->reqid &&
           a->flags == b->flags && a->extra_flags == b->extra_flags &&
           a->suite.transform == b->suite.transform && a->suite.key_bits == b->suite.key_bits &&
           a->suite.auth == b->suite.auth && secret_equal(secret_view(&a->key), secret_view(&b->key)) &&
           secret_equal(secret_view(&a->integrity), secret_view(&b->integrity));
}

bool xfrm_policy_same_place(const struct xfrm_policy *a, const struct xfrm_policy *b)
{
    return a->dir == b->dir && prefix_equal(&a->src, &b->src) && prefix_equal(&a->dst, &b->dst) &&
           a->protocol == b->protocol && a->src_port == b->src_port && a->dst_port == b->dst_port &&
           a->ifindex == b->ifindex;
}

bool xfrm_policy_equal(const struct xfrm_policy *a, const struct xfrm_policy *b)
{
    if (!xfrm_policy_same_place(a, b) || a->priority != b->priority || a->action != b->action)
        return false;
    return a->action != XFRM_PROTECT ||
           (a->optional == b->optional && memcmp(a->tmpl_src, b->tmpl_src, 4) == 0 &&
            memcmp(a->tmpl_dst, b->tmpl_dst, 4) == 0 && a->tmpl_spi == b->tmpl_spi && a->reqid == b->reqid);
}
