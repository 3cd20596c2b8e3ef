/* esp_path.c - sealing and opening of single packets. */
#include "gm-agent/esp_path.h"

#include <string.h>

static uint32_t number_of(const uint8_t octets[4])
{
    return (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 | (uint32_t)octets[2] << 8 | octets[3];
}

void esp_path_count(struct esp_path *path, enum datapath_counter_id id, const uint8_t src[4],
                    const uint8_t dst[4])
{
    struct datapath_counter *counter = &path->counters[id];
    uint64_t now_ms = clock_wall_ms(path->clock);
    if (counter->count++ == 0) {
        counter->first_ms = now_ms;
        memcpy(counter->first_src, src, 4);
        memcpy(counter->first_dst, dst, 4);
    }
    counter->last_ms = now_ms;
    memcpy(counter->last_src, src, 4);
    memcpy(counter->last_dst, dst, 4);
}

static enum esp_verdict drop(struct esp_path *path, enum datapath_counter_id why, struct esp_note *note)
{
    note->why = why;
    esp_path_count(path, why, note->src, note->dst);
    return ESP_DROP;
}

static void take_addresses(struct esp_note *note, const struct ip_packet *packet)
{
    memcpy(note->src, packet->src, 4);
    memcpy(note->dst, packet->dst, 4);
    note->protocol = packet->protocol;
}

static bool addresses_match(const struct esp_selector *s, const struct ip_packet *packet)
{
    return (number_of(packet->src) & s->src_mask) == s->src &&
           (number_of(packet->dst) & s->dst_mask) == s->dst;
}

static bool selector_matches(const struct esp_selector *s, const struct ip_packet *packet)
{
    if (!addresses_match(s, packet) || (s->protocol != 0 && s->protocol != packet->protocol))
        return false;
    if ((s->src_port == 0 && s->dst_port == 0) || !packet->first_fragment)
        return true;
    return packet->has_ports && (s->src_port == 0 || s->src_port == packet->src_port) &&
           (s->dst_port == 0 || s->dst_port == packet->dst_port);
}

bool esp_path_protects(const struct esp_path *path, const struct ip_packet *packet)
{
    for (size_t i = 0; i < path->selector_count; i++)
        if (selector_matches(&path->selectors[i], packet))
            return true;
    return false;
}

static bool of_our_addresses(const struct esp_path *path, const struct ip_packet *packet)
{
    for (size_t i = 0; i < path->selector_count; i++)
        if (addresses_match(&path->selectors[i], packet))
            return true;
    return false;
}

/* A first fragment that is too short for its ports could slip past a selector with ports (RFC 1858). */
static bool hides_ports(const struct ip_packet *packet)
{
    bool ported = packet->protocol == IP_PROTOCOL_TCP || packet->protocol == IP_PROTOCOL_UDP ||
                  packet->protocol == IP_PROTOCOL_SCTP;
    return ported && packet->first_fragment && !packet->has_ports;
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

/* SID in the leftmost bits, then a counter that never comes back (RFC 6054 3.1). E_LIMIT: no SID, or used up.
 */
static err_t counter_iv(struct esp_path *path, struct esp_counter *counter, uint8_t *out)
{
    unsigned ssiv_bits = 64u - path->sid_bits;
    if (path->sid_count == 0 || path->sid_bits == 0 || path->sid_bits > 32 ||
        (uint64_t)path->sids[0] >> path->sid_bits != 0 || counter->ssiv + 1 >= UINT64_C(1) << ssiv_bits)
        return E_LIMIT;
    counter->ssiv++;
    struct writer w = writer_over(out, 8);
    write_u64(&w, (uint64_t)path->sids[0] << ssiv_bits | counter->ssiv);
    return E_OK;
}

static err_t seal(struct esp_path *path, const struct ip_packet *inner, uint8_t *out, size_t cap,
                  size_t *out_len)
{
    struct esp_sa *sa = &path->sas[path->out];
    struct esp_counter *counter = &path->ledger[path->counter];
    uint8_t iv[ESP_IV_MAX];
    err_t err = tek_is_counter_mode(&sa->tek) ? counter_iv(path, counter, iv)
                                              : random_iv(path, iv, esp_iv_len(&sa->tek.suite));
    if (err != E_OK)
        return err;
    counter->seq++;
    size_t esp_len = 0;
    err = esp_seal(sa->context, sa->spi, counter->seq, iv, IP_PROTOCOL_IPIP, inner->whole,
                   out + IP_HEADER_LEN, cap - IP_HEADER_LEN, &esp_len);
    if (err != E_OK)
        return err;
    if (IP_HEADER_LEN + esp_len > IP_PACKET_MAX)
        return E_FULL;
    ip_outer_write(out, inner, esp_len, path->ip_id++);
    *out_len = IP_HEADER_LEN + esp_len;
    return E_OK;
}

enum esp_verdict esp_path_encapsulate(struct esp_path *path, struct bytes raw, uint8_t *out, size_t cap,
                                      size_t *out_len, struct esp_note *note)
{
    struct ip_packet inner;
    *out_len = 0;
    memset(note, 0, sizeof(*note));
    if (ip_packet_decode(&inner, raw) != E_OK)
        return ESP_IGNORE; /* IPv6 of the kernel's own making, as on any device */
    take_addresses(note, &inner);
    if (!of_our_addresses(path, &inner))
        return drop(path, DP_NO_POLICY, note); /* nothing leads it here: a route of somebody else's */
    if (hides_ports(&inner))
        return drop(path, DP_MALFORMED, note);
    if (!esp_path_protects(path, &inner)) {
        esp_path_count(path, DP_BYPASS, inner.src, inner.dst);
        return ESP_PASS;
    }
    if (!path->has_out)
        return drop(path, DP_NO_KEY, note);
    note->spi = path->sas[path->out].spi;
    esp_path_count(path, DP_ENCAPS, inner.src, inner.dst);
    err_t err = cap < IP_HEADER_LEN ? E_FULL : seal(path, &inner, out, cap, out_len);
    if (err == E_LIMIT)
        return drop(path, DP_NO_KEY, note);
    if (err != E_OK)
        return drop(path, DP_SEND_ERROR, note);
    esp_path_count(path, DP_ENCRYPT, inner.src, inner.dst);
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
static bool inner_allowed(const struct esp_path *path, const struct ip_packet *outer,
                          const struct ip_packet *inner)
{
    return memcmp(outer->src, inner->src, 4) == 0 && memcmp(outer->dst, inner->dst, 4) == 0 &&
           !hides_ports(inner) && esp_path_protects(path, inner);
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
    esp_path_count(path, DP_DECRYPT, note->src, note->dst);
    if (next_header == IP_PROTOCOL_NONE)
        return ESP_IGNORE;
    struct ip_packet inner;
    if (next_header != IP_PROTOCOL_IPIP || ip_packet_decode(&inner, (struct bytes){out, plain_len}) != E_OK)
        return drop(path, DP_MALFORMED, note);
    if (!inner_allowed(path, outer, &inner))
        return drop(path, DP_NO_POLICY, note);
    if (!ip_ecn_decapsulate(out, inner.header_len, outer->tos))
        return drop(path, DP_MALFORMED, note);
    *out_len = inner.whole.len;
    esp_path_count(path, DP_DECAPS, note->src, note->dst);
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
    take_addresses(note, &outer);
    if (!of_our_addresses(path, &outer))
        return ESP_IGNORE; /* ordinary IPsec of this machine */
    struct bytes esp = bytes_slice(outer.whole, outer.header_len, outer.whole.len);
    struct reader r = reader_over(esp);
    note->spi = read_u32(&r);
    if (outer.fragment || r.err != E_OK || cap < esp.len)
        return drop(path, DP_MALFORMED, note);
    struct esp_sa *sa = find_sa(path, note->spi);
    if (sa == NULL)
        return drop(path, DP_INVALID_SPI, note);
    return open_with(path, sa, &outer, esp, out, out_len, note);
}

enum esp_verdict esp_path_guard(struct esp_path *path, struct bytes raw, struct esp_note *note)
{
    struct ip_packet packet;
    memset(note, 0, sizeof(*note));
    if (ip_packet_decode(&packet, raw) != E_OK)
        return ESP_IGNORE;
    take_addresses(note, &packet);
    /* Without a policy yet, rules of the last run led it here, and they knew why. */
    if (path->selector_count == 0 || esp_path_protects(path, &packet) || hides_ports(&packet))
        return drop(path, DP_NOT_IPSEC, note);
    esp_path_count(path, DP_BYPASS, packet.src, packet.dst);
    return ESP_PASS;
}
