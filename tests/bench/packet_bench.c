/* packet_bench.c - what a packet costs in the user data path without its system calls (policy, ledger, IV,
 * seal, outer header; or SPI, seal, replay window, inner checks), beside the bare cipher over as many octets,
 * both in turn in one run. Usage: packet_bench [seconds per line, default 0.5]. One line of JSON per
 * operation, a table on stderr. */
#include <openssl/evp.h>
#include <string.h>

#include "gm-agent/esp_path.h"
#include "tests/bench/bench.h"

enum { RING = 4096, CAP = 4096, REPLAY_WINDOW = 64, SELECTORS = 20 };

struct packet_bench {
    struct esp_path out, in;
    struct tek tek;
    EVP_CIPHER_CTX *sealer, *opener;
    uint8_t packet[CAP], opened[CAP], iv[ESP_IV_MAX], bare[CAP], bare_opened[CAP];
    uint8_t tag[16];
    uint8_t (*sealed)[CAP]; /* RING of them: each is opened once */
    size_t sealed_len, len, next, filled;
};

static void seal_one(void *context)
{
    struct packet_bench *b = context;
    struct esp_note note;
    size_t len = 0;
    uint8_t *to = b->sealed[b->filled++ % RING];
    need(esp_path_encapsulate(&b->out, (struct bytes){b->packet, b->len}, to, CAP, &len, &note) == ESP_TO_WAN,
         "esp_path_encapsulate");
    b->sealed_len = len;
}

/* A round over the ring; then the window starts anew, so that none is a replay. */
static void open_one(void *context)
{
    struct packet_bench *b = context;
    struct esp_note note;
    size_t len = 0;
    if (b->next == RING) {
        b->next = 0;
        need(esp_path_set_replay(&b->in, 0) == E_OK && esp_path_set_replay(&b->in, REPLAY_WINDOW) == E_OK,
             "replay");
    }
    need(esp_path_decapsulate(&b->in, (struct bytes){b->sealed[b->next++], b->sealed_len}, b->opened, CAP,
                              &len, &note) == ESP_TO_LAN,
         "esp_path_decapsulate");
}

static void bare_seal(void *context)
{
    struct packet_bench *b = context;
    int n = 0;
    need(EVP_EncryptInit_ex2(b->sealer, NULL, NULL, b->iv, NULL) == 1 &&
             EVP_EncryptUpdate(b->sealer, b->bare, &n, b->packet, (int)b->len) == 1 &&
             EVP_EncryptFinal_ex(b->sealer, b->bare + n, &n) == 1 &&
             EVP_CIPHER_CTX_ctrl(b->sealer, EVP_CTRL_AEAD_GET_TAG, sizeof(b->tag), b->tag) == 1,
         "bare seal");
}

static void bare_open(void *context)
{
    struct packet_bench *b = context;
    int n = 0;
    need(EVP_DecryptInit_ex2(b->opener, NULL, NULL, b->iv, NULL) == 1 &&
             EVP_DecryptUpdate(b->opener, b->bare_opened, &n, b->bare, (int)b->len) == 1 &&
             EVP_CIPHER_CTX_ctrl(b->opener, EVP_CTRL_AEAD_SET_TAG, sizeof(b->tag), b->tag) == 1 &&
             EVP_DecryptFinal_ex(b->opener, b->bare_opened + n, &n) == 1,
         "bare open");
}

static void fill_packet(struct packet_bench *b, size_t len)
{
    static const uint8_t head[] = {0x45, 0, 0, 0,  0,  1, 0x40, 0,  64, 17, 0, 0,
                                   10,   1, 0, 10, 10, 2, 0,    10, 1,  2,  3, 4};
    b->len = len;
    memset(b->packet, 7, sizeof(b->packet));
    memcpy(b->packet, head, sizeof(head));
    b->packet[2] = (uint8_t)(len >> 8);
    b->packet[3] = (uint8_t)len;
}

static void apply(struct packet_bench *b, struct esp_path *path, const struct rng *rng)
{
    struct selector selectors[SELECTORS] = {0};
    uint32_t sid = 5;
    for (size_t i = 0; i < SELECTORS; i++) { /* the last one matches */
        need(prefix_parse(&selectors[i].src, i + 1 == SELECTORS ? "10.0.0.0/8" : "172.16.0.0/16") == E_OK &&
                 prefix_parse(&selectors[i].dst, "10.0.0.0/8") == E_OK,
             "prefix");
        selectors[i].protocol = (uint8_t)(i + 1 == SELECTORS ? 0 : i + 1);
    }
    struct datapath_state state = {.selectors = selectors,
                                   .selector_count = SELECTORS,
                                   .in = {&b->tek},
                                   .in_count = 1,
                                   .out = &b->tek,
                                   .sid_bits = 12,
                                   .sids = &sid,
                                   .sid_count = 1};
    esp_path_init(path, rng, &clock_system);
    need(esp_path_set_replay(path, REPLAY_WINDOW) == E_OK && esp_path_apply(path, &state) == E_OK, "apply");
    path->time_held = true; /* as the loop does for a batch */
    esp_path_tick(path);
}

static void bench(struct packet_bench *b, size_t len)
{
    char name[64];
    fill_packet(b, len);
    b->filled = 0;
    b->next = RING;
    snprintf(name, sizeof(name), "aes-256-gcm out, %zu octets", len);
    compare(name, seal_one, bare_seal, b);
    while (b->filled % RING != 0)
        seal_one(b);
    snprintf(name, sizeof(name), "aes-256-gcm in, %zu octets", len);
    compare(name, open_one, bare_open, b);
}

int main(int argc, char **argv)
{
    static struct packet_bench b;
    static const size_t sizes[] = {64, 512, 1408};
    struct rng_seeded seeded;
    struct rng rng = rng_seeded_init(&seeded, 1);
    uint8_t key[36] = {1};
    if (argc > 1)
        seconds_per_line = atof(argv[1]);
    need(seconds_per_line > 0, "reading the time per line");
    b.tek = (struct tek){.spi = 0x1001, .suite = {ESP_AES_GCM_16, 256, AUTH_NONE}};
    need(secret_set(&b.tek.key, (struct bytes){key, esp_key_len(&b.tek.suite)}) == E_OK, "key");
    b.sealed = calloc(RING, sizeof(*b.sealed));
    b.sealer = EVP_CIPHER_CTX_new();
    b.opener = EVP_CIPHER_CTX_new();
    need(b.sealed != NULL && b.sealer != NULL && b.opener != NULL &&
             EVP_EncryptInit_ex2(b.sealer, EVP_aes_256_gcm(), key, b.iv, NULL) == 1 &&
             EVP_DecryptInit_ex2(b.opener, EVP_aes_256_gcm(), key, b.iv, NULL) == 1,
         "memory");
    apply(&b, &b.out, &rng);
    apply(&b, &b.in, &rng);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        bench(&b, sizes[i]);
    esp_path_close(&b.out);
    esp_path_close(&b.in);
    EVP_CIPHER_CTX_free(b.sealer);
    EVP_CIPHER_CTX_free(b.opener);
    free(b.sealed);
    return 0;
}
