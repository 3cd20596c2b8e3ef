/* main_mode_responder_fuzz.c - messages 1, 3 and 5. */
#include "tests/fuzz/proto_ike/ike_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct main_mode prepared[3]; /* before messages 1, 3 and 5 */

/* Message 1: one 3DES transform. Message 3: a KE and a nonce of one octet repeated. */
static void prepare(void)
{
    static const uint8_t sa_body[] = {0,    0, 0, 2,  0,    0, 0, 0, /* DOI, situation */
                                      0,    0, 0, 32, 1,    1, 0, 1, /* proposal */
                                      0,    0, 0, 24, 1,    1, 0, 0,
                                      0x80, 1, 0, 5,  0x80, 2, 0, 2, /* transform */
                                      0x80, 3, 0, 1,  0x80, 4, 0, 2};
    static const uint8_t same[128] = {0x47};
    uint8_t message[512], reply[ISAKMP_MESSAGE_MAX];
    struct mm_effects out;
    struct mm_params params = fuzz_params(false);
    fuzz_require(main_mode_responder_init(&prepared[0], &params) == E_OK);
    for (size_t i = 1; i < 3; i++) {
        struct isakmp_header header = {.version = ISAKMP_VERSION, .exchange = EXCHANGE_MAIN};
        memcpy(header.cookie_i, fuzz_cookie_i, COOKIE_LEN);
        if (i == 2)
            memcpy(header.cookie_r, fuzz_cookie_r, COOKIE_LEN);
        struct writer w = writer_over(message, sizeof(message));
        struct writer reply_writer = writer_over(reply, sizeof(reply));
        isakmp_header_encode(&w, &header);
        struct payload_chain chain = payload_chain_over(&w, 16);
        payload_put(&chain, i == 1 ? PAYLOAD_SA : PAYLOAD_KE, i == 1 ? BYTES_OF(sa_body) : BYTES_OF(same));
        if (i == 2)
            payload_put(&chain, PAYLOAD_NONCE, (struct bytes){same, 16});
        isakmp_message_end(&w, 0);
        prepared[i] = prepared[i - 1];
        fuzz_require(fuzz_step(&prepared[i], writer_bytes(&w), &reply_writer, &out) == E_OK);
    }
    fuzz_require(prepared[2].state == MM_R_AWAIT_5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (prepared[2].state != MM_R_AWAIT_5)
        prepare();
    struct fuzz_input in = fuzz_input_of(data, size);
    fuzz_run(&prepared[in.state % 3], &in);
    return 0;
}
