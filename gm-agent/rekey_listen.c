/* rekey_listen.c - from a datagram to a verified rekey and its acknowledgement. */
#include "gm-agent/rekey_listen.h"

#include <string.h>

err_t rekey_listen_open(struct rekey_listen *listen, const struct kek *kek, uint32_t seq, bool any_dialect,
                        uint64_t now_ms)
{
    struct push_member member = {0};
    if (listen->active && memcmp(listen->member.kek.spi, kek->spi, KEK_SPI_LEN) == 0 &&
        listen->member.last_seq > seq)
        seq = listen->member.last_seq;
    err_t err = push_member_open(&member, kek, seq, any_dialect);
    if (err != E_OK)
        return err;
    rekey_listen_drop(listen);
    listen->member = member;
    listen->active = true;
    listen->installed_ms = now_ms;
    listen->taken_ms = 0;
    listen->expires_ms = now_ms + 1000u * (uint64_t)kek->lifetime_s;
    secret_wipe(&member.kek, sizeof(member.kek));
    return E_OK;
}

bool rekey_listen_overtook(const struct rekey_listen *listen, uint32_t seq, uint64_t since_ms)
{
    return listen->active && listen->taken_ms != 0 && listen->taken_ms >= since_ms &&
           listen->member.last_seq > seq;
}

/* RFC 8263 7.2: the latest KEK says whether and how to acknowledge; 4.2: under the KEK that decrypted the
 * push. 0: nothing to send. */
static size_t build_ack(const struct rekey_listen *listen, const struct push_received *message,
                        const struct addr *member, uint8_t out[PUSH_ACK_LEN_MAX])
{
    struct kek kek = listen->member.kek;
    if (message->has_policy && message->policy.has_kek)
        kek.ack = message->policy.kek.ack;
    struct push_ack_key key = {0};
    struct writer w = writer_over(out, PUSH_ACK_LEN_MAX);
    err_t err = kek.ack == KEK_ACK_NONE ? E_UNSUPPORTED : push_ack_key_derive(&key, &kek);
    if (err == E_OK)
        err = push_ack_build(&key, message->seq, member, false, &w);
    push_ack_key_close(&key);
    secret_wipe(&kek, sizeof(kek));
    return err == E_OK ? writer_bytes(&w).len : 0;
}

static void remember(struct rekey_listen *listen, struct bytes datagram, const uint8_t *ack, size_t ack_len)
{
    memcpy(listen->last_push, datagram.data, datagram.len);
    listen->last_push_len = datagram.len;
    memcpy(listen->last_ack, ack, ack_len);
    listen->last_ack_len = ack_len;
}

enum rekey_verdict rekey_listen_look(struct rekey_listen *listen, struct bytes datagram,
                                     const struct addr *member, struct push_received *message, err_t *why)
{
    *why = E_OK;
    if (listen->last_push_len != 0 &&
        bytes_equal(datagram, (struct bytes){listen->last_push, listen->last_push_len}))
        return REKEY_REPEATED;
    *why = E_UNKNOWN_SPI;
    if (!listen->active || datagram.len < KEK_SPI_LEN ||
        memcmp(datagram.data, listen->member.kek.spi, KEK_SPI_LEN) != 0)
        return REKEY_UNKNOWN;
    *why = E_BAD_LENGTH;
    if (datagram.len > sizeof(listen->plain))
        return REKEY_BAD;
    *why = push_member_open_message(&listen->member, datagram, listen->plain, message);
    if (*why == E_OK)
        return REKEY_NEW;
    if (*why != E_REPLAY)
        return REKEY_BAD;
    if (!message->repeated)
        return REKEY_REPLAYED;
    /* Genuine, and its keys are those that we have: from that push in other bytes, or from a registration. */
    uint8_t ack[PUSH_ACK_LEN_MAX];
    remember(listen, datagram, ack, build_ack(listen, message, member, ack));
    return REKEY_REPEATED;
}

err_t rekey_listen_accept(struct rekey_listen *listen, struct bytes datagram,
                          const struct push_received *message, const struct addr *member, uint64_t now_ms)
{
    uint8_t ack[PUSH_ACK_LEN_MAX];
    size_t ack_len = build_ack(listen, message, member, ack);
    err_t err = push_member_accept(&listen->member, message);
    if (err != E_OK)
        return err;
    if (message->has_policy && message->policy.has_kek) {
        listen->installed_ms = now_ms;
        listen->expires_ms = now_ms + 1000u * (uint64_t)message->policy.kek.lifetime_s;
    }
    listen->taken_ms = now_ms;
    remember(listen, datagram, ack, ack_len);
    return E_OK;
}

void rekey_listen_drop(struct rekey_listen *listen)
{
    if (listen->active)
        push_member_close(&listen->member);
    listen->active = false;
}

void rekey_listen_close(struct rekey_listen *listen)
{
    rekey_listen_drop(listen);
    secret_wipe(listen, sizeof(*listen));
}
