/* policy.h - which packets are protected: an ordered list of entries, the first that matches decides (RFC
 * 4301 4.4.1). In front stand the entries of the key management itself, which always pass in clear (UDP 848,
 * 500, 4500), then the local deny entries, then what the group downloaded. policy_interpret reads the list as
 * it is written; policy_compile makes of it what the packet path runs: numbers instead of prefixes, without
 * entries that cannot be reached, and a cache of flows. Both give the same verdict for every packet. Pure.
 * Fragments behind the first carry no ports: to an entry that protects they count as matching, to one that
 * lets pass they do not, so that none goes out in clear by mistake. */
#ifndef GM_AGENT_POLICY_H
#define GM_AGENT_POLICY_H

#include "gm-agent/ip_packet.h"
#include "proto/gdoi/group_policy.h"

enum {
    POLICY_CONTROL_MAX = 6, /* three ports, each at either end */
    POLICY_LOCAL_MAX = 64,  /* local deny entries */
    POLICY_ENTRY_MAX = POLICY_CONTROL_MAX + POLICY_LOCAL_MAX + POLICY_SELECTOR_MAX,
    POLICY_CACHE = 1024, /* flows remembered */
};

enum policy_action { POLICY_NONE, POLICY_PROTECT, POLICY_CLEAR };
enum policy_origin { POLICY_OF_CONTROL, POLICY_OF_LOCAL, POLICY_OF_GROUP };

struct policy_entry {
    struct selector match; /* family 0 in src and dst: any address of any family */
    enum policy_action action;
    enum policy_origin origin;
};

struct policy_list {
    struct policy_entry entries[POLICY_ENTRY_MAX];
    size_t count;
};

/* What decided. entry: index into the list, or POLICY_ENTRY_MAX with POLICY_NONE. */
struct policy_verdict {
    enum policy_action action;
    uint16_t entry;
};

/* An address or mask in host order; IPv4 is in low. */
struct policy_number {
    uint64_t high, low;
};

/* An entry as numbers. */
struct policy_rule {
    struct policy_number src, src_mask;
    struct policy_number dst, dst_mask;
    uint8_t family; /* 0: either */
    uint16_t src_port, dst_port;
    uint8_t protocol;
    uint8_t action;
    uint16_t entry;
};

struct policy_flow {
    struct policy_number src, dst;
    uint8_t family;
    uint16_t src_port, dst_port;
    uint8_t protocol;
    uint8_t ports; /* enum of the compiler: has ports, has none, later fragment */
    struct policy_verdict verdict;
    bool known;
};

struct policy_program {
    struct policy_rule rules[POLICY_ENTRY_MAX];
    size_t count;
    size_t unreachable; /* entries left out: an earlier one covers them */
    struct policy_flow cache[POLICY_CACHE];
};

/* Before there is a policy everything of both families counts as protected. */
enum { POLICY_EVERYTHING = 2 };
extern const struct selector policy_everything[POLICY_EVERYTHING];

/* What a back end can do. */
struct policy_ability {
    bool ipv6;
    bool multicast; /* IPv4; IPv6 groups are not supported anywhere yet */
    size_t entries_max;
};

/* Control entries, denies, then selectors as entries that protect. E_LIMIT: too many. */
err_t policy_list_build(struct policy_list *out, const struct selector *denies, size_t deny_count,
                        const struct selector *selectors, size_t selector_count) MUST_USE;
/* The list as a back end of that ability can have it. E_UNSUPPORTED, with why (static text) and the entry. */
err_t policy_check(const struct policy_list *list, const struct policy_ability *ability, const char **why,
                   size_t *entry) MUST_USE;
struct policy_verdict policy_interpret(const struct policy_list *list, const struct ip_packet *packet);
void policy_compile(const struct policy_list *list, struct policy_program *out);
struct policy_verdict policy_run(struct policy_program *program, const struct ip_packet *packet);
/* Does any entry protect it, whatever stands before that entry? So a member that let go of a deny entry later
 * than its peers still understands them. */
bool policy_may_protect(const struct policy_program *program, const struct ip_packet *packet);
/* Is it between addresses of a downloaded or local entry at all? */
bool policy_names_addresses(const struct policy_program *program, const struct ip_packet *packet);

#endif
