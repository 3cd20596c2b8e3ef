#include <string.h>

#include "storage/record_part.h"

static struct row_key key_of(const struct writer *w, const uint8_t *buf)
{
    struct row_key key = {.len = (uint16_t)w->len};
    memcpy(key.data, buf, w->len);
    return key;
}

struct row_key group_row_key(uint32_t group_id)
{
    uint8_t buf[ROW_KEY_MAX];
    struct writer w = writer_over(buf, sizeof(buf));
    write_u32(&w, group_id);
    return key_of(&w, buf);
}

struct row_key member_row_key(uint32_t group_id, const struct identity *identity)
{
    uint8_t buf[ROW_KEY_MAX];
    struct writer w = writer_over(buf, sizeof(buf));
    write_u32(&w, group_id);
    identity_encode(&w, identity);
    return key_of(&w, buf);
}

struct row_key rekey_row_key(uint32_t group_id, uint32_t seq)
{
    uint8_t buf[ROW_KEY_MAX];
    struct writer w = writer_over(buf, sizeof(buf));
    write_u32(&w, group_id);
    write_u32(&w, seq);
    return key_of(&w, buf);
}

struct row_key psk_row_key(const struct prefix *peer)
{
    uint8_t buf[ROW_KEY_MAX];
    struct writer w = writer_over(buf, sizeof(buf));
    prefix_encode(&w, peer);
    return key_of(&w, buf);
}

struct row_key node_row_key(const uint8_t node_id[NODE_ID_LEN])
{
    struct row_key key = {.len = NODE_ID_LEN};
    memcpy(key.data, node_id, NODE_ID_LEN);
    return key;
}

struct row_key single_row_key(void)
{
    return (struct row_key){.len = 1, .data = {0}};
}

struct row_key level_row_key(void)
{
    return (struct row_key){.len = 5, .data = "level"};
}

struct row_key previous_row_key(void)
{
    return (struct row_key){.len = 1, .data = {1}};
}
