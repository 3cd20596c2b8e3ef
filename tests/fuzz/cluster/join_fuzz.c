/* join_fuzz.c - a request to join and an answer to one, from anybody: nothing is granted, nothing is
 * believed. */
#include <stdlib.h>
#include <string.h>

#include "cluster/join.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cert_key *key;
static struct cert *ca;
static struct join_token token;
static struct join_record record;
static struct wrap_key wrap_key;
static uint8_t request[JOIN_REQUEST_MAX];
static size_t request_len;

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void prepare(void)
{
    uint8_t raw[KEYWRAP_KEY_LEN] = {7}, cluster_id[CLUSTER_ID_LEN] = {1};
    struct transport_peer self = {.id = {5}, .host = "ks5", .port = 848};
    wrap_key.version = 1;
    require(secret_set(&wrap_key.key, BYTES_OF(raw)) == E_OK);
    require(cert_key_make(&key) == E_OK);
    require(cert_make_ca(key, cluster_id, &rng_system, 1700000000, 365, &ca) == E_OK);
    require(join_token_make(&token, ca, &rng_system) == E_OK);
    require(join_record_make(&record, &token, JOIN_VOTER, UINT64_MAX, &wrap_key, &rng_system) == E_OK);
    require(join_request_make(&token, key, &self, 1, &rng_system, request, &request_len) == E_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct bytes input = {data, size};
    struct join_request decoded;
    struct join_result result;
    struct join_record other;
    struct join_token text = {0};
    err_t reason;
    if (!ready)
        prepare();
    ready = true;
    if (join_request_decode(&decoded, input) == E_OK) {
        require(decoded.csr.len != 0 && decoded.port != 0 && strlen(decoded.host) < TRANSPORT_HOST_MAX);
        memcpy(decoded.token_id, record.id, JOIN_ID_LEN);
        require(join_request_check(&decoded, &record, token.cluster_id, &wrap_key, 0) == E_AUTH);
    }
    require(join_answer_open(&result, &token, key, (struct bytes){request, request_len}, input, 1700000000,
                             &reason) != E_OK);
    require(result.cert == NULL && result.ca == NULL);
    if (join_record_decode(&other, input) == E_OK) {
        uint8_t buf[JOIN_RECORD_MAX * 2];
        struct writer w = writer_over(buf, sizeof(buf));
        join_record_encode(&w, &other);
        require(bytes_equal(writer_bytes(&w), input));
    }
    if (join_token_parse(&text, input) == E_OK) {
        char out[JOIN_TOKEN_TEXT_MAX];
        join_token_format(&text, out);
        require(size >= strlen(out) && memcmp(out, data, strlen(out)) == 0);
    }
    join_token_close(&text);
    return 0;
}
