/* core_fuzz.c - datagrams into the key server's core, alone and under an SA.
 * Input: operations, each an octet, a length of two octets and that many octets:
 *   0 a datagram from a member's address       1 one from a stranger
 *   2 payloads for a new PULL under its SA      3 payloads for the PULL going on
 *   4 payloads for an informational message     5 time passes (first octet, in 100 ms)
 *   6 an acknowledgement's payloads under the right KEK   7 a rekey */
#define RIG_PLAIN
#include "tests/unit/server/member.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPERATIONS_MAX = 40, NEXT_PAYLOAD_AT = 16 };

static const struct endpoint stranger = {.addr = {AF_INET, {172, 16, 0, 9}}, .port = GDOI_PORT};

struct fuzz {
    struct rig *rig;
    struct rig_member m;
    uint32_t message_id;
    uint8_t iv[CIPHER_BLOCK_MAX];
    uint8_t nonces[2 * NONCE_MAX];
    size_t nonces_len;
};

/* Payloads behind a HASH that is good, sealed: what only a member with the key can send. */
static void send_sealed(struct fuzz *f, uint8_t exchange, uint32_t message_id, bool first,
                        struct bytes payloads)
{
    static uint8_t buf[ISAKMP_MESSAGE_MAX];
    uint8_t hash[HASH_LEN_MAX];
    struct isakmp_header header = {.version = ISAKMP_VERSION, .exchange = exchange, .message_id = message_id};
    memcpy(header.cookie_i, f->m.sa.cookie_i, COOKIE_LEN);
    memcpy(header.cookie_r, f->m.sa.cookie_r, COOKIE_LEN);
    struct writer w = writer_over(buf, sizeof(buf));
    isakmp_header_encode(&w, &header);
    struct payload_chain chain = payload_chain_over(&w, NEXT_PAYLOAD_AT);
    struct bytes parts[2] = {{f->nonces, f->nonces_len}, bytes_slice(payloads, 1, payloads.len)};
    size_t skip = first ? 1 : 0; /* message 3 has the nonces in front (RFC 6407 3.2) */
    assert_ok(isakmp_sa_hash(&f->m.sa, message_id, parts + skip, 2 - skip, hash));
    payload_put(&chain, PAYLOAD_HASH, (struct bytes){hash, hash_len(f->m.sa.suite.hash)});
    writer_patch_u8(&w, ISAKMP_HEADER_LEN, payloads.len > 0 ? payloads.data[0] : 0); /* its next payload */
    write_bytes(&w, parts[1]);
    if (first)
        assert_ok(isakmp_sa_exchange_iv(&f->m.sa, message_id, f->iv));
    if (isakmp_sa_seal(&f->m.sa, f->iv, &w, 0) == E_OK)
        rig_in(f->rig, &f->m.at, writer_bytes(&w));
}

/* The server's answer moves the IV on, and in message 2 brings its nonce. */
static void take_answer(struct fuzz *f)
{
    uint8_t plain[ISAKMP_MESSAGE_MAX];
    struct isakmp_header header;
    struct bytes body, clear;
    struct payload_list list;
    while (member_get(f->rig, &f->m)) {
        if (isakmp_header_decode(&header, &body, f->m.got) != E_OK)
            abort(); /* whatever came in, what goes out is well-formed */
        if (header.exchange != EXCHANGE_PULL || header.message_id != f->message_id)
            continue;
        if (isakmp_sa_open(&f->m.sa, f->iv, body, plain, &clear) != E_OK ||
            payload_list_decode(&list, header.next_payload, clear) != E_OK)
            continue;
        const struct payload *nonce = payload_find(&list, PAYLOAD_NONCE, 0);
        if (nonce == NULL || nonce->body.len > NONCE_MAX || f->nonces_len > NONCE_MAX)
            continue;
        memcpy(f->nonces + f->nonces_len, nonce->body.data, nonce->body.len);
        f->nonces_len += nonce->body.len;
    }
}

static void start_pull(struct fuzz *f, struct bytes payloads)
{
    struct payload_list list;
    const struct payload *nonce = NULL;
    f->message_id++;
    f->nonces_len = 0;
    if (payloads.len > 0 &&
        payload_list_decode(&list, payloads.data[0], bytes_slice(payloads, 1, payloads.len)) == E_OK)
        nonce = payload_find(&list, PAYLOAD_NONCE, 0);
    if (nonce != NULL && nonce->body.len > 0 && nonce->body.len <= NONCE_MAX) {
        memcpy(f->nonces, nonce->body.data, nonce->body.len);
        f->nonces_len = nonce->body.len;
    }
    send_sealed(f, EXCHANGE_PULL, f->message_id, true, payloads);
}

static void send_ack(struct fuzz *f, struct bytes payloads)
{
    uint8_t buf[2048];
    struct isakmp_header header = {
        .version = ISAKMP_VERSION, .exchange = EXCHANGE_PUSH_ACK, .next_payload = PAYLOAD_HASH};
    memcpy(header.cookie_i, f->m.push.kek.spi, COOKIE_LEN);
    memcpy(header.cookie_r, f->m.push.kek.spi + COOKIE_LEN, COOKIE_LEN);
    struct writer w = writer_over(buf, sizeof(buf));
    isakmp_header_encode(&w, &header);
    write_bytes(&w, payloads);
    isakmp_message_end(&w, 0);
    if (w.err == E_OK)
        rig_in(f->rig, &f->m.at, writer_bytes(&w));
}

static void operate(struct fuzz *f, uint8_t operation, struct bytes body)
{
    switch (operation % 8) {
    case 0:
        rig_in(f->rig, &f->m.at, body);
        break;
    case 1:
        rig_in(f->rig, &stranger, body);
        break;
    case 2:
        start_pull(f, body);
        break;
    case 3:
        send_sealed(f, EXCHANGE_PULL, f->message_id, false, body);
        break;
    case 4: {
        uint8_t iv[CIPHER_BLOCK_MAX];
        memcpy(iv, f->iv, sizeof(iv));
        send_sealed(f, EXCHANGE_INFORMATIONAL, 0x70000000, true, body);
        memcpy(f->iv, iv, sizeof(iv));
        break;
    }
    case 5:
        rig_pass(f->rig, body.len > 0 ? body.data[0] * 100u : 0);
        break;
    case 6:
        send_ack(f, body);
        break;
    case 7:
        if (core_rekey(f->rig->core, "G1", NULL, NULL) != E_OK)
            break;
        break;
    }
    rig_settle(f->rig);
    take_answer(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz f;
    struct reader r = reader_over((struct bytes){data, size});
    f = (struct fuzz){.rig = rig_ready()};
    member_register(f.rig, &f.m, 13, 2);
    for (int i = 0; i < OPERATIONS_MAX && reader_left(&r) >= 3; i++) {
        uint8_t operation = read_u8(&r);
        size_t len = read_u16(&r);
        operate(&f, operation, read_bytes(&r, len < reader_left(&r) ? len : reader_left(&r)));
    }
    /* Whatever it was: sequence numbers and members are what commands made them. */
    assert_true(f.rig->state.group_count == 1);
    assert_true(rig_g1(f.rig)->members.count <= 1);
    member_close(&f.m);
    rig_free(f.rig);
    return 0;
}
