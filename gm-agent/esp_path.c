/* esp_path.c - sealing and opening of single packets. */
#include "gm-agent/esp_path_parts.h"

#include <string.h>

static void look_at_clock(struct esp_path *path)
{
    if (!path->time_held)
        esp_path_tick(path);
}

void esp_path_count(struct esp_path *path, enum datapath_counter_id id, const struct addr *src,
                    const struct addr *dst)
{
    struct datapath_counter *counter = &path->counters[id];
    uint64_t now_ms = path->wall_ms;
    if (counter->count++ == 0) {
        counter->first_ms = now_ms;
        counter->first_src = *src;
        counter->first_dst = *dst;
    }
    counter->last_ms = now_ms;
    counter->last_src = *src;
    counter->last_dst = *dst;
}

static enum esp_verdict drop(struct esp_path *path, enum datapath_counter_id why, struct esp_note *note)
{
    note->why = why;
    esp_path_count(path, why, &note->src, &note->dst);
    return ESP_DROP;
}

static void take_addresses(struct esp_note *note, const struct ip_packet *packet)
{
    note->src = packet->src;
    note->dst = packet->dst;
    note->protocol = packet->protocol;
}

bool esp_path_protects(struct esp_path *path, const struct ip_packet *packet)
{
    return policy_run(&path->program, packet).action == POLICY_PROTECT;
}

/* A first fragment that is too short for its ports could slip past a selector with ports (RFC 1858), and so
 * could a transport header that is not to be found (RFC 7112). */
static bool hides_ports(const struct ip_packet *packet)
{
    bool ported = packet->protocol == IP_PROTOCOL_TCP || packet->protocol == IP_PROTOCOL_UDP ||
                  packet->protocol == IP_PROTOCOL_SCTP;
    return packet->obscured || (ported && packet->first_fragment && !packet->has_ports);
}

static err_t random_iv(struct esp_path *path, uint8_t *out, size_t len)
{
    if (path->iv_left < len) {
        err_t err = rng_fill(path->rng, path->iv_pool, sizeof(path->iv_pool));
        if (err != E_OK)
            return err;
        path->iv_left = sizeof(path->iv_pool);
    }
    path->iv_left -= len;
    memcpy(out, path->iv_pool + path->iv_left, len);
    return E_OK;
}

/* Numbers beyond the reservation are used only after it is written down. */
static err_t reserve(struct esp_path *path, struct send_counter *counter, uint64_t floor_us)
{
    struct esp_path *shared = path->shared;
    if (path->mono_ms < path->keep_retry_ms || shared->keep == NULL)
        return E_IO;
    pthread_mutex_lock(&shared->ledger_lock);
    struct send_counter before = *counter;
    send_counter_reserve(counter, floor_us);
    err_t err = shared->keep(shared->keep_context, &shared->ledger);
    if (err != E_OK)
        *counter = before;
    pthread_mutex_unlock(&shared->ledger_lock);
    if (err == E_OK)
        return E_OK;
    path->keep_retry_ms = path->mono_ms + ESP_PATH_KEEP_RETRY_MS;
    return err;
}

static bool next_sid(struct esp_path *path, const struct esp_sa *sa)
{
    if (path->sid + 1 >= path->sid_count)
        return false;
    path->sid++;
    return esp_path_take_counter(path, sa->spi, path->sids[path->sid], path->sid_bits);
}

/* The pseudotime, where it fits behind the sender id; receivers that check the time need it there. */
static uint64_t floor_of(const struct esp_path *path)
{
    uint64_t us = group_clock_us(&path->shared->time.clock, path->mono_ms);
    bool fits = path->sid_bits == 0 || us >> (64 - path->sid_bits) == 0;
    return fits || path->shared->time.window_ms != 0 ? us : 0;
}

/* SID in the leftmost bits, then the SSIV (RFC 6054 3.1), and the sequence number. E_LIMIT: no SID is left.
 */
static err_t next_numbers(struct esp_path *path, const struct esp_sa *sa, uint8_t *iv, uint32_t *seq)
{
    bool counts = tek_is_counter_mode(&sa->tek);
    uint64_t floor_us = counts ? floor_of(path) : 0, ssiv = 0;
    if (counts && path->sid_count == 0)
        return E_LIMIT;
    for (unsigned tries = 0; tries <= 2 * POLICY_SID_MAX; tries++) {
        struct send_counter *counter = &path->shared->ledger.counters[path->counter];
        err_t err = counts ? send_counter_next_ssiv(counter, floor_us, &ssiv) : E_OK;
        if (err == E_OK)
            err = send_counter_next_seq(counter, path->shared->replay.window == 0, seq);
        if (err == E_OK && counts) {
            struct writer w = writer_over(iv, 8);
            write_u64(&w, (uint64_t)counter->sid << (64 - counter->sid_bits) | ssiv);
            return E_OK;
        }
        if (err == E_OK)
            return random_iv(path, iv, esp_iv_len(&sa->tek.suite));
        if (err == E_AGAIN)
            err = reserve(path, counter, floor_us);
        else if (err == E_LIMIT && next_sid(path, sa))
            err = E_OK;
        if (err != E_OK)
            return E_LIMIT;
    }
    return E_LIMIT;
}

