/* "gm-agent capture": words are read strictly, filters say what they say, and the file's blocks are
 * well-formed. */
#include "esp_side.h"
#include "gm-agent/capture.h"

enum { WORDS = 20 };

static err_t parsed(const char *line, struct capture_request *out, const char **why)
{
    char text[256], *words[WORDS], *rest = NULL;
    size_t count = 0;
    snprintf(text, sizeof(text), "%s", line);
    for (char *w = strtok_r(text, " ", &rest); w != NULL && count < WORDS; w = strtok_r(NULL, " ", &rest))
        words[count++] = w;
    return capture_parse(words, count, out, why);
}

static void words_are_read_strictly(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "f host",
                                        "f host fd00::x",
                                        "f host 10.1.1",
                                        "f proto",
                                        "f proto 256",
                                        "f proto tcpp",
                                        "f port 0",
                                        "f port 65536",
                                        "f count 0",
                                        "f count 1000001",
                                        "f seconds 86401",
                                        "f snap 63",
                                        "f snap 65536",
                                        "f snap",
                                        "f count -1",
                                        "f dmz"};
    struct capture_request r;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        const char *why = NULL;
        assert_int_equal(parsed(wrong[i], &r, &why), E_RANGE);
        assert_non_null(why);
    }
    const char *why = NULL;
    assert_ok(parsed("x.pcapng", &r, &why));
    assert_true(r.lan && r.wan);
    assert_int_equal(r.count, CAPTURE_COUNT_DEFAULT);
    assert_int_equal(r.seconds, CAPTURE_SECONDS_DEFAULT);
    assert_ok(parsed("x.pcapng wan host 10.1.2.3 proto esp port 848 count 5 seconds 9 snap 96", &r, &why));
    assert_true(!r.lan && r.wan && r.filter.has_host && r.filter.has_protocol);
    assert_int_equal(r.filter.protocol, 50);
    assert_int_equal(r.filter.port, 848);
    assert_int_equal(r.count, 5);
    assert_int_equal(r.seconds, 9);
    assert_int_equal(r.snap, 96);
}

static void all_that_is_set_must_match(void **state)
{
    (void)state;
    uint8_t raw[CAP];
    struct capture_request r;
    const char *why = NULL;
    static const struct {
        const char *words;
        bool matches;
    } cases[] = {
        {"f", true},
        {"f host 192.168.13.10", true},
        {"f host 192.168.14.10", true},
        {"f host 192.168.14.11", false},
        {"f proto udp", true},
        {"f proto tcp", false},
        {"f port 4000", true},
        {"f port 53", true},
        {"f port 54", false},
        {"f host 192.168.13.10 proto udp port 53", true},
        {"f host 192.168.13.10 proto tcp port 53", false},
    };
    struct bytes p = packet(raw, "192.168.13.10", "192.168.14.10", 17, 4000, 53, 100);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_ok(parsed(cases[i].words, &r, &why));
        if (capture_matches(&r.filter, p) != cases[i].matches)
            fail_msg("%s", cases[i].words);
    }
    p = packet(raw, "2001:db8:13::10", "2001:db8:14::10", 17, 4000, 53, 100);
    assert_ok(parsed("f host 2001:db8:14::10 proto udp port 53", &r, &why));
    assert_true(capture_matches(&r.filter, p));
    assert_ok(parsed("f host 2001:db8:14::11", &r, &why));
    assert_false(capture_matches(&r.filter, p));
    assert_ok(parsed("f host 32.1.13.184", &r, &why)); /* the first octets of both */
    assert_false(capture_matches(&r.filter, p));
    assert_ok(parsed("f proto udp", &r, &why));
    assert_false(capture_matches(&r.filter, (struct bytes){raw, 19}));
    assert_false(capture_matches(&r.filter, (struct bytes){NULL, 0}));
}

/* Walks the blocks as a reader of the format would: lengths at both ends agree, all are of whole words. */
static void the_file_is_well_formed(void **state)
{
    (void)state;
    static uint8_t file[CAPTURE_HEAD_MAX + 4 * CAPTURE_BLOCK_MAX];
    static const uint8_t body[] = {0x45, 0, 0, 3, 5};
    static uint8_t longest[CAPTURE_SNAP_MAX];
    const char *names[CAPTURE_DEVICE_MAX] = {"a",
                                             "bc",
                                             "lan-of-15-chars",
                                             "lan-of-15-char2",
                                             "lan-of-15-ch3",
                                             "lan-of-15-ch4",
                                             "lan-of-15-ch5",
                                             "lan-of-15-ch6",
                                             "wan-of-15-chars",
                                             "wan-of-15-char2",
                                             "wan-of-15-ch3",
                                             "wan-of-15-ch4"};
    _Static_assert(CAPTURE_DEVICE_MAX == 12, "every device has a name");
    struct writer w = writer_over(file, CAPTURE_HEAD_MAX);
    capture_write_head(&w, names, CAPTURE_DEVICE_MAX, 1500);
    assert_ok(writer_end(&w));
    w.cap = sizeof(file);
    size_t at = w.len;
    capture_write_packet(&w, 1, 0x0102030405060708, CAPTURE_OUT, BYTES_OF(body), 1400);
    capture_write_packet(&w, 8, 1, CAPTURE_IN, BYTES_OF(longest), sizeof(longest));
    assert_true(w.len - at <= 2 * (size_t)CAPTURE_BLOCK_MAX);
    struct reader r = reader_over(writer_bytes(&w));
    uint32_t types[16];
    size_t count = 0;
    while (reader_left(&r) != 0) {
        assert_true(count < ARRAY_LEN(types));
        types[count++] = read_u32(&r);
        uint32_t len = read_u32(&r);
        assert_true(len % 4 == 0 && len >= 12);
        struct reader block = reader_over(read_bytes(&r, len - 12));
        assert_int_equal(read_u32(&r), len);
        if (count == 1)
            assert_int_equal(read_u32(&block), 0x1a2b3c4d);
        if (count != CAPTURE_DEVICE_MAX + 2)
            continue;
        assert_int_equal(read_u32(&block), 1);
        assert_true(read_u64(&block) == 0x0102030405060708);
        assert_int_equal(read_u32(&block), 5);
        assert_int_equal(read_u32(&block), 1400);
        assert_true(bytes_equal(read_bytes(&block, 5), BYTES_OF(body)));
        read_skip(&block, 3);
        assert_int_equal(read_u32(&block), 2 << 16 | 4); /* epb_flags */
        assert_int_equal(read_u32(&block), CAPTURE_OUT);
        assert_int_equal(read_u32(&block), 0);
        assert_ok(reader_end(&block));
    }
    assert_ok(r.err);
    assert_int_equal(count, CAPTURE_DEVICE_MAX + 3);
    assert_int_equal(types[0], 0x0a0d0d0a);
    assert_int_equal(types[CAPTURE_DEVICE_MAX], 1);
    assert_int_equal(types[CAPTURE_DEVICE_MAX + 1], 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_read_strictly),
        cmocka_unit_test(all_that_is_set_must_match),
        cmocka_unit_test(the_file_is_well_formed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
