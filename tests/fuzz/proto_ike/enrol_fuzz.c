/* enrol_fuzz.c - a request to enrol and an answer to one, from anybody: nothing is granted, nothing is
 * believed. */
#include <stdlib.h>
#include <string.h>

#include "proto/ike/enrol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct enrol_token token;
static struct secret key;
static struct dh_key *dh;
static uint8_t request[ENROL_REQUEST_MAX];
static size_t request_len;

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void prepare(void)
{
    struct addr member = addr_v4(10, 1, 13, 2);
    uint8_t id[ENROL_ID_LEN];
    require(enrol_token_make(&token, &member, &rng_system) == E_OK);
    require(enrol_token_key(&token, &key, id) == E_OK);
    require(enrol_request_make(&token, &rng_system, &dh, request, &request_len) == E_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct bytes input = {data, size};
    struct enrol_request decoded;
    struct enrol_grant grant;
    struct enrol_token text;
    err_t reason;
    if (!ready)
        prepare();
    ready = true;
    if (enrol_request_decode(&decoded, input) == E_OK) {
        require(enrol_is_request(input) && addr_len(&decoded.member) != 0);
        require(enrol_request_check(&decoded, &key) == E_AUTH);
    }
    require(enrol_answer_open(&grant, &token, dh, (struct bytes){request, request_len}, input, &reason) !=
            E_OK);
    require(grant.psk.len == 0);
    if (enrol_token_parse(&text, input) == E_OK) {
        char out[ENROL_TOKEN_TEXT_MAX];
        struct enrol_token again;
        enrol_token_format(&text, out);
        require(enrol_token_parse(&again, bytes_of_text(out)) == E_OK);
        enrol_token_close(&again);
    }
    enrol_token_close(&text);
    return 0;
}
