/* Messages to the kernel's XFRM: byte for byte as iproute2 sends them, and what comes back. */
#include "gm-agent/xfrm_message.h"
#include "gm-agent/xfrm_socket.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"
#include "tests/unit/gm-agent/xfrm_vectors.h"

static uint8_t buffer[XFRM_MESSAGE_MAX];

static struct bytes body(const struct nlmsghdr *message)
{
    return (struct bytes){mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message)};
}

static void set_key(struct secret *out, size_t len, uint8_t first)
{
    uint8_t raw[64];
    for (size_t i = 0; i < sizeof(raw); i++)
        raw[i] = (uint8_t)(first + i);
    assert_ok(secret_set(out, (struct bytes){raw, len}));
}

static struct xfrm_sa cbc_sa(void)
{
    struct xfrm_sa sa = {.src = {100, 64, 1, 1},
                         .dst = {100, 127, 0, 1},
                         .spi = 0x1001,
                         .reqid = 77,
                         .flags = XFRM_STATE_NOPMTUDISC,
                         .extra_flags = XFRM_SA_XFLAG_OSEQ_MAY_WRAP,
                         .suite = {ESP_AES_CBC, 128, AUTH_HMAC_SHA256}};
    set_key(&sa.key, 16, 0x20);
    set_key(&sa.integrity, 32, 0);
    return sa;
}

static struct prefix net(const char *text)
{
    struct prefix prefix;
    assert_ok(prefix_parse(&prefix, text));
    return prefix;
}

static struct xfrm_policy out_policy(void)
{
    return (struct xfrm_policy){.dir = XFRM_POLICY_OUT,
                                .src = net("10.0.0.0/8"),
                                .dst = net("192.168.0.0/16"),
                                .protocol = IPPROTO_UDP,
                                .src_port = 5000,
                                .dst_port = 6000,
                                .ifindex = 3,
                                .priority = 1234,
                                .action = XFRM_PROTECT,
                                .tmpl_src = {100, 64, 1, 1},
                                .tmpl_dst = {100, 127, 0, 1},
                                .tmpl_spi = 0x1001,
                                .reqid = 77};
}

static void an_outbound_sa_is_sent_as_iproute2_does(void **state)
{
    (void)state;
    struct xfrm_sa sa = cbc_sa();
    const struct nlmsghdr *message = xfrm_build_sa(buffer, 7, &sa);
    assert_int_equal(message->nlmsg_type, XFRM_MSG_NEWSA);
    assert_int_equal(message->nlmsg_seq, 7);
    assert_true((message->nlmsg_flags & NLM_F_ACK) != 0);
    assert_bytes(body(message), iproute2_out_sa);
}

static void a_gcm_sa_is_sent_as_iproute2_does(void **state)
{
    (void)state;
    struct xfrm_sa sa = {
        .dst = {100, 64, 1, 1}, .spi = 0x1002, .reqid = 76, .suite = {ESP_AES_GCM_12, 128, AUTH_NONE}};
    set_key(&sa.key, 20, 0);
    assert_bytes(body(xfrm_build_sa(buffer, 1, &sa)), iproute2_in_sa_gcm);
}

static void policies_are_sent_as_iproute2_does(void **state)
{
    (void)state;
    struct xfrm_policy policy = out_policy();
    const struct nlmsghdr *message = xfrm_build_policy(buffer, 1, &policy);
    assert_int_equal(message->nlmsg_type, XFRM_MSG_UPDPOLICY);
    assert_bytes(body(message), iproute2_policy_out);

    struct xfrm_policy in = {.dir = XFRM_POLICY_IN,
                             .src = net("10.0.0.0/8"),
                             .dst = net("10.0.0.0/8"),
                             .priority = 1235,
                             .action = XFRM_PROTECT,
                             .optional = true,
                             .tmpl_dst = {100, 64, 1, 1},
                             .reqid = 76};
    assert_bytes(body(xfrm_build_policy(buffer, 1, &in)), iproute2_policy_in);

    struct xfrm_policy block = in;
    block.dir = XFRM_POLICY_OUT;
    block.ifindex = 3;
    block.priority = 1236;
    block.action = XFRM_DROP;
    assert_bytes(body(xfrm_build_policy(buffer, 1, &block)), iproute2_policy_block);
    message = xfrm_build_policy_delete(buffer, 1, &block);
    assert_int_equal(message->nlmsg_type, XFRM_MSG_DELPOLICY);
    assert_bytes(body(message), iproute2_policy_delete);
}

