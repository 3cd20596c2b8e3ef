/* A GROUPKEY-PUSH under attack: from outside, from a member that has the KEK but not the signing key, and
 * from a key server that signs what RFC 6407 does not allow. Nothing of the member changes, and the good push
 * is still taken. */
#include "tests/unit/proto/gdoi/push_ends.h"

static struct push_member before;

static void wait_for_good(void)
{
    assert_ok(build());
    memcpy(&before, &ends.member, sizeof(before));
}

static void assert_good_is_taken(void)
{
    assert_memory_equal(&before, &ends.member, sizeof(before));
    assert_ok(take());
    assert_true(fixture_same_policy(&ends.got.policy, &ends.policy));
}

static void a_push_cut_anywhere_is_refused(void **state)
{
    (void)state;
    wait_for_good();
    for (size_t len = 0; len < ends.sent.len; len++) {
        uint8_t *cut = malloc(len != 0 ? len : 1); /* its own size, so that AddressSanitizer sees the end */
        assert_non_null(cut);
        memcpy(cut, ends.sent.data, len);
        assert_err(open_bytes((struct bytes){cut, len}), E_TRUNCATED);
        if (len >= ISAKMP_HEADER_LEN) { /* the same with a length that fits */
            cut[26] = (uint8_t)(len >> 8);
            cut[27] = (uint8_t)len;
            err_t err = open_bytes((struct bytes){cut, len});
            assert_true(err == E_BAD_LENGTH || err == E_BAD_PADDING);
        }
        free(cut);
    }
    assert_good_is_taken();
}

static void a_push_with_any_bit_flipped_is_refused(void **state)
{
    (void)state;
    wait_for_good();
    for (size_t bit = 0; bit < 8 * ends.sent.len; bit++) {
        ends.buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(take(), E_OK);
        assert_false(ends.got.has_policy);
        ends.buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_good_is_taken();
}

static void headers_of_other_messages_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
        err_t err;
    } cases[] = {
        {0, 'X', E_UNKNOWN_SPI},     {15, 'X', E_UNKNOWN_SPI},        {17, 0x20, E_BAD_VERSION},
        {17, 0x11, E_BAD_SIGNATURE}, /* the version is signed */
        {18, 32, E_BAD_EXCHANGE},    {18, 35, E_BAD_EXCHANGE},        {19, 0, E_UNEXPECTED},
        {19, 3, E_UNEXPECTED},       {20, 1, E_BAD_MESSAGE_ID},       {23, 1, E_BAD_MESSAGE_ID},
        {16, 0, E_BAD_PADDING},      {16, PAYLOAD_KD, E_BAD_PADDING}, {16, PAYLOAD_SIG, E_BAD_PADDING},
    };
    wait_for_good();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t old = ends.buf[cases[i].at];
        ends.buf[cases[i].at] = cases[i].value;
        assert_err(take(), cases[i].err);
        ends.buf[cases[i].at] = old;
    }
    assert_good_is_taken();
}

static void another_kek_under_the_same_spi_opens_nothing(void **state)
{
    (void)state;
    wait_for_good();
    fixture_fill(&ends.member.kek.iv_key, 0x99, 48);
    assert_err(take(), E_BAD_PADDING);
    memcpy(&ends.member, &before, sizeof(before));
    assert_good_is_taken();
}

static void another_signing_key_signs_nothing(void **state)
{
    (void)state;
    struct sign_key *key = ends.key;
    must(sign_key_open(BYTES_OF(test_rsa_other_private), &ends.key));
    assert_ok(build());
    assert_err(take(), E_BAD_SIGNATURE);
    sign_key_free(ends.key);
    ends.key = key;
    wait_for_good();
    assert_good_is_taken();
}

/* --- from here on with the KEK, and mostly with the signing key --- */

static uint8_t clear[MESSAGE_CAP], forged_clear[MESSAGE_CAP], forged[MESSAGE_CAP];
static struct payload_list parts;
static struct forge forge;

