/* pull_pcap.c - both our ends talk main mode, a GROUPKEY-PULL, and a push with its acknowledgement, and what
 * they say is written as a capture for tshark.sh; the cookie and the phase-1 key that decrypt it are printed.
 * tshark takes what runs under a phase-1 SA of DOI 2 for something else and decrypts nothing, so the DOI of
 * the two phase-1 SA payloads is written into the capture as 1; all else is as it was sent (RFC 6407 2.1
 * demands 2 and that is what runs here). usage: interop_pull_pcap FILE */
#include <stdio.h>

#include "tests/lib/gdoi_fixture.h"
#include "tests/unit/proto/ike/exchange.h"

enum { LINKTYPE_RAW = 101, IP_LEN = 20, UDP_LEN = 8, DOI_AT = ISAKMP_HEADER_LEN + PAYLOAD_HEADER_LEN };

static FILE *file;
static struct datagram messages[7];
static uint8_t plain[MESSAGE_CAP];

static void write_u32_le(uint32_t v)
{
    uint8_t raw[] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    if (fwrite(raw, 1, sizeof(raw), file) != sizeof(raw))
        abort();
}

static uint16_t checksum(const uint8_t *header)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < IP_LEN; i += 2)
        sum += (uint32_t)(header[i] << 8 | header[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~(sum + (sum >> 16));
}

/* One UDP datagram between 10.1.13.2 (the member) and 10.1.11.2 (the key server), port 848 on both sides. */
static void capture(bool from_member, struct bytes payload)
{
    static uint32_t seconds;
    uint8_t head[IP_LEN + UDP_LEN];
    struct writer w = writer_over(head, sizeof(head));
    const struct addr member = addr_v4(10, 1, 13, 2), server = addr_v4(10, 1, 11, 2);
    write_u16(&w, 0x4500);
    write_u16(&w, (uint16_t)(sizeof(head) + payload.len));
    write_u32(&w, 0);
    write_u16(&w, 64 << 8 | 17);
    size_t checksum_at = write_reserve(&w, 2);
    write_bytes(&w, addr_bytes(from_member ? &member : &server));
    write_bytes(&w, addr_bytes(from_member ? &server : &member));
    writer_patch_u16(&w, checksum_at, checksum(head));
    write_u16(&w, GDOI_PORT);
    write_u16(&w, GDOI_PORT);
    write_u16(&w, (uint16_t)(UDP_LEN + payload.len));
    write_u16(&w, 0);
    write_u32_le(1700000000 + seconds++);
    write_u32_le(0);
    write_u32_le((uint32_t)(sizeof(head) + payload.len));
    write_u32_le((uint32_t)(sizeof(head) + payload.len));
    if (fwrite(head, 1, sizeof(head), file) != sizeof(head) ||
        fwrite(payload.data, 1, payload.len, file) != payload.len)
        abort();
}

static void main_mode(struct exchange *ex, struct isakmp_sa *member, struct isakmp_sa *server)
{
    exchange_defaults(ex, "aes256-sha256-modp2048", 1);
    exchange_start(ex);
    must(exchange_complete(ex, messages));
    for (int n = 1; n <= 6; n++) {
        if (n <= 2)
            messages[n].data[DOI_AT + 3] = DOI_IPSEC; /* in the capture only: both ends are done */
        capture(n % 2 == 1, datagram_view(&messages[n]));
    }
    main_mode_take_sa(&ex->i, member);
    main_mode_take_sa(&ex->r, server);
}

static void pull(const struct exchange *ex, const struct isakmp_sa *member_sa,
                 const struct isakmp_sa *server_sa, const struct group_policy *policy)
{
    struct pull_member member = {0};
    struct pull_server server = {0};
    struct identity group = identity_from_number(FIXTURE_GROUP);
    struct writer w[5];
    for (int n = 0; n <= 4; n++)
        w[n] = writer_over(messages[n].data, sizeof(messages[n].data));
    must(pull_member_start(&member, member_sa, &ex->rng, &group, 2, &w[1]));
    must(pull_server_request(&server, server_sa, writer_bytes(&w[1]), plain));
    must(pull_server_offer(&server, server_sa, &ex->rng, policy, NULL, &w[2]));
    must(pull_member_step(&member, member_sa, writer_bytes(&w[2]), plain, &w[3]));
    must(pull_server_confirm(&server, server_sa, writer_bytes(&w[3]), plain));
    must(pull_server_deliver(&server, server_sa, policy, 0, &w[4]));
    must(pull_member_step(&member, member_sa, writer_bytes(&w[4]), plain, &w[0]));
    if (member.state != PULL_M_DONE)
        abort();
    for (int n = 1; n <= 4; n++)
        capture(n % 2 == 1, writer_bytes(&w[n]));
    pull_member_close(&member);
    pull_server_close(&server);
}

static void push(struct group_policy *policy)
{
    struct sign_key *key = fixture_sign_key(SIGN_RSA);
    struct push_ack_key ack_key;
    uint8_t ack[PUSH_ACK_LEN_MAX];
    const struct addr member = addr_v4(10, 1, 13, 2);
    struct writer w = writer_over(messages[0].data, sizeof(messages[0].data));
    struct push_content content = {.seq = 1, .policy = policy};
    policy->sid_count = 0;
    must(push_build(&policy->kek, key, NULL, &content, &w));
    capture(false, writer_bytes(&w));
    must(push_ack_key_derive(&ack_key, &policy->kek));
    w = writer_over(ack, sizeof(ack));
    must(push_ack_build(&ack_key, 1, &member, false, &w));
    capture(true, writer_bytes(&w));
    push_ack_key_close(&ack_key);
    sign_key_free(key);
}

static void print_hex(struct bytes data)
{
    for (size_t i = 0; i < data.len; i++)
        printf("%02x", data.data[i]);
}

int main(int argc, char **argv)
{
    static struct exchange ex;
    static struct group_policy policy;
    struct isakmp_sa member, server;
    if (argc != 2 || (file = fopen(argv[1], "wb")) == NULL) {
        fprintf(stderr, "usage: interop_pull_pcap FILE\n");
        return 2;
    }
    write_u32_le(0xa1b2c3d4);
    write_u32_le(4 << 16 | 2); /* version 2.4 */
    write_u32_le(0);
    write_u32_le(0);
    write_u32_le(65535);
    write_u32_le(LINKTYPE_RAW);
    main_mode(&ex, &member, &server);
    fixture_policy_gcm(&policy);
    pull(&ex, &member, &server, &policy);
    push(&policy);
    print_hex(BYTES_OF(member.cookie_i));
    printf(",");
    print_hex(secret_view(&member.key));
    printf("\n");
    isakmp_sa_close(&member);
    isakmp_sa_close(&server);
    exchange_close(&ex);
    return fclose(file) == 0 ? 0 : 1;
}
