/* main_mode_initiator_fuzz.c - messages 2, 4 and 6. */
#include "tests/fuzz/proto_ike/ike_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct main_mode prepared[3]; /* before messages 2, 4 and 6 */

/* A responder of ours brings it there. */
static void prepare(void)
{
    uint8_t to_r[ISAKMP_MESSAGE_MAX], to_i[ISAKMP_MESSAGE_MAX];
    struct main_mode responder;
    struct mm_effects out;
    struct mm_params params_i = fuzz_params(true), params_r = fuzz_params(false);
    fuzz_require(main_mode_initiator_init(&prepared[0], &params_i) == E_OK);
    fuzz_require(main_mode_responder_init(&responder, &params_r) == E_OK);
    struct writer w = writer_over(to_r, sizeof(to_r));
    fuzz_require(fuzz_step(&prepared[0], (struct bytes){0}, &w, &out) == E_OK);
    for (size_t i = 1; i < 3; i++) {
        struct writer answer = writer_over(to_i, sizeof(to_i));
        fuzz_require(fuzz_step(&responder, writer_bytes(&w), &answer, &out) == E_OK);
        prepared[i] = prepared[i - 1];
        w = writer_over(to_r, sizeof(to_r));
        fuzz_require(fuzz_step(&prepared[i], writer_bytes(&answer), &w, &out) == E_OK);
    }
    fuzz_require(prepared[2].state == MM_I_AWAIT_6);
    main_mode_close(&responder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (prepared[2].state != MM_I_AWAIT_6)
        prepare();
    struct fuzz_input in = fuzz_input_of(data, size);
    fuzz_run(&prepared[in.state % 3], &in);
    return 0;
}