/* The payloads of the good push. */
static void open_good(void)
{
    uint8_t iv[CIPHER_BLOCK_MAX];
    size_t len = ends.sent.len - ISAKMP_HEADER_LEN;
    memcpy(clear, ends.sent.data + ISAKMP_HEADER_LEN, len);
    push_iv(&ends.kek, iv);
    must(cipher_decrypt(ends.kek.cipher, kek_key(&ends.kek), iv, clear, len));
    must(payload_list_decode(&parts, PAYLOAD_SEQ, (struct bytes){clear, len}));
    forge = (struct forge){.w = writer_over(forged_clear, sizeof(forged_clear))};
}

static void add_part(uint8_t type)
{
    const struct payload *part = payload_find(&parts, type, 0);
    assert_non_null(part);
    forge_add(&forge, type, part->body);
}

/* Signed and sealed as the key server would. */
static err_t take_forged(void)
{
    forge_next(&forge, PAYLOAD_SIG);
    err_t err = open_bytes(forge_push(forged, sizeof(forged), &ends.kek, ends.key, false, false, forge.first,
                                      writer_bytes(&forge.w)));
    if (err != E_OK)
        assert_false(ends.got.has_policy);
    return err;
}

/* A push of payloads of these types, with the bodies of the good one; ends with 0. */
static err_t take_chain(const uint8_t *types)
{
    open_good();
    for (; *types != 0; types++)
        if (*types == PAYLOAD_DELETE || *types == PAYLOAD_VENDOR || *types == PAYLOAD_SIG ||
            *types == PAYLOAD_HASH)
            forge_add(&forge, *types, BYTES_OF(((uint8_t[]){0, 0, 0, 2, 1, 4, 0, 1, 0, 0, 1, 0})));
        else
            add_part(*types);
    return take_forged();
}