static err_t seal(struct esp_path *path, const struct ip_packet *inner, uint8_t *out, size_t cap,
                  size_t *out_len)
{
    struct esp_sa *sa = &path->sas[path->out];
    const size_t outer_len = ip_outer_len(inner->src.family);
    uint8_t iv[ESP_IV_MAX];
    uint32_t seq = 0;
    if (cap < outer_len)
        return E_FULL;
    err_t err = next_numbers(path, sa, iv, &seq);
    if (err != E_OK)
        return err;
    size_t esp_len = 0;
    err = esp_seal(sa->context, sa->spi, seq, iv, ip_inner_protocol(inner->src.family), inner->whole,
                   out + outer_len, cap - outer_len, &esp_len);
    if (err != E_OK)
        return err;
    if (outer_len + esp_len > IP_PACKET_MAX)
        return E_FULL;
    ip_outer_write(out, inner, esp_len, path->ip_id++);
    *out_len = outer_len + esp_len;
    return E_OK;
}

enum esp_verdict esp_path_encapsulate(struct esp_path *path, struct bytes raw, uint8_t *out, size_t cap,
                                      size_t *out_len, struct esp_note *note)
{
    struct ip_packet inner;
    *out_len = 0;
    memset(note, 0, sizeof(*note));
    if (ip_packet_decode(&inner, raw) != E_OK || ip_packet_is_of_link(&inner))
        return ESP_IGNORE; /* of the kernel's own making, as on any device */
    look_at_clock(path);
    take_addresses(note, &inner);
    struct policy_verdict verdict = policy_run(&path->program, &inner);
    note->entry = verdict.entry;
    if (verdict.action == POLICY_NONE && !policy_names_addresses(&path->program, &inner))
        return drop(path, DP_NO_POLICY, note); /* nothing leads it here: a route of somebody else's */
    if (hides_ports(&inner))
        return drop(path, DP_MALFORMED, note);
    if (verdict.action != POLICY_PROTECT || path->direction == DATAPATH_RECEIVE_ONLY) {
        esp_path_count(path, DP_BYPASS, &inner.src, &inner.dst);
        return ESP_PASS;
    }
    if (!path->has_out)
        return drop(path, DP_NO_KEY, note);
    note->spi = path->sas[path->out].spi;
    esp_path_count(path, DP_ENCAPS, &inner.src, &inner.dst);
    dscp_count(path->dscp.out, inner.tos, inner.whole.len);
    err_t err = seal(path, &inner, out, cap, out_len);
    if (err == E_LIMIT)
        return drop(path, DP_NO_KEY, note);
    if (err != E_OK)
        return drop(path, DP_SEND_ERROR, note);
    esp_path_count(path, DP_ENCRYPT, &inner.src, &inner.dst);
    return ESP_TO_WAN;
}

static struct esp_sa *find_sa(struct esp_path *path, uint32_t spi)
{
    for (size_t i = 0; i < path->sa_count; i++)
        if (path->sas[i].spi == spi)
            return &path->sas[i];
    return NULL;
}

/* The inner packet must be of the same two hosts (nobody else can have put them there: header preservation),
 * and of the policy; trailing octets are traffic-flow padding (RFC 4303 2.7). */
static bool inner_allowed(struct esp_path *path, const struct ip_packet *outer, const struct ip_packet *inner)
{
    return addr_equal(&outer->src, &inner->src) && addr_equal(&outer->dst, &inner->dst) &&
           !hides_ports(inner) &&
           (esp_path_protects(path, inner) || policy_may_protect(&path->program, inner));
}

