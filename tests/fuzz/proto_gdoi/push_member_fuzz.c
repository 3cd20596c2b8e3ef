/* push_member_fuzz.c - a push at the member. An input is one octet for the form, then: the datagram; or, to
 * be sealed under the KEK, [first payload's type][payloads, SIG included]; or [first payload's type][payloads
 * before SIG], which the harness signs too (a hostile key server; ECDSA P-256, whose signature is short). */
#include "tests/lib/gdoi_forge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FORM = 3, FORM_RAW = 0, FORM_SEALED = 1, ANY_DIALECT = 0x40, PADDED_LENGTH = 0x20 };

static struct push_member member;
static struct kek kek;
static struct sign_key *key;
static uint8_t buf[MESSAGE_CAP], reply[MESSAGE_CAP];

static void prepare(void)
{
    fixture_kek(&kek, 1, CIPHER_AES_CBC_128, SIGN_ECDSA_256);
    key = fixture_sign_key(SIGN_ECDSA_256);
    must(push_member_open(&member, &kek, 4, false));
}

static struct bytes sealed(uint8_t first, struct bytes payloads)
{
    uint8_t iv[CIPHER_BLOCK_MAX];
    size_t len = (payloads.len + 15) / 16 * 16;
    struct isakmp_header header = push_header(kek.spi, first, (uint32_t)(ISAKMP_HEADER_LEN + len));
    struct writer w = writer_over(buf, sizeof(buf));
    isakmp_header_encode(&w, &header);
    write_bytes(&w, payloads);
    write_zeros(&w, len - payloads.len);
    must(writer_end(&w));
    push_iv(&kek, iv);
    must(cipher_encrypt(kek.cipher, kek_key(&kek), iv, buf + ISAKMP_HEADER_LEN, len));
    return writer_bytes(&w);
}

static struct bytes datagram_of(uint8_t form, struct bytes input)
{
    if ((form & FORM) == FORM_RAW || input.len == 0 || input.len > MESSAGE_CAP - 256)
        return input;
    struct bytes payloads = bytes_slice(input, 1, input.len);
    if ((form & FORM) == FORM_SEALED)
        return sealed(input.data[0], payloads);
    return forge_push(buf, sizeof(buf), &kek, key, (form & PADDED_LENGTH) != 0, false, input.data[0],
                      payloads);
}

/* What was taken can be installed, and the member goes over to it as a whole. */
static void use(const struct push_received *got)
{
    struct push_member next;
    struct writer w = writer_over(reply, sizeof(reply));
    if (got->seq <= member.last_seq || got->delete_count > PUSH_DELETE_MAX)
        abort();
    if (!got->has_policy && got->delete_count == 0)
        return; /* deletes of protocols that are not ours */
    must(push_member_open(&next, &kek, member.last_seq, member.any_dialect));
    must(push_member_accept(&next, got));
    if (next.last_seq != got->seq || next.verify == NULL || kek_key(&next.kek).len == 0)
        abort();
    push_member_close(&next);
    (void)push_deletes_tek(got, 0x100);
    (void)push_deletes_kek(got, kek.spi);
    if (got->has_policy) {
        err_t err = group_policy_encode_kd(&got->policy, got->policy.kek.spi, &w);
        if (err != E_OK && err != E_FULL)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (key == NULL)
        prepare();
    if (size == 0)
        return 0;
    struct push_received got = {0};
    struct bytes datagram = datagram_of(data[0], (struct bytes){data + 1, size - 1});
    uint8_t *plain = malloc(datagram.len != 0 ? datagram.len : 1); /* exactly the scratch that is asked for */
    if (plain == NULL)
        return 0;
    member.any_dialect = (data[0] & ANY_DIALECT) != 0;
    err_t err = push_member_open_message(&member, datagram, plain, &got);
    if (err == E_OK)
        use(&got);
    else if (got.has_policy || got.policy.tek_count != 0)
        abort();
    push_received_close(&got);
    free(plain);
    return 0;
}
