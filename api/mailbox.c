#include "api/mailbox.h"

#include <pthread.h>
#include <stdlib.h>

enum slot_state { SLOT_FREE = 0, SLOT_WAITING, SLOT_TAKEN };

struct slot {
    enum slot_state state;
    struct mail mail;
    mailbox_answered_fn answered;
    void *context;
};

struct mailbox {
    pthread_mutex_t lock;
    uint64_t last_id;
    void (*wake)(void *context);
    void *wake_context;
    struct slot slots[MAILBOX_MAX];
};

err_t mailbox_open(struct mailbox **out, void (*wake)(void *context), void *context)
{
    *out = NULL;
    struct mailbox *box = calloc(1, sizeof(*box));
    if (box == NULL)
        return E_NO_MEMORY;
    pthread_mutex_init(&box->lock, NULL);
    box->wake = wake;
    box->wake_context = context;
    *out = box;
    return E_OK;
}

void mailbox_free(struct mailbox *box)
{
    if (box == NULL)
        return;
    pthread_mutex_destroy(&box->lock);
    free(box);
}

/* The slot of a request that is not done yet; NULL if there is none. */
static struct slot *find(struct mailbox *box, uint64_t id)
{
    for (size_t i = 0; i < MAILBOX_MAX; i++)
        if (box->slots[i].state != SLOT_FREE && box->slots[i].mail.id == id)
            return &box->slots[i];
    return NULL;
}

err_t mailbox_put(struct mailbox *box, const struct mail *mail, mailbox_answered_fn answered, void *context,
                  uint64_t *id)
{
    struct slot *slot = NULL;
    pthread_mutex_lock(&box->lock);
    for (size_t i = 0; i < MAILBOX_MAX && slot == NULL; i++)
        if (box->slots[i].state == SLOT_FREE)
            slot = &box->slots[i];
    if (slot != NULL) {
        *slot = (struct slot){SLOT_WAITING, *mail, answered, context};
        slot->mail.id = ++box->last_id;
        *id = slot->mail.id;
    }
    pthread_mutex_unlock(&box->lock);
    if (slot == NULL)
        return E_FULL;
    box->wake(box->wake_context);
    return E_OK;
}

bool mailbox_take(struct mailbox *box, struct mail *out)
{
    struct slot *oldest = NULL;
    pthread_mutex_lock(&box->lock);
    for (size_t i = 0; i < MAILBOX_MAX; i++) {
        struct slot *slot = &box->slots[i];
        if (slot->state == SLOT_WAITING && (oldest == NULL || slot->mail.id < oldest->mail.id))
            oldest = slot;
    }
    if (oldest != NULL) {
        oldest->state = SLOT_TAKEN;
        *out = oldest->mail;
    }
    pthread_mutex_unlock(&box->lock);
    return oldest != NULL;
}

void mailbox_answer(struct mailbox *box, uint64_t id, const struct mail_answer *answer)
{
    mailbox_answered_fn answered = NULL;
    void *context = NULL;
    pthread_mutex_lock(&box->lock);
    struct slot *slot = find(box, id);
    if (slot != NULL) {
        answered = slot->answered;
        context = slot->context;
        slot->state = SLOT_FREE;
    }
    pthread_mutex_unlock(&box->lock);
    if (answered != NULL)
        answered(context, answer);
    else
        free(answer->octets);
}

bool mailbox_cancel(struct mailbox *box, uint64_t id)
{
    pthread_mutex_lock(&box->lock);
    struct slot *slot = find(box, id);
    if (slot != NULL)
        slot->state = SLOT_FREE;
    pthread_mutex_unlock(&box->lock);
    return slot != NULL;
}
