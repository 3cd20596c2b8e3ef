/* backup_fuzz.c - a file that is said to be a backup: none opens that was not sealed with the key. The digest
 * is mended on the way, so that what lies behind it is reached too. */
#include <stdlib.h>
#include <string.h>

#include "cluster/backup_file.h"
#include "proto/crypto/prf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COST_AT = BACKUP_HEAD_LEN - 8 - PASSPHRASE_SALT_LEN - 1, INPUT_MAX = 8192 };

static struct secret key;

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void never_opens(struct bytes file)
{
    struct backup_head head;
    struct wrap_key data_key;
    struct bytes stream;
    uint8_t *plain;
    size_t len;
    require(backup_open(file, &key, &head, &data_key, &plain, &len, &stream) != E_OK);
    require(plain == NULL && len == 0 && stream.len == 0 && data_key.key.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct backup_head head;
    struct bytes input = {data, size};
    if (key.len == 0)
        require(secret_set(&key, bytes_of_text("the key of this target")) == E_OK);
    if (backup_check(input, &head) == E_OK) /* it may be whole, but was not sealed with this key */
        require(head.sealed_len + BACKUP_HEAD_LEN + BACKUP_DIGEST_LEN == size);
    if (size < BACKUP_HEAD_LEN + BACKUP_DIGEST_LEN || size > INPUT_MAX)
        return 0;
    uint8_t *file = malloc(size);
    require(file != NULL);
    memcpy(file, data, size);
    file[COST_AT] = 1; /* a dear one would only take time */
    struct bytes body = {file, size - BACKUP_DIGEST_LEN};
    require(hash_parts(HASH_SHA256, &body, 1, file + body.len) == E_OK);
    never_opens((struct bytes){file, size});
    free(file);
    return 0;
}
