/* fuzz_replay.c - main for a fuzz target built without libFuzzer: runs every file of the given folders
 * and files through it, and mutations of each (seeded, so the same on every run). A finding crashes. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 20, PATH_LEN = 4096, MUTATIONS = 8 };

static uint8_t input[INPUT_MAX];
static unsigned long runs;
static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* A heap copy of the exact size, so that AddressSanitizer sees a read past the end. */
static void run_one(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (copy == NULL)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    runs++;
}

static void replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    size_t size = fread(input, 1, sizeof(input), f);
    fclose(f);
    run_one(input, size);
    for (int i = 0; i < MUTATIONS && size > 0; i++) {
        size_t at = next_random() % size;
        uint8_t old = input[at];
        input[at] = (uint8_t)next_random();
        run_one(input, size);
        run_one(input, at);
        input[at] = old;
    }
}

static void replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        exit(1);
    }
    if (!S_ISDIR(st.st_mode)) {
        replay_file(path);
        return;
    }
    struct dirent **names = NULL;
    int n = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char child[PATH_LEN];
        if (names[i]->d_name[0] != '.' && snprintf(child, sizeof(child), "%s/%s", path, names[i]->d_name) < PATH_LEN)
            replay(child);
        free(names[i]);
    }
    free(names);
}

int main(int argc, char **argv)
{
    run_one(NULL == argv ? NULL : (const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%lu runs\n", runs);
    return runs > 1 ? 0 : 1; /* an empty corpus is a mistake */
}
