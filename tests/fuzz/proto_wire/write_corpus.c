/* write_corpus.c - writes the seed corpora of the targets in this folder from the samples of the unit tests:
 *   cc -I. tests/fuzz/proto_wire/write_corpus.c BUILD/libquorate_proto_wire.a BUILD/libquorate_base.a -o
 * write_corpus
 *   ./write_corpus tests/fuzz/corpus */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/unit/proto/wire/samples.h"

enum { PATH_LEN = 512, INPUT_MAX = 4096 };

static const struct {
    const struct codec *codec;
    const char *folder;
} folders[] = {
    {&codec_message, "payload"}, {&codec_message, "dump"},         {&codec_offer, "ike_offer"},
    {&codec_sa, "gdoi_sa"},      {&codec_gap, "gdoi_gap"},         {&codec_kd, "gdoi_kd"},
    {&codec_seq, "gdoi_kd"},     {&codec_id, "id_payload"},        {&codec_notify, "notify"},
    {&codec_delete, "notify"},   {&codec_attributes, "attribute"},
};

static size_t from_hex(const char *text, unsigned char *out)
{
    size_t len = 0;
    for (; *text != '\0' && len < INPUT_MAX; text++) {
        char pair[3] = {text[0], text[1], '\0'};
        if (isspace((unsigned char)*text))
            continue;
        out[len++] = (unsigned char)strtoul(pair, NULL, 16);
        text++;
    }
    return len;
}

static void write_file(const char *root, const char *folder, const struct sample *sample)
{
    static unsigned char input[INPUT_MAX];
    char path[PATH_LEN];
    size_t len = from_hex(sample->hex, input);
    snprintf(path, sizeof(path), "%s/%s", root, folder);
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/%s/%s", root, folder, sample->name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(input, 1, len, f) != len || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: write_corpus FOLDER\n");
        return 2;
    }
    for (size_t i = 0; i < SAMPLE_COUNT; i++)
        for (size_t f = 0; f < sizeof(folders) / sizeof(folders[0]); f++)
            if (folders[f].codec == samples[i].codec)
                write_file(argv[1], folders[f].folder, &samples[i]);
    return 0;
}
