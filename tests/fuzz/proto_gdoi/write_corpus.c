/* write_corpus.c - writes the seeds of the targets in this folder, from real messages of both ends:
 *   cc -D_GNU_SOURCE -I. tests/fuzz/proto_gdoi/write_corpus.c BUILD/libquorate_proto_{gdoi,ike,wire,crypto}.a
 * \ BUILD/libquorate_base.a -lcrypto -lconfig -o write_corpus
 *   ./write_corpus tests/fuzz/corpus */
#include <stdio.h>
#include <sys/stat.h>

#include "tests/fuzz/proto_gdoi/pull_fuzz.h"

enum { PATH_LEN = 512 };

static const char *root;

static void save(const char *target, const char *name, const void *head, size_t head_len, struct bytes body)
{
    char path[PATH_LEN];
    snprintf(path, sizeof(path), "%s/%s", root, target);
    mkdir(path, 0777);
    snprintf(path, sizeof(path), "%s/%s/%s", root, target, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(head, 1, head_len, f) != head_len ||
        fwrite(body.data, 1, body.len, f) != body.len)
        exit(1);
    fclose(f);
}

/* A message of the PULL as datagram, and as [first payload][payloads behind HASH]. Leaves the latter in
 * clear. */
static uint8_t clear[MESSAGE_CAP];

static struct bytes open_pull(int n)
{
    uint8_t iv[CIPHER_BLOCK_MAX];
    struct isakmp_header header;
    struct payload_list list;
    struct bytes body, plain;
    static uint8_t room[MESSAGE_CAP];
    memcpy(iv, stopped[n].iv, sizeof(iv));
    must(isakmp_header_decode(&header, &body, fuzz_sent[n]));
    must(isakmp_sa_open(&fuzz_sa, iv, body, room, &plain));
    must(payload_list_decode(&list, header.next_payload, plain));
    struct writer w = writer_over(clear, sizeof(clear));
    write_u8(&w, room[0]); /* what follows HASH */
    write_bytes(&w, bytes_slice(plain, list.items[0].whole.len, list.consumed - list.items[0].whole.len));
    return writer_bytes(&w);
}

static void write_pull(void)
{
    static const char *const targets[] = {NULL, "pull_server", "pull_member", "pull_server", "pull_member"};
    char name[32];
    fuzz_prepare();
    for (int n = 1; n <= 4; n++) {
        uint8_t form = n > 2 ? 1 : 0;
        uint8_t raw = form | FORM_RAW;
        snprintf(name, sizeof(name), "message-%d", n);
        save(targets[n], name, &raw, 1, fuzz_sent[n]);
        snprintf(name, sizeof(name), "message-%d-clear", n);
        save(targets[n], name, &form, 1, open_pull(n));
    }
    static uint8_t both[2 * MESSAGE_CAP];
    struct writer w = writer_over(both, sizeof(both));
    struct bytes second = open_pull(2);
    write_u8(&w, 2);
    write_u16(&w, (uint16_t)second.len);
    write_bytes(&w, second);
    write_bytes(&w, open_pull(4));
    save("pull_member", "both-clear", "", 0, writer_bytes(&w));
}

static struct bytes build_push(const struct push_content *content, const struct kek *kek)
{
    static uint8_t buf[MESSAGE_CAP];
    struct writer w = writer_over(buf, sizeof(buf));
    must(push_build(kek, fixture_sign_key(SIGN_ECDSA_256), NULL, content, &w));
    return writer_bytes(&w);
}

static void save_push(const char *name, const struct push_content *content)
{
    struct kek kek;
    struct payload_list list;
    uint8_t iv[CIPHER_BLOCK_MAX], head[2] = {0, PAYLOAD_SEQ};
    char longer[64];
    fixture_kek(&kek, 1, CIPHER_AES_CBC_128, SIGN_ECDSA_256);
    struct bytes datagram = build_push(content, &kek);
    save("push_member", name, head, 1, datagram);
    size_t len = datagram.len - ISAKMP_HEADER_LEN;
    memcpy(clear, datagram.data + ISAKMP_HEADER_LEN, len);
    push_iv(&kek, iv);
    must(cipher_decrypt(kek.cipher, kek_key(&kek), iv, clear, len));
    must(payload_list_decode(&list, PAYLOAD_SEQ, (struct bytes){clear, len}));
    head[0] = 1;
    snprintf(longer, sizeof(longer), "%s-clear", name);
    save("push_member", longer, head, 2, (struct bytes){clear, list.consumed});
    head[0] = 2;
    snprintf(longer, sizeof(longer), "%s-to-sign", name);
    save("push_member", longer, head, 2,
         (struct bytes){clear, list.consumed - list.items[list.count - 1].whole.len});
}

