/* Replicated commands: what decodes encodes to the same bytes (of an older version: to bytes of today's that
 * stay as they are), and a state takes it or refuses it, whatever it says. The input is a row of commands,
 * all applied to one state. */
#include <stdlib.h>
#include <string.h>

#include "cluster/ks_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t again[BATCH_LEN_MAX * 2], third[BATCH_LEN_MAX * 2];

static void apply(struct ks_state *state, const struct command *command)
{
    struct apply_result result;
    uint8_t hash[32];
    if (ks_state_apply(state, command, NULL, &result, NULL, NULL) != E_OK ||
        ks_state_hash(state, hash) != E_OK)
        abort();
    if (result.err != E_OK && (result.created || result.member != NULL))
        abort();
}

/* Bytes of today's version: they decode, and encode to themselves. */
static void check_settles(struct bytes encoded)
{
    static struct command command;
    struct reader r = reader_over(encoded);
    struct writer w = writer_over(third, sizeof(third));
    if (command_decode(&r, &command) != E_OK || reader_left(&r) != 0 ||
        command_encode(&w, &command) != E_OK || !bytes_equal(writer_bytes(&w), encoded))
        abort();
    command_close(&command);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t seed[2] = {1, 2};
    static struct command command;
    struct ks_state state;
    struct reader r = reader_over((struct bytes){data, size});
    ks_state_init(&state, seed);
    while (reader_left(&r) > 0) {
        const uint8_t *start = r.pos;
        if (command_decode(&r, &command) != E_OK)
            break;
        struct writer w = writer_over(again, sizeof(again));
        if (command_encode(&w, &command) != E_OK)
            abort();
        if (!bytes_equal(writer_bytes(&w), (struct bytes){start, (size_t)(r.pos - start)}))
            check_settles(writer_bytes(&w));
        apply(&state, &command);
        command_close(&command);
    }
    ks_state_close(&state);
    return 0;
}
