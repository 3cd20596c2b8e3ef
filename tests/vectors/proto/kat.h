/* kat.h - values of tests/vectors/gdoi_kat.json by name. */
#ifndef TESTS_VECTORS_PROTO_KAT_H
#define TESTS_VECTORS_PROTO_KAT_H

#include "tests/lib/test.h"

#include <jansson.h>
#include <string.h>

#define VECTORS QUORATE_SOURCE_DIR "/tests/vectors/"

static json_t *kat;

struct value {
    size_t len;
    uint8_t data[1024];
};

static UNUSED struct bytes view(const struct value *value)
{
    return (struct bytes){value->data, value->len};
}

static UNUSED struct value value_of(const char *name)
{
    struct value value;
    const char *text = json_string_value(json_object_get(kat, name));
    if (text == NULL)
        fail_msg("no %s in gdoi_kat.json", name);
    value.len = hex(text, value.data, sizeof(value.data)).len;
    return value;
}

static UNUSED void assert_same(struct bytes got, struct bytes wanted)
{
    assert_int_equal(got.len, wanted.len);
    assert_memory_equal(got.data, wanted.data, wanted.len);
}

static UNUSED void assert_value(struct bytes got, const char *name)
{
    struct value wanted = value_of(name);
    assert_same(got, view(&wanted));
}

static UNUSED int setup(void **state)
{
    (void)state;
    json_error_t error;
    heap_fault_after(-1);
    kat = json_load_file(VECTORS "gdoi_kat.json", 0, &error);
    return kat == NULL;
}

static UNUSED int teardown(void **state)
{
    (void)state;
    json_decref(kat);
    return 0;
}

#endif
