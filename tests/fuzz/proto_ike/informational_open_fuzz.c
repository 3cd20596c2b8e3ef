/* informational_open_fuzz.c - one informational message: without an SA (state 0), or under one. */
#include "proto/ike/informational.h"
#include "tests/fuzz/proto_ike/ike_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_ID = 0x3cc1f923 };

static struct isakmp_sa sa;

static void prepare(void)
{
    sa = (struct isakmp_sa){.suite = {CIPHER_3DES_CBC, HASH_SHA1, IKE_GROUP_MODP1024, IKE_AUTH_PSK},
                            .doi = DOI_GDOI};
    memcpy(sa.cookie_i, fuzz_cookie_i, COOKIE_LEN);
    memcpy(sa.cookie_r, fuzz_cookie_r, COOKIE_LEN);
    fuzz_require(isakmp_sa_derive(&sa, bytes_of_text("psk"), bytes_of_text("ni"), bytes_of_text("nr"),
                                  bytes_of_text("shared")) == E_OK);
    sa.established = true;
}

/* HASH over all that stands behind it (RFC 2409 5.7). */
static void sign(uint8_t first, uint8_t *plain, size_t len)
{
    struct payload_list list;
    if (payload_list_decode(&list, first, (struct bytes){plain, len}) != E_OK || list.count == 0 ||
        list.items[0].type != PAYLOAD_HASH || list.items[0].body.len != hash_len(sa.suite.hash))
        return;
    size_t covered = list.items[0].whole.len;
    struct bytes rest = bytes_slice((struct bytes){plain, len}, covered, list.consumed - covered);
    fuzz_require(isakmp_sa_hash(&sa, MESSAGE_ID, &rest, 1, plain + PAYLOAD_HEADER_LEN) == E_OK);
}

static struct bytes build(const struct fuzz_input *in, uint8_t *buffer)
{
    struct isakmp_header header = {
        .version = ISAKMP_VERSION, .exchange = EXCHANGE_INFORMATIONAL, .message_id = MESSAGE_ID};
    struct writer w = writer_over(buffer, ISAKMP_MESSAGE_MAX);
    uint8_t iv[CIPHER_BLOCK_MAX];
    if (in->form == FORM_RAW || in->data.len == 0)
        return in->data;
    header.next_payload = in->data.data[0];
    memcpy(header.cookie_i, fuzz_cookie_i, COOKIE_LEN);
    memcpy(header.cookie_r, fuzz_cookie_r, COOKIE_LEN);
    isakmp_header_encode(&w, &header);
    write_bytes(&w, bytes_slice(in->data, 1, in->data.len));
    isakmp_message_end(&w, 0);
    if (in->form == FORM_FRAMED || w.err != E_OK)
        return writer_bytes(&w);
    if (in->form == FORM_SIGNED)
        sign(header.next_payload, buffer + ISAKMP_HEADER_LEN, w.len - ISAKMP_HEADER_LEN);
    fuzz_require(isakmp_sa_exchange_iv(&sa, MESSAGE_ID, iv) == E_OK);
    return isakmp_sa_seal(&sa, iv, &w, 0) == E_OK ? writer_bytes(&w) : (struct bytes){0};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t buffer[ISAKMP_MESSAGE_MAX], plain[ISAKMP_MESSAGE_MAX];
    if (!sa.established)
        prepare();
    struct fuzz_input in = fuzz_input_of(data, size);
    struct isakmp_header header;
    struct bytes body;
    struct informational info;
    bool under_sa = in.state % 2 == 1;
    if (isakmp_header_decode(&header, &body, build(&in, buffer)) != E_OK)
        return 0;
    err_t err = informational_open(under_sa ? &sa : NULL, &header, body, plain, &info);
    if (err != E_OK)
        return 0;
    fuzz_require(info.protected == under_sa);
    /* Nothing is believed but under a right HASH. */
    if (!under_sa)
        fuzz_require(info.kind == INFO_NOTIFY || info.kind == INFO_DELETE_OTHER);
    else
        fuzz_require(in.form == FORM_SIGNED);
    return 0;
}