static void write_push(void)
{
    struct group_policy policy;
    struct push_content content = {.seq = 5, .policy = &policy};
    fixture_policy_gcm(&policy);
    policy.sid_count = 0;
    policy.has_kek = false;
    save_push("teks", &content);
    policy.has_kek = true;
    fixture_kek(&policy.kek, 2, CIPHER_AES_CBC_128, SIGN_ECDSA_256);
    policy.tek_count = 0;
    save_push("kek", &content);
    content.policy = NULL;
    content.deletes[0] = (struct push_delete){.protocol = SAT_ESP, .tek_spi = 0x11220001};
    content.deletes[1] = (struct push_delete){.protocol = 0, .all = true};
    content.delete_count = 2;
    save_push("deletes", &content);
}

static void write_ack(void)
{
    struct kek kek;
    struct push_ack_key key;
    uint8_t buf[PUSH_ACK_LEN_MAX], head = 1;
    const struct addr four = addr_v4(192, 0, 2, 77), six = {AF_INET6, {0x20, 1, 0xd, 0xb8}};
    fixture_kek(&kek, 1, CIPHER_AES_CBC_128, SIGN_ECDSA_256);
    must(push_ack_key_derive(&key, &kek));
    struct writer w = writer_over(buf, sizeof(buf));
    must(push_ack_build(&key, 5, &four, false, &w));
    save("push_ack", "ipv4", &head, 1, writer_bytes(&w));
    head = 0;
    w = writer_over(buf, sizeof(buf));
    must(push_ack_build(&key, 5, &six, true, &w));
    save("push_ack", "ipv6-to-hash", &head, 1, writer_bytes(&w));
    kek.ack = KEK_ACK_SHA512;
    head = 1;
    must(push_ack_key_derive(&key, &kek));
    w = writer_over(buf, sizeof(buf));
    must(push_ack_build(&key, 5, &four, false, &w));
    save("push_ack", "sha512", &head, 1, writer_bytes(&w));
}

static void save_policy(const char *name, uint8_t mode, const struct group_policy *policy,
                        const uint8_t *kek_spi)
{
    static uint8_t buf[4 * MESSAGE_CAP];
    uint8_t head[3] = {mode};
    struct writer w = writer_over(buf, sizeof(buf));
    must(group_policy_encode_sa(policy, NULL, &w));
    head[1] = (uint8_t)(w.len >> 8);
    head[2] = (uint8_t)w.len;
    must(group_policy_encode_kd(policy, kek_spi, &w));
    save("group_policy", name, head, sizeof(head), writer_bytes(&w));
}

static void write_policy(void)
{
    struct group_policy policy;
    fixture_policy_gcm(&policy);
    save_policy("gcm", 0, &policy, policy.kek.spi);
    policy.teks[0].covers[0] = 2;
    save_policy("old-spi", 2, &policy, (const uint8_t *)"the old one, 16");
    fixture_policy(&policy);
    fixture_tek(&policy.teks[0], 1, (struct esp_suite){.transform = ESP_3DES, .auth = AUTH_HMAC_SHA1});
    save_policy("reference", 1, &policy, policy.kek.spi);
    policy.has_kek = false;
    policy.has_delays = false;
    fixture_tek(&policy.teks[0], 1, fixture_cbc);
    policy.selectors[0] =
        (struct selector){.src = fixture_prefix("::/0"), .dst = fixture_prefix("2001:db8::1")};
    save_policy("ipv6", 0, &policy, policy.kek.spi);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    root = argv[1];
    write_pull();
    write_push();
    write_ack();
    write_policy();
    return 0;
}