static void an_sa_is_deleted_by_address_spi_and_protocol(void **state)
{
    (void)state;
    struct xfrm_sa sa = cbc_sa();
    const struct nlmsghdr *message = xfrm_build_sa_delete(buffer, 1, &sa);
    assert_int_equal(message->nlmsg_type, XFRM_MSG_DELSA);
    assert_bytes(body(message), "647f0001000000000000000000000000 00001001 0200 32 00");
}

static void what_was_built_is_parsed_again(void **state)
{
    static const struct esp_suite suites[] = {
        {ESP_AES_CBC, 128, AUTH_HMAC_SHA256}, {ESP_AES_CBC, 256, AUTH_HMAC_SHA384},
        {ESP_AES_CBC, 192, AUTH_HMAC_SHA512}, {ESP_AES_GCM_8, 128, AUTH_NONE},
        {ESP_AES_GCM_12, 192, AUTH_NONE},     {ESP_AES_GCM_16, 256, AUTH_NONE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
        struct xfrm_sa sa = cbc_sa(), back;
        struct xfrm_sa_usage usage;
        sa.suite = suites[i];
        set_key(&sa.key, esp_key_len(&sa.suite), 9);
        set_key(&sa.integrity, esp_integrity_len(&sa.suite), 99);
        struct nlmsghdr *message = xfrm_build_sa(buffer, 1, &sa);
        struct xfrm_usersa_info *info = mnl_nlmsg_get_payload(message);
        info->curlft.packets = 12345;
        info->stats.integrity_failed = 3;
        assert_ok(xfrm_parse_sa(&back, &usage, message));
        assert_true(xfrm_sa_equal(&sa, &back));
        assert_int_equal(usage.packets, 12345);
        assert_int_equal(usage.integrity_failed, 3);
        back.key.data[0] ^= 1;
        assert_false(xfrm_sa_equal(&sa, &back));
    }
    struct xfrm_policy policy = out_policy(), back;
    struct nlmsghdr *message = xfrm_build_policy(buffer, 1, &policy);
    message->nlmsg_type = XFRM_MSG_NEWPOLICY; /* as a dump has it */
    assert_ok(xfrm_parse_policy(&back, message));
    assert_true(xfrm_policy_equal(&policy, &back));
    back.tmpl_spi++;
    assert_true(xfrm_policy_same_place(&policy, &back));
    assert_false(xfrm_policy_equal(&policy, &back));
    back.ifindex++;
    assert_false(xfrm_policy_same_place(&policy, &back));
}

static void other_peoples_entries_are_not_taken_for_ours(void **state)
{
    (void)state;
    struct xfrm_sa sa = cbc_sa(), back;
    struct xfrm_sa_usage usage;
    struct nlmsghdr *message = xfrm_build_sa(buffer, 1, &sa);
    struct xfrm_usersa_info *info = mnl_nlmsg_get_payload(message);
    info->mode = XFRM_MODE_TRANSPORT;
    assert_err(xfrm_parse_sa(&back, &usage, message), E_UNEXPECTED);
    info->mode = XFRM_MODE_TUNNEL;
    info->family = AF_INET6;
    assert_err(xfrm_parse_sa(&back, &usage, message), E_UNEXPECTED);
    message->nlmsg_type = XFRM_MSG_NEWPOLICY;
    assert_err(xfrm_parse_sa(&back, &usage, message), E_UNEXPECTED);
}

/* Every cut of a message, at its exact size for the sanitizer. */
static void cut_messages_are_refused(void **state)
{
    (void)state;
    struct xfrm_sa sa = cbc_sa(), back;
    struct xfrm_sa_usage usage;
    const struct nlmsghdr *whole = xfrm_build_sa(buffer, 1, &sa);
    for (uint32_t len = NLMSG_HDRLEN; len < whole->nlmsg_len; len++) {
        struct nlmsghdr *cut = malloc(len);
        assert_non_null(cut);
        memcpy(cut, whole, len);
        cut->nlmsg_len = len;
        err_t err = xfrm_parse_sa(&back, &usage, cut);
        /* Between attributes a cut cannot be seen; but then a key is missing. */
        assert_true(err != E_OK || !xfrm_sa_equal(&sa, &back));
        free(cut);
    }
    struct nlmsghdr *message = xfrm_build_sa(buffer, 1, &sa);
    struct nlattr *first = mnl_nlmsg_get_payload_offset(message, sizeof(struct xfrm_usersa_info));
    struct xfrm_algo_auth *auth = mnl_attr_get_payload(first);
    auth->alg_key_len = 8 * 4096; /* more than there is */
    assert_err(xfrm_parse_sa(&back, &usage, message), E_BAD_LENGTH);
}

static bool take_count(const struct nlmsghdr *message, void *context)
{
    (void)message;
    ++*(unsigned *)context;
    return true;
}

static void answers_are_walked_message_by_message(void **state)
{
    struct nlmsghdr messages[3] = {
        {.nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = XFRM_MSG_NEWSA, .nlmsg_seq = 7},
        {.nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = XFRM_MSG_NEWSA, .nlmsg_seq = 6}, /* of an earlier request */
        {.nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = NLMSG_DONE, .nlmsg_seq = 7},
    };
    struct bytes datagram = {(const uint8_t *)messages, sizeof(messages)};
    unsigned count = 0;
    err_t err;
    (void)state;
    assert_int_equal(xfrm_reply_walk(datagram, 7, take_count, &count, &err), XFRM_REPLY_DONE);
    assert_int_equal(count, 1);
    assert_ok(err);
    messages[0].nlmsg_flags = NLM_F_DUMP_INTR;
    assert_int_equal(xfrm_reply_walk(datagram, 7, take_count, &count, &err), XFRM_REPLY_INTERRUPTED);
    assert_int_equal(
        xfrm_reply_walk(bytes_slice(datagram, NLMSG_HDRLEN, NLMSG_HDRLEN), 7, take_count, &count, &err),
        XFRM_REPLY_MORE);
}

/* Found by fuzzing: such a length counted as negative, and the walk did not move on. */
static void a_length_beyond_two_gigabytes_ends_the_walk(void **state)
{
    struct nlmsghdr message = {.nlmsg_len = UINT32_MAX, .nlmsg_type = XFRM_MSG_NEWSA, .nlmsg_seq = 7};
    unsigned count = 0;
    err_t err;
    (void)state;
    assert_int_equal(xfrm_reply_walk((struct bytes){(const uint8_t *)&message, sizeof(message)}, 7,
                                     take_count, &count, &err),
                     XFRM_REPLY_MORE);
    assert_int_equal(count, 0);
}

static void errors_of_the_kernel_are_told_apart(void **state)
{
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
    } message = {.header = {.nlmsg_len = sizeof(message), .nlmsg_type = NLMSG_ERROR, .nlmsg_seq = 1}};
    static const struct {
        int number;
        err_t err;
    } cases[] = {{0, E_OK},
                 {-EPERM, E_PERMISSION},
                 {-ESRCH, E_NOT_FOUND},
                 {-EEXIST, E_EXISTS},
                 {-EPROTONOSUPPORT, E_UNSUPPORTED},
                 {-EINVAL, E_IO},
                 {5, E_IO},
                 {-2147483647 - 1, E_IO}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        err_t err;
        message.error.error = cases[i].number;
        assert_int_equal(
            xfrm_reply_walk((struct bytes){(const uint8_t *)&message, sizeof(message)}, 1, NULL, NULL, &err),
            XFRM_REPLY_DONE);
        assert_err(err, cases[i].err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_outbound_sa_is_sent_as_iproute2_does),
        cmocka_unit_test(a_gcm_sa_is_sent_as_iproute2_does),
        cmocka_unit_test(policies_are_sent_as_iproute2_does),
        cmocka_unit_test(an_sa_is_deleted_by_address_spi_and_protocol),
        cmocka_unit_test(what_was_built_is_parsed_again),
        cmocka_unit_test(other_peoples_entries_are_not_taken_for_ours),
        cmocka_unit_test(cut_messages_are_refused),
        cmocka_unit_test(answers_are_walked_message_by_message),
        cmocka_unit_test(a_length_beyond_two_gigabytes_ends_the_walk),
        cmocka_unit_test(errors_of_the_kernel_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
