#include "cluster/command.h"

#include "tests/lib/test.h"
#include "tests/unit/cluster/random_command.h"

enum { ROUNDS = 600, ROOM = BATCH_LEN_MAX };

static uint8_t first[ROOM], second[ROOM];

static void every_command_survives_encoding(void **state)
{
    (void)state;
    struct draw d;
    draw_init(&d, 11);
    uint64_t seen = 0, all = 0;
    for (int round = 0; round < ROUNDS; round++) {
        static struct command in, out;
        draw_command(&d, &in);
        seen |= (uint64_t)1 << in.type;
        struct writer a = writer_over(first, sizeof(first)), b = writer_over(second, sizeof(second));
        assert_ok(command_encode(&a, &in));
        struct reader r = reader_over(writer_bytes(&a));
        assert_ok(command_decode(&r, &out));
        assert_ok(reader_end(&r));
        assert_int_equal(out.type, in.type);
        assert_int_equal(out.time_ms, in.time_ms);
        assert_ok(command_encode(&b, &out));
        assert_true(bytes_equal(writer_bytes(&a), writer_bytes(&b)));
        command_close(&out);
        random_command_close(&in);
    }
#define COMMAND(name, number, level, text) all |= (uint64_t)1 << (number);
#include "cluster/command.def"
#undef COMMAND
    assert_int_equal(seen, all); /* all of them came up */
}

static void a_cut_command_is_refused_at_every_octet(void **state)
{
    (void)state;
    struct draw d;
    draw_init(&d, 12);
    for (int round = 0; round < 60; round++) {
        static struct command in, out;
        draw_command(&d, &in);
        struct writer w = writer_over(first, sizeof(first));
        assert_ok(command_encode(&w, &in));
        random_command_close(&in);
        for (size_t len = 0; len < w.len; len += 1 + w.len / 500) {
            uint8_t *cut = malloc(len + 1);
            memcpy(cut, first, len);
            struct reader r = reader_over((struct bytes){cut, len});
            assert_err(command_decode(&r, &out), E_CORRUPT);
            free(cut);
        }
    }
}

static void octets_behind_the_last_field_are_refused(void **state)
{
    (void)state;
    struct command in = {.type = CMD_ELECT, .u.elect.epoch = 1}, out;
    struct writer w = writer_over(first, sizeof(first));
    assert_ok(command_encode(&w, &in));
    writer_patch_u32(&w, 9, 4 + NODE_ID_LEN + 1);
    write_u8(&w, 0);
    struct reader r = reader_over(writer_bytes(&w));
    assert_err(command_decode(&r, &out), E_CORRUPT);
}

/* As logs of before the runway have it: one octet less. */
static void an_older_group_set_is_read_without_a_runway(void **state)
{
    (void)state;
    struct command in = {.type = CMD_GROUP_SET}, out;
    struct draw d;
    draw_init(&d, 3);
    in.u.group_set.config = draw_config(&d);
    in.u.group_set.config.runway = 2;
    struct writer w = writer_over(first, sizeof(first));
    assert_ok(command_encode(&w, &in));
    writer_patch_u32(&w, 9, (uint32_t)w.len - 14);
    struct reader r = reader_over((struct bytes){first, w.len - 1});
    assert_ok(command_decode(&r, &out));
    assert_int_equal(out.u.group_set.config.runway, 0);
    out.u.group_set.config.runway = 2;
    assert_true(group_config_equal(&out.u.group_set.config, &in.u.group_set.config));
    command_close(&out);
}

/* It is told apart from damage: a newer build may have put it into the log, and all refuse it alike. */
static void an_unknown_type_is_passed_over(void **state)
{
    (void)state;
    struct command in = {.type = CMD_ELECT, .time_ms = 7}, out;
    struct writer w = writer_over(first, sizeof(first));
    assert_ok(command_encode(&w, &in));
    for (unsigned type = 0; type < 256; type++) {
        if (strcmp(command_name(type), "?") != 0)
            continue;
        first[0] = (uint8_t)type;
        struct reader r = reader_over(writer_bytes(&w));
        assert_err(command_decode(&r, &out), E_UNSUPPORTED);
        assert_int_equal(out.type, type);
        assert_int_equal(out.time_ms, 7);
        assert_ok(reader_end(&r));
        for (size_t len = 0; len < w.len; len++) {
            struct reader cut = reader_over((struct bytes){first, len});
            assert_err(command_decode(&cut, &out), E_CORRUPT);
        }
    }
    assert_string_equal(command_name(CMD_REKEY), "REKEY");
}

static void a_count_of_silent_members_beyond_the_bytes_allocates_nothing(void **state)
{
    (void)state;
    struct command in = {.type = CMD_PUSH_DONE}, out;
    struct writer w = writer_over(first, sizeof(first));
    assert_ok(command_encode(&w, &in));
    writer_patch_u32(&w, w.len - 4, SILENT_MAX);
    heap_fault_after(0);
    struct reader r = reader_over(writer_bytes(&w));
    assert_err(command_decode(&r, &out), E_CORRUPT);
    assert_false(heap_fault_hit());
    heap_fault_after(-1);
}

static void a_failed_allocation_is_told_apart_from_damage(void **state)
{
    (void)state;
    struct identity silent = identity_from_number(7);
    struct command in = {.type = CMD_PUSH_DONE, .u.push_done = {1, 2, 3, &silent, 1}}, out;
    struct writer w = writer_over(first, sizeof(first));
    assert_ok(command_encode(&w, &in));
    heap_fault_after(0);
    struct reader r = reader_over(writer_bytes(&w));
    err_t err = command_decode(&r, &out);
    assert_true(heap_fault_hit());
    heap_fault_after(-1);
    assert_err(err, E_NO_MEMORY);
    r = reader_over(writer_bytes(&w));
    assert_ok(command_decode(&r, &out));
    assert_int_equal(out.u.push_done.silent_count, 1);
    assert_true(identity_equal(&out.u.push_done.silent[0], &silent));
    command_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_survives_encoding),
        cmocka_unit_test(a_cut_command_is_refused_at_every_octet),
        cmocka_unit_test(octets_behind_the_last_field_are_refused),
        cmocka_unit_test(an_older_group_set_is_read_without_a_runway),
        cmocka_unit_test(an_unknown_type_is_passed_over),
        cmocka_unit_test(a_count_of_silent_members_beyond_the_bytes_allocates_nothing),
        cmocka_unit_test(a_failed_allocation_is_told_apart_from_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
