/* Datagrams at a registered member: anything at all; anything under the KEK; and payloads of the input's
 * choice that the key server itself has signed. A member that takes a push must have a state that its data
 * path can take. */
#include <stdlib.h>
#include <string.h>

#include "gm-agent/agent.h"
#include "proto/wire/payload.h"

enum { DATAGRAM_CAP = 4096, NOW_MS = 1000000 };

static struct agent agent;
static struct agent_effects effects;
static struct gm_config config;
static struct kek kek;
static struct sign_key *sign_key;
static struct rng_seeded seeded;
static struct rng rng;

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void start(void)
{
    static uint8_t private_key[SIGN_PRIVATE_MAX];
    uint8_t raw[48];
    size_t private_len = 0, public_len = 0;
    rng = rng_seeded_init(&seeded, 1);
    memset(raw, 0x33, sizeof(raw));
    must(sign_key_make(SIGN_ECDSA_256, 0, private_key, &private_len, kek.public_key, &public_len) == E_OK);
    must(sign_key_open((struct bytes){private_key, private_len}, &sign_key) == E_OK);
    kek.public_len = (uint16_t)public_len;
    kek.cipher = CIPHER_AES_CBC_256;
    kek.lifetime_s = 3600;
    kek.sig_hash = HASH_SHA256;
    kek.sig_alg = SIGN_ECDSA_256;
    kek.ack = KEK_ACK_SHA256;
    memset(kek.spi, 0x44, sizeof(kek.spi));
    must(secret_set(&kek.iv_key, BYTES_OF(raw)) == E_OK);
    strcpy(config.group_name, "G1");
    config.local = (struct endpoint){addr_v4(10, 1, 20, 2), 848};
    config.servers[0] = (struct endpoint){addr_v4(10, 1, 11, 2), 848};
    config.server_count = 1;
    config.reregister_before_s = 60;
    config.retry_first_s = config.retry_max_s = 60;
    config.request_timeout_s = 10;
    config.retransmit_ms = 500;
}

static void register_member(void)
{
    struct group_policy policy = {.tek_count = 1};
    uint8_t raw[32];
    memset(raw, 0x55, sizeof(raw));
    policy.teks[0].spi = 0x1001;
    policy.teks[0].lifetime_s = 3600;
    policy.teks[0].suite = (struct esp_suite){ESP_AES_CBC, 256, AUTH_HMAC_SHA256};
    must(secret_set(&policy.teks[0].key, BYTES_OF(raw)) == E_OK);
    must(secret_set(&policy.teks[0].integrity, BYTES_OF(raw)) == E_OK);
    agent_init(&agent, &config, &rng, datapath_user_check);
    must(rekey_listen_open(&agent.listen, &kek, 5, false, NOW_MS) == E_OK);
    tek_table_register(&agent.teks, &policy, NOW_MS);
    agent.registered = true;
    agent.registered_with = config.servers[0];
}

static void deliver(struct bytes datagram)
{
    struct agent_event event = {
        .kind = AGENT_EVENT_DATAGRAM, .from = config.servers[0], .datagram = datagram};
    struct datapath_state state;
    agent_step(&agent, &event, NOW_MS, &effects);
    must(effects.send_count <= AGENT_SEND_MAX && !effects.compute);
    agent_datapath_state(&agent, &state);
    must(state.in_count <= TEK_TABLE_MAX && state.selector_count <= POLICY_SELECTOR_MAX);
    for (size_t i = 0; i < state.in_count; i++)
        must(esp_key_len(&state.in[i]->suite) == state.in[i]->key.len);
    for (size_t i = 0; i < state.selector_count; i++)
        must(state.selectors[i].src.addr.family == state.selectors[i].dst.addr.family);
    if (effects.apply) {
        struct agent_event applied = {.kind = AGENT_EVENT_APPLIED};
        agent_step(&agent, &applied, NOW_MS, &effects);
        must(effects.send_count <= 1); /* the acknowledgement */
    }
}

static void put_header(struct writer *w, uint8_t next)
{
    struct isakmp_header header = {.next_payload = next,
                                   .version = ISAKMP_VERSION,
                                   .exchange = EXCHANGE_PUSH,
                                   .flags = ISAKMP_FLAG_ENCRYPTED};
    memcpy(header.cookie_i, kek.spi, COOKIE_LEN);
    memcpy(header.cookie_r, kek.spi + COOKIE_LEN, COOKIE_LEN);
    isakmp_header_encode(w, &header);
}

/* Encrypts what stands behind the header, under the KEK. */
static void seal(struct writer *w)
{
    uint8_t iv[CIPHER_BLOCK_MAX];
    memcpy(iv, kek.iv_key.data, sizeof(iv));
    while ((w->len - ISAKMP_HEADER_LEN) % 16 != 0)
        write_u8(w, 0);
    isakmp_message_end(w, 0);
    must(cipher_encrypt(kek.cipher, kek_key(&kek), iv, w->buf + ISAKMP_HEADER_LEN,
                        w->len - ISAKMP_HEADER_LEN) == E_OK);
}

/* SEQ 6, then the input as a chain of payloads (its first octet is the type of the first), then a good SIG.
 */
static void put_signed(struct writer *w, struct bytes chain)
{
    uint8_t digest[HASH_LEN_MAX], signature[SIGNATURE_MAX];
    size_t signature_len = sign_key_signature_len(sign_key);
    put_header(w, PAYLOAD_SEQ);
    write_u8(w, chain.data[0]);
    write_u8(w, 0);
    write_u16(w, 8);
    write_u32(w, 6);
    write_bytes(w, bytes_slice(chain, 1, chain.len));
    size_t before_sig = w->len;
    write_u8(w, 0);
    write_u8(w, 0);
    write_u16(w, (uint16_t)(PAYLOAD_HEADER_LEN + signature_len));
    write_zeros(w, signature_len);
    isakmp_message_end(w, 0); /* trap 3: the hashed length is that without padding */
    struct bytes parts[] = {bytes_of_text("rekey"), {w->buf, before_sig}};
    must(hash_parts(HASH_SHA256, parts, 2, digest) == E_OK);
    must(sign_digest(sign_key, HASH_SHA256, false, (struct bytes){digest, 32}, signature, &signature_len) ==
         E_OK);
    memcpy(w->buf + before_sig + PAYLOAD_HEADER_LEN, signature, signature_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    uint8_t datagram[DATAGRAM_CAP];
    struct writer w = writer_over(datagram, sizeof(datagram));
    if (!started) {
        start();
        started = true;
    }
    if (size < 2 || size > DATAGRAM_CAP - 512)
        return 0;
    struct bytes rest = {data + 1, size - 1};
    register_member();
    switch (data[0] % 3) {
    case 0:
        deliver(rest);
        break;
    case 1:
        put_header(&w, rest.data[0]);
        write_bytes(&w, bytes_slice(rest, 1, rest.len));
        seal(&w);
        deliver(writer_bytes(&w));
        break;
    default:
        put_signed(&w, rest);
        seal(&w);
        deliver(writer_bytes(&w));
        deliver(writer_bytes(&w)); /* and again, as a key server repeats it */
        break;
    }
    agent_close(&agent);
    return 0;
}