/* Behind the ICV: is it of this time, and the first of its number? The IV says who sent it and when. */
static bool is_fresh(struct esp_path *path, const struct esp_sa *sa, struct bytes esp, struct esp_note *note)
{
    struct reader r = reader_over(esp);
    read_skip(&r, 4);
    note->seq = read_u32(&r);
    uint64_t iv = read_u64(&r);
    bool has_sid = tek_is_counter_mode(&sa->tek) && path->sid_bits != 0;
    struct replay_id sender = replay_id_of(&note->src);
    if (has_sid) {
        sender = (struct replay_id){0, iv >> (64 - path->sid_bits)};
        note->time = (struct time_reject){
            .wall_ms = path->wall_ms,
            .peer_us = iv & (UINT64_MAX >> path->sid_bits),
            .spi = note->spi,
            .sid = (uint32_t)sender.low,
            .src = note->src,
            .dst = note->dst,
        };
    }
    struct esp_path *shared = path->shared;
    pthread_mutex_lock(&shared->fresh_lock);
    bool timely = !has_sid || time_check_accept(&shared->time, &note->time, path->mono_ms, &note->sampled);
    bool fresh = timely && replay_table_accept(&shared->replay, sa->spi, sender, note->seq);
    pthread_mutex_unlock(&shared->fresh_lock);
    if (!fresh)
        drop(path, timely ? DP_REPLAY : DP_TIME_REPLAY, note);
    return fresh;
}

static enum esp_verdict open_with(struct esp_path *path, struct esp_sa *sa, const struct ip_packet *outer,
                                  struct bytes esp, uint8_t *out, size_t *out_len, struct esp_note *note)
{
    uint8_t next_header = 0;
    size_t plain_len = 0;
    err_t err = esp_open(sa->context, esp, out, &plain_len, &next_header);
    if (err == E_AUTH)
        return drop(path, DP_VERIFY_ERROR, note);
    if (err != E_OK)
        return drop(path, DP_MALFORMED, note);
    esp_path_count(path, DP_DECRYPT, &note->src, &note->dst);
    if (!is_fresh(path, sa, esp, note))
        return ESP_DROP;
    if (next_header == IP_PROTOCOL_NONE)
        return ESP_IGNORE;
    struct ip_packet inner;
    if (ip_packet_decode(&inner, (struct bytes){out, plain_len}) != E_OK ||
        next_header != ip_inner_protocol(inner.src.family))
        return drop(path, DP_MALFORMED, note);
    if (!inner_allowed(path, outer, &inner))
        return drop(path, DP_NO_POLICY, note);
    if (!ip_ecn_decapsulate(out, inner.header_len, outer->tos))
        return drop(path, DP_MALFORMED, note);
    *out_len = inner.whole.len;
    esp_path_count(path, DP_DECAPS, &note->src, &note->dst);
    dscp_count(path->dscp.in, inner.tos, inner.whole.len);
    return ESP_TO_LAN;
}

enum esp_verdict esp_path_decapsulate(struct esp_path *path, struct bytes raw, uint8_t *out, size_t cap,
                                      size_t *out_len, struct esp_note *note)
{
    struct ip_packet outer;
    *out_len = 0;
    memset(note, 0, sizeof(*note));
    err_t err = ip_packet_decode(&outer, raw);
    if (err != E_OK || outer.protocol != IP_PROTOCOL_ESP)
        return ESP_IGNORE;
    look_at_clock(path);
    take_addresses(note, &outer);
    struct bytes esp = bytes_slice(outer.whole, outer.header_len, outer.whole.len);
    struct reader r = reader_over(esp);
    note->spi = read_u32(&r);
    struct esp_sa *sa = find_sa(path, note->spi);
    if (sa == NULL && !policy_names_addresses(&path->program, &outer))
        return ESP_IGNORE; /* ordinary IPsec of this machine */
    if (outer.fragment || r.err != E_OK || cap < esp.len)
        return drop(path, DP_MALFORMED, note);
    if (sa == NULL)
        return drop(path, DP_INVALID_SPI, note);
    return open_with(path, sa, &outer, esp, out, out_len, note);
}

enum esp_verdict esp_path_guard(struct esp_path *path, struct bytes raw, struct esp_note *note)
{
    struct ip_packet packet;
    memset(note, 0, sizeof(*note));
    if (ip_packet_decode(&packet, raw) != E_OK || ip_packet_is_of_link(&packet))
        return ESP_IGNORE;
    look_at_clock(path);
    take_addresses(note, &packet);
    struct policy_verdict verdict = policy_run(&path->program, &packet);
    note->entry = verdict.entry;
    /* Without a policy yet, rules of the last run led it here, and they knew why. */
    bool refused = !path->has_policy ? verdict.action != POLICY_CLEAR
                                     : verdict.action == POLICY_PROTECT && path->direction == DATAPATH_BOTH;
    if (refused || hides_ports(&packet))
        return drop(path, DP_NOT_IPSEC, note);
    esp_path_count(path, DP_BYPASS, &packet.src, &packet.dst);
    return ESP_PASS;
}
