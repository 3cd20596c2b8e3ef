/* conf_fixture.h - a configuration file in a temporary directory, for the tests of conf. */
#ifndef TESTS_UNIT_BASE_CONF_FIXTURE_H
#define TESTS_UNIT_BASE_CONF_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"
#include "tests/lib/test.h"

/* One file in a directory of its own; each test writes it anew. */
static char dir[] = "/tmp/quorate_conf_XXXXXX";
static char path[64];

static inline int make_dir(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/test.conf", dir);
    return 0;
}

static inline int remove_dir(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(dir);
}

static inline void write_file(const void *text, size_t len)
{
    (void)unlink(path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static inline struct conf_file *opened(const char *text)
{
    struct conf_file *file = NULL;
    struct conf_error error;
    write_file(text, strlen(text));
    if (conf_open(&file, path, &error) != E_OK)
        fail_msg("%s:%u: %s", error.file, error.line, error.message);
    return file;
}

static inline void assert_error(const struct conf_error *error, unsigned line, const char *message)
{
    assert_string_equal(error->file, path);
    assert_string_equal(error->message, message);
    assert_int_equal(error->line, line);
}

#endif