static void payloads_stand_once_and_in_order(void **state)
{
    (void)state;
    enum {
        Q = PAYLOAD_SEQ,
        D = PAYLOAD_DELETE,
        S = PAYLOAD_SA,
        K = PAYLOAD_KD,
        V = PAYLOAD_VENDOR,
        G = PAYLOAD_SIG,
        H = PAYLOAD_HASH
    };
    static const uint8_t good[][6] = {{Q, S, K}, {Q, D, S, K}, {Q, D, D, S, K}, {Q, D}, {Q, D, D}};
    static const uint8_t bad[][6] = {{Q},          {D},          {S, K},       {Q, S},       {Q, K},
                                     {Q, K, S},    {S, K, Q},    {Q, S, D, K}, {Q, S, K, D}, {Q, S, K, K},
                                     {Q, S, S, K}, {Q, Q, S, K}, {Q, V, D},    {Q, S, K, V}, {Q, S, K, G},
                                     {H, Q, S, K}, {D, Q, S, K}};
    wait_for_good();
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_ok(take_chain(good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_err(take_chain(bad[i]), E_BAD_PADDING);
    assert_good_is_taken();
}

static void a_member_with_the_kek_cannot_forge(void **state)
{
    (void)state;
    wait_for_good();
    open_good();
    static const uint8_t later[] = {0, 0, 0, 9};
    forge_add(&forge, PAYLOAD_SEQ, BYTES_OF(later)); /* the old signature under a newer number */
    add_part(PAYLOAD_SA);
    add_part(PAYLOAD_KD);
    add_part(PAYLOAD_SIG);
    uint8_t iv[CIPHER_BLOCK_MAX];
    memcpy(forged, ends.sent.data, ISAKMP_HEADER_LEN);
    size_t len = ends.sent.len - ISAKMP_HEADER_LEN;
    memset(forged + ISAKMP_HEADER_LEN, 0, len);
    memcpy(forged + ISAKMP_HEADER_LEN, forged_clear, forge.w.len);
    push_iv(&ends.kek, iv);
    must(cipher_encrypt(ends.kek.cipher, kek_key(&ends.kek), iv, forged + ISAKMP_HEADER_LEN, len));
    assert_err(open_bytes((struct bytes){forged, ends.sent.len}), E_BAD_SIGNATURE);
    assert_good_is_taken();
}

/* The good push again with this many octets behind its last payload. */
static err_t take_padded(size_t padding)
{
    uint8_t iv[CIPHER_BLOCK_MAX];
    size_t sealed = parts.consumed + padding;
    size_t len = ISAKMP_HEADER_LEN + sealed;
    memcpy(forged, ends.sent.data, ISAKMP_HEADER_LEN);
    forged[26] = (uint8_t)(len >> 8);
    forged[27] = (uint8_t)len;
    memset(forged + ISAKMP_HEADER_LEN, 0, sealed);
    memcpy(forged + ISAKMP_HEADER_LEN, clear, parts.consumed);
    push_iv(&ends.kek, iv);
    must(cipher_encrypt(ends.kek.cipher, kek_key(&ends.kek), iv, forged + ISAKMP_HEADER_LEN, sealed));
    return open_bytes((struct bytes){forged, len});
}

static void a_whole_block_of_padding_is_tolerated_and_no_more(void **state)
{
    (void)state;
    enum { BLOCK = 16 };
    for (int name_len = 0; name_len < 2; name_len++) {
        ends.content.delete_count = (size_t)name_len; /* two lengths, for two amounts of padding */
        ends.content.deletes[0] = (struct push_delete){.protocol = SAT_ESP, .all = true};
        wait_for_good();
        open_good();
        size_t needed = (BLOCK - parts.consumed % BLOCK) % BLOCK;
        assert_ok(take_padded(needed));
        assert_err(take_padded(needed + BLOCK), needed == 0 ? E_OK : E_BAD_PADDING);
        assert_err(take_padded(needed + 2 * BLOCK), E_BAD_PADDING);
    }
}

static void a_sequence_of_another_length_is_refused(void **state)
{
    (void)state;
    static const uint8_t five[5];
    wait_for_good();
    open_good();
    forge_add(&forge, PAYLOAD_SEQ, BYTES_OF(five));
    add_part(PAYLOAD_SA);
    add_part(PAYLOAD_KD);
    assert_err(take_forged(), E_BAD_PADDING);
}

static err_t take_delete(struct bytes body)
{
    open_good();
    add_part(PAYLOAD_SEQ);
    forge_add(&forge, PAYLOAD_DELETE, body);
    return take_forged();
}

static void deletes_are_read_strictly(void **state)
{
    (void)state;
    uint8_t raw[8 + 17 * 16] = {0, 0, 0, 2, 1, 4, 0, 2, 0, 0, 1, 0, 0, 0, 1, 1};
    wait_for_good();
    assert_ok(take_delete((struct bytes){raw, 16})); /* two SPIs in one payload */
    assert_int_equal(ends.got.delete_count, 2);
    assert_int_equal(ends.got.deletes[1].tek_spi, 0x101);
    assert_err(take_delete((struct bytes){raw, 15}), E_BAD_LENGTH);
    assert_err(take_delete((struct bytes){raw, 20}), E_BAD_LENGTH);
    raw[3] = 1; /* DOI of IPsec */
    assert_err(take_delete((struct bytes){raw, 16}), E_BAD_DOI);
    raw[3] = 2;
    raw[4] = 2; /* AH: keys that we never took */
    assert_ok(take_delete((struct bytes){raw, 16}));
    assert_int_equal(ends.got.delete_count, 0);
    raw[4] = 0; /* a KEK by four octets */
    assert_err(take_delete((struct bytes){raw, 16}), E_BAD_LENGTH);
    memset(raw + 8, 0, 8); /* but zero is "all" at any size */
    assert_ok(take_delete((struct bytes){raw, 16}));
    assert_true(ends.got.deletes[0].all);
    raw[4] = 1;
    raw[5] = 16; /* a TEK by sixteen */
    raw[7] = 1;
    raw[8] = 1;
    assert_err(take_delete((struct bytes){raw, 24}), E_BAD_LENGTH);
    raw[5] = 4;
    raw[7] = PUSH_DELETE_MAX + 1;
    assert_err(take_delete((struct bytes){raw, 8 + 4 * (PUSH_DELETE_MAX + 1)}), E_LIMIT);
    assert_good_is_taken();
}

/* A signed push with this policy and keys. */
static err_t take_policy(const struct group_policy *told, const struct group_policy *keys)
{
    static uint8_t sa[MESSAGE_CAP], kd[MESSAGE_CAP];
    struct writer s = writer_over(sa, sizeof(sa)), k = writer_over(kd, sizeof(kd));
    must(group_policy_encode_sa(told, NULL, &s));
    must(group_policy_encode_kd(keys, keys->kek.spi, &k));
    open_good();
    add_part(PAYLOAD_SEQ);
    forge_add(&forge, PAYLOAD_SA, writer_bytes(&s));
    forge_add(&forge, PAYLOAD_KD, writer_bytes(&k));
    return take_forged();
}

static void a_signed_push_that_says_what_it_must_not_is_refused_as_a_whole(void **state)
{
    (void)state;
    struct group_policy told = ends.policy, keys;
    wait_for_good();
    assert_ok(take_policy(&told, &told));
    keys = told;
    keys.sid_bits = 8;
    keys.sid_count = 1;
    assert_err(take_policy(&told, &keys), E_UNEXPECTED); /* a sender id for all */
    keys = told;
    keys.teks[0].spi ^= 1;
    assert_err(take_policy(&told, &keys), E_MISSING);
    keys = told;
    keys.has_kek = true;
    fixture_kek(&keys.kek, 2, CIPHER_AES_CBC_256, SIGN_RSA);
    assert_err(take_policy(&told, &keys), E_UNEXPECTED); /* a KEK that no SAK tells of */
    told = keys;
    assert_ok(take_policy(&told, &keys));
    memset(keys.kek.public_key + 40, 0,
           60); /* a new signing key that is none: refused before anything is used */
    keys.kek.public_len = 100;
    assert_err(take_policy(&told, &keys), E_BAD_KEY);
    fixture_kek(&keys.kek, 2, CIPHER_AES_CBC_256, SIGN_RSA);
    told.kek.sig_alg = SIGN_ECDSA_256; /* not of the kind that the SAK says */
    assert_err(take_policy(&told, &keys), E_BAD_KEY);
    keys.kek.public_len = 0; /* nor is the one in use */
    assert_err(take_policy(&told, &keys), E_BAD_KEY);
    assert_good_is_taken();
}

static void an_old_number_is_refused_before_its_signature_is_looked_at(void **state)
{
    (void)state;
    wait_for_good();
    ends.member.last_seq = 5;
    ends.buf[ends.sent.len - 40] ^= 1;
    assert_err(take(), E_REPLAY);
    assert_int_equal(ends.got.seq, 1);
    assert_false(ends.got.repeated);
    ends.buf[ends.sent.len - 40] ^= 1;
    ends.member.last_seq = 0;
    assert_good_is_taken();
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_push_cut_anywhere_is_refused),
        T(a_push_with_any_bit_flipped_is_refused),
        T(headers_of_other_messages_are_refused),
        T(another_kek_under_the_same_spi_opens_nothing),
        T(another_signing_key_signs_nothing),
        T(payloads_stand_once_and_in_order),
        T(a_member_with_the_kek_cannot_forge),
        T(a_whole_block_of_padding_is_tolerated_and_no_more),
        T(a_sequence_of_another_length_is_refused),
        T(deletes_are_read_strictly),
        T(a_signed_push_that_says_what_it_must_not_is_refused_as_a_whole),
        T(an_old_number_is_refused_before_its_signature_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
