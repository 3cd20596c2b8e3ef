/* heap_fault.c - malloc and friends, wrapped by the linker in every test binary. */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

static long countdown = -1;
static int hit;

void heap_fault_after(long n)
{
    countdown = n;
    hit = 0;
}

int heap_fault_hit(void)
{
    return hit;
}

long heap_fault_left(void)
{
    return countdown;
}

static int fails(void)
{
    if (countdown < 0)
        return 0;
    if (countdown-- > 0)
        return 0;
    hit = 1;
    return 1;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}
