/* load_push.c - pushes: each is opened and verified once, each copy is acknowledged by its member. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/torture/load.h"

static const uint64_t digest_seed[2] = {0x746f7274, 0x75726521};

static uint64_t digest(struct bytes data)
{
    return map_hash(digest_seed, data);
}

static uint64_t key_digest(const struct tek *tek)
{
    return digest(secret_view(&tek->key)) ^ digest(secret_view(&tek->integrity));
}

static void print_hex(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        printf("%02x", data[i]);
}

void load_print_keys(const struct group_policy *policy)
{
    if (policy->has_kek)
        print_hex(policy->kek.spi, KEK_SPI_LEN);
    else
        printf("-");
    for (size_t i = 0; i < policy->tek_count; i++)
        printf(" %08" PRIx32 "=%016" PRIx64, policy->teks[i].spi, key_digest(&policy->teks[i]));
    printf("\n");
}

static struct load_kek *kek_find(struct load *load, const uint8_t spi[KEK_SPI_LEN])
{
    for (size_t i = 0; i < load->kek_count; i++)
        if (memcmp(load->keks[i].push.kek.spi, spi, KEK_SPI_LEN) == 0)
            return &load->keks[i];
    return NULL;
}

void load_kek_learn(struct load *load, const struct kek *kek, uint32_t seq)
{
    if (kek_find(load, kek->spi) != NULL)
        return;
    struct load_kek *at = &load->keks[load->kek_next];
    if (load->kek_count == LOAD_KEK_MAX) {
        push_member_close(&at->push);
        push_ack_key_close(&at->ack);
    } else {
        load->kek_count++;
    }
    load->kek_next = (load->kek_next + 1) % LOAD_KEK_MAX;
    memset(at, 0, sizeof(*at));
    /* All members share this window, and some may be told under an older number: so it begins one below. */
    if (push_member_open(&at->push, kek, seq > 0 ? seq - 1 : 0, false) != E_OK)
        fprintf(stderr, "gdoi_load: the KEK of a registration cannot be used\n");
    if (kek->ack != KEK_ACK_NONE && push_ack_key_derive(&at->ack, kek) != E_OK)
        fprintf(stderr, "gdoi_load: no key for acknowledgements\n");
}

void load_push_idle(struct load *load, uint64_t now_us)
{
    struct load_push *push = &load->push;
    if (!push->open || now_us - push->last_us < 1000ull * LOAD_PUSH_IDLE_MS)
        return;
    printf("Q %" PRIu32 " %.6f %.6f %" PRIu64 " %" PRIu64 "\n", push->seq, (double)push->first_us / 1e6,
           (double)push->last_us / 1e6, push->members, push->copies);
    push->open = false;
}

/* A push that nobody has seen yet. */
static bool open_push(struct load *load, struct load_kek *kek, struct bytes datagram, uint64_t now_us)
{
    static uint8_t plain[ISAKMP_MESSAGE_MAX];
    static struct push_received received;
    memset(&received, 0, sizeof(received));
    err_t err = push_member_open_message(&kek->push, datagram, plain, &received);
    if (err == E_OK) {
        printf("P %.6f %" PRIu32 " ", (double)now_us / 1e6, received.seq);
        print_hex(kek->push.kek.spi, KEK_SPI_LEN);
        printf(" %zu %016" PRIx64 " ", datagram.len, digest(datagram));
        load_print_keys(&received.policy);
        memcpy(kek->datagram, datagram.data, datagram.len);
        kek->datagram_len = datagram.len;
        kek->datagram_seq = received.seq;
        if (received.has_policy && received.policy.has_kek) {
            if (received.policy.kek.public_len == 0) { /* the signing key stays */
                received.policy.kek.public_len = kek->push.kek.public_len;
                memcpy(received.policy.kek.public_key, kek->push.kek.public_key, kek->push.kek.public_len);
            }
            load_kek_learn(load, &received.policy.kek, received.seq);
        }
        kek->push.last_seq = received.seq;
        if (!load->push.open || received.seq > load->push.seq) {
            load->push.last_us = 0;
            load_push_idle(load, now_us); /* the one before is over */
            load->push = (struct load_push){.seq = received.seq, .first_us = now_us, .open = true};
        }
    } else if (err != E_REPLAY) {
        printf("E %.6f %s\n", (double)now_us / 1e6, err_text(err));
    }
    push_received_close(&received);
    return err == E_OK;
}

void load_push_datagram(struct load *load, size_t member, const struct endpoint *from, struct bytes datagram,
                        uint64_t now_us)
{
    uint8_t answer[PUSH_ACK_LEN_MAX];
    struct load_kek *kek = kek_find(load, datagram.data); /* the cookies are the SPI */
    if (kek == NULL) { /* a push of nobody, to be timed only */
        load->unwanted++;
        if (!load->push.open)
            load->push = (struct load_push){.first_us = now_us, .open = true};
        load->push.last_us = now_us;
        load->push.copies++;
        return;
    }
    bool known = datagram.len == kek->datagram_len && memcmp(datagram.data, kek->datagram, datagram.len) == 0;
    if (!known && !open_push(load, kek, datagram, now_us))
        return;
    if (load->push.open && load->push.seq == kek->datagram_seq) {
        load->push.last_us = now_us;
        load->push.copies++;
        load->push.members += load->acked_seq[member] < kek->datagram_seq;
    }
    if (load->acked_seq[member] < kek->datagram_seq)
        load->acked_seq[member] = kek->datagram_seq;
    if (load->options.no_ack || kek->push.kek.ack == KEK_ACK_NONE)
        return;
    struct addr me = load_member_addr(load, member);
    struct writer w = writer_over(answer, sizeof(answer));
    if (push_ack_build(&kek->ack, kek->datagram_seq, &me, false, &w) == E_OK)
        load_send(load, member, from, writer_bytes(&w));
}
