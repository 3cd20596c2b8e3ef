/* refusal.h - for tests of what main mode refuses: an exchange before message n, and what a refusal looks
 * like. */
#ifndef TESTS_UNIT_PROTO_IKE_REFUSAL_H
#define TESTS_UNIT_PROTO_IKE_REFUSAL_H

#include "tests/lib/test.h"

#include "proto/wire/notify.h"
#include "tests/unit/proto/ike/exchange.h"

static struct exchange ex;
static struct datagram messages[7];
static struct datagram reply;
static struct mm_effects out;
static struct main_mode before;

static UNUSED int teardown(void **state)
{
    (void)state;
    heap_fault_after(-1);
    exchange_close(&ex);
    return 0;
}

static UNUSED struct main_mode *taker_of(int n)
{
    return n % 2 == 1 ? &ex.r : &ex.i;
}

static UNUSED void bring_to(int n)
{
    exchange_close(&ex);
    exchange_defaults(&ex, "aes128-sha256-ecp256", (uint64_t)n);
    exchange_start(&ex);
    assert_ok(exchange_run(&ex, messages, n));
    before = *taker_of(n);
}

static UNUSED void finish(int n)
{
    for (; n <= 6; n++)
        assert_ok(
            exchange_feed(taker_of(n), datagram_view(&messages[n]), n < 6 ? &messages[n + 1] : &reply, &out));
    assert_int_equal(ex.i.state, MM_ESTABLISHED);
    assert_true(exchange_agrees(&ex.i, &ex.r));
}

/* Refused in silence, without a trace. */
static UNUSED void assert_dropped(int n, const struct datagram *datagram, err_t wanted)
{
    struct main_mode *mm = taker_of(n);
    assert_err(exchange_feed(mm, datagram_view(datagram), &reply, &out), wanted);
    assert_int_equal(reply.len, 0);
    assert_false(out.failed || out.send || out.established || out.compute);
    assert_int_equal(out.notify, 0);
    assert_int_equal(mm->bad_messages, before.bad_messages + 1);
    before.bad_messages++;
    assert_memory_equal(mm, &before, sizeof(before));
}

/* Clear notify of a type, no longer than the request, without spi and data. */
static UNUSED void assert_clear_notify(uint16_t type, const struct datagram *request)
{
    struct isakmp_header header;
    struct bytes body;
    struct payload_list list;
    struct notify_payload notify;
    assert_true(reply.len != 0 && reply.len <= request->len);
    assert_int_equal(out.notify, type);
    assert_ok(isakmp_header_decode(&header, &body, datagram_view(&reply)));
    assert_int_equal(header.exchange, EXCHANGE_INFORMATIONAL);
    assert_int_equal(header.flags, 0);
    assert_memory_equal(header.cookie_i, request->data, COOKIE_LEN);
    assert_ok(payload_list_decode(&list, header.next_payload, body));
    assert_int_equal(list.count, 1);
    assert_ok(notify_decode(&notify, payload_find(&list, PAYLOAD_NOTIFY, 0)->body));
    assert_int_equal(notify.type, type);
    assert_int_equal(notify.spi.len + notify.data.len, 0);
}

#endif
