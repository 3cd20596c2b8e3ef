/* Keys and certificates as files. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "cluster/certs_internal.h"

static err_t key_wrap(EVP_PKEY *pkey, struct cert_key **out)
{
    err_t err = cert_key_is_p256(pkey) ? E_OK : E_BAD_KEY;
    struct cert_key *key = err == E_OK ? malloc(sizeof(*key)) : NULL;
    if (key == NULL) {
        EVP_PKEY_free(pkey);
        return cert_refused(err == E_OK ? E_NO_MEMORY : err);
    }
    key->pkey = pkey;
    *out = key;
    return E_OK;
}

err_t cert_key_make(struct cert_key **out)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    return pkey == NULL ? cert_refused(E_CRYPTO) : key_wrap(pkey, out);
}

/* Nobody is asked for a passphrase. */
static int no_passphrase(char *buf, int size, int rwflag, void *context)
{
    (void)buf, (void)size, (void)rwflag, (void)context;
    return -1;
}

static bool is_pem(struct bytes encoded)
{
    return encoded.len > 10 && memcmp(encoded.data, "-----BEGIN", 10) == 0;
}

err_t cert_key_open(struct bytes pkcs8, struct cert_key **out)
{
    EVP_PKEY *pkey = NULL;
    if (pkcs8.len == 0 || pkcs8.len > CERT_FILE_MAX)
        return E_BAD_KEY;
    if (is_pem(pkcs8)) {
        BIO *bio = BIO_new_mem_buf(pkcs8.data, (int)pkcs8.len);
        pkey = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
        BIO_free(bio);
    } else {
        const uint8_t *at = pkcs8.data;
        PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)pkcs8.len);
        if (info != NULL && at == pkcs8.data + pkcs8.len)
            pkey = EVP_PKCS82PKEY(info);
        PKCS8_PRIV_KEY_INFO_free(info);
    }
    return pkey == NULL ? cert_refused(E_BAD_KEY) : key_wrap(pkey, out);
}

err_t cert_key_encode(const struct cert_key *key, uint8_t out[CERT_KEY_MAX], size_t *out_len)
{
    err_t err = E_CRYPTO;
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key->pkey);
    int len = info == NULL ? 0 : i2d_PKCS8_PRIV_KEY_INFO(info, NULL);
    if (len > 0 && len <= CERT_KEY_MAX) {
        *out_len = (size_t)i2d_PKCS8_PRIV_KEY_INFO(info, &out);
        err = E_OK;
    }
    PKCS8_PRIV_KEY_INFO_free(info);
    return cert_refused(err);
}

void cert_key_free(struct cert_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

/* What PEM_write_* wrote to a memory BIO goes to the file; the BIO's memory is wiped. */
static err_t store(BIO *bio, bool written, const struct disk *disk, const char *dir, const char *name)
{
    err_t err = bio == NULL ? E_NO_MEMORY : E_CRYPTO;
    char *text = NULL;
    long len = bio == NULL ? 0 : BIO_get_mem_data(bio, &text);
    if (written && len > 0)
        err = disk_replace(disk, dir, name, (struct bytes){(const uint8_t *)text, (size_t)len});
    if (len > 0)
        secret_wipe(text, (size_t)len);
    BIO_free(bio);
    return cert_refused(err);
}

err_t cert_key_store(const struct cert_key *key, const struct disk *disk, const char *dir, const char *name)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    bool written =
        bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) == 1;
    return store(bio, written, disk, dir, name);
}

err_t cert_store(const struct cert *cert, const struct disk *disk, const char *dir, const char *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool written = bio != NULL && PEM_write_bio_X509(bio, cert->x509) == 1;
    return store(bio, written, disk, dir, name);
}

/* A private key that others could read is no secret: refused, so that somebody finds out. */
static err_t check_private(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ELOOP ? E_PERMISSION : disk_err(errno);
    err_t err = fstat(fd, &st) != 0 ? disk_err(errno) : E_OK;
    if (err == E_OK && (!S_ISREG(st.st_mode) || (st.st_mode & (S_IRWXG | S_IRWXO)) != 0))
        err = E_PERMISSION;
    close(fd);
    return err;
}

err_t cert_key_load(const char *path, struct cert_key **out)
{
    uint8_t *data = NULL;
    size_t len = 0;
    err_t err = check_private(path);
    if (err == E_OK)
        err = disk_read(path, CERT_FILE_MAX, &data, &len);
    if (err == E_LIMIT)
        err = E_BAD_KEY;
    if (err != E_OK)
        return err;
    err = cert_key_open((struct bytes){data, len}, out);
    secret_wipe(data, len);
    free(data);
    return err;
}

err_t cert_open(struct bytes encoded, struct cert **out)
{
    X509 *x509 = NULL;
    if (encoded.len == 0 || encoded.len > CERT_FILE_MAX)
        return E_CORRUPT;
    if (is_pem(encoded)) {
        BIO *bio = BIO_new_mem_buf(encoded.data, (int)encoded.len);
        x509 = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
        BIO_free(bio);
    } else {
        const uint8_t *at = encoded.data;
        x509 = d2i_X509(NULL, &at, (long)encoded.len);
        if (x509 != NULL && at != encoded.data + encoded.len) {
            X509_free(x509);
            x509 = NULL;
        }
    }
    return x509 == NULL ? cert_refused(E_CORRUPT) : cert_wrap(x509, out);
}

err_t cert_load(const char *path, struct cert **out)
{
    uint8_t *data = NULL;
    size_t len = 0;
    err_t err = disk_read(path, CERT_FILE_MAX, &data, &len);
    if (err != E_OK)
        return err == E_LIMIT ? E_CORRUPT : err;
    err = cert_open((struct bytes){data, len}, out);
    free(data);
    return err;
}
