/* xfrm_message.h - security associations and policies as XFRM netlink messages, both ways (linux/xfrm.h).
 * Pure: builders fill a caller's buffer, parsers take any octets. IPv4, ESP, tunnel mode: what the group
 * needs (DATAPATH 6). Messages of an SA hold its keys: wipe the buffer. */
#ifndef GM_AGENT_XFRM_MESSAGE_H
#define GM_AGENT_XFRM_MESSAGE_H

#include <netinet/in.h>

#include <linux/netlink.h>
#include <linux/xfrm.h>

#include "base/addr.h"
#include "base/secret.h"
#include "proto/crypto/esp.h"

enum {
    XFRM_MESSAGE_MAX = 1024, /* octets of any message built here */
    XFRM_ALGORITHM_NAME_MAX = 64,
};

/* One tunnel SA. The kernel finds an inbound one by (dst, spi), an outbound one by the policy's template. */
struct xfrm_sa {
    uint8_t src[4]; /* 0.0.0.0: from anywhere */
    uint8_t dst[4];
    uint32_t spi;
    uint32_t reqid;
    uint8_t flags;          /* XFRM_STATE_NOPMTUDISC ... */
    uint32_t extra_flags;   /* XFRM_SA_XFLAG_OSEQ_MAY_WRAP ... */
    struct esp_suite suite; /* transform 0 when parsed: none that we know */
    struct secret key;      /* with salt for GCM */
    struct secret integrity;
};

/* What the kernel counted. */
struct xfrm_sa_usage {
    uint64_t packets;
    uint64_t bytes;
    uint32_t replay; /* dropped by the window */
    uint32_t integrity_failed;
};

enum xfrm_action { XFRM_PASS, XFRM_DROP, XFRM_PROTECT };

struct xfrm_policy {
    uint8_t dir; /* XFRM_POLICY_IN, _OUT, _FWD */
    struct prefix src, dst;
    uint8_t protocol;            /* 0: any */
    uint16_t src_port, dst_port; /* 0: any */
    uint32_t ifindex;            /* egress device, also of FWD; 0: any */
    uint32_t priority;           /* smaller comes first */
    enum xfrm_action action;
    /* with XFRM_PROTECT: the template */
    bool optional; /* clear packets pass too; not with OUT */
    uint8_t tmpl_src[4], tmpl_dst[4];
    uint32_t tmpl_spi; /* 0: any */
    uint32_t reqid;
};

/* Each returns the message at the start of buffer, which is filled anew. flags are added to NLM_F_REQUEST. */
struct nlmsghdr *xfrm_build_sa(uint8_t buffer[XFRM_MESSAGE_MAX], uint32_t seq, const struct xfrm_sa *sa);
struct nlmsghdr *xfrm_build_sa_delete(uint8_t buffer[XFRM_MESSAGE_MAX], uint32_t seq,
                                      const struct xfrm_sa *sa);
/* XFRM_MSG_UPDPOLICY: put in, or put in place of the one with the same direction, selector and device, with
 * no moment between. */
struct nlmsghdr *xfrm_build_policy(uint8_t buffer[XFRM_MESSAGE_MAX], uint32_t seq,
                                   const struct xfrm_policy *policy);
struct nlmsghdr *xfrm_build_policy_delete(uint8_t buffer[XFRM_MESSAGE_MAX], uint32_t seq,
                                          const struct xfrm_policy *policy);
/* type: XFRM_MSG_GETSA or XFRM_MSG_GETPOLICY. */
struct nlmsghdr *xfrm_build_dump(uint8_t buffer[XFRM_MESSAGE_MAX], uint32_t seq, uint16_t type);

/* E_UNEXPECTED: another kind of message, or not an IPv4 ESP tunnel (policy: not IPv4, or more than one
 * template); E_TRUNCATED; E_BAD_LENGTH: an attribute that does not hold what it says. */
err_t xfrm_parse_sa(struct xfrm_sa *out, struct xfrm_sa_usage *usage,
                    const struct nlmsghdr *message) MUST_USE;
err_t xfrm_parse_policy(struct xfrm_policy *out, const struct nlmsghdr *message) MUST_USE;

void xfrm_sa_close(struct xfrm_sa *sa); /* wipes */
/* The same in all that we set. */
bool xfrm_sa_equal(const struct xfrm_sa *a, const struct xfrm_sa *b);
/* The same place in the kernel's table, so there can be only one of them. */
bool xfrm_sa_same_place(const struct xfrm_sa *a, const struct xfrm_sa *b);
bool xfrm_policy_equal(const struct xfrm_policy *a, const struct xfrm_policy *b);
bool xfrm_policy_same_place(const struct xfrm_policy *a, const struct xfrm_policy *b);
/* Does the kernel have names for it (and this file keys)? */
bool xfrm_suite_known(const struct esp_suite *suite);

#endif
