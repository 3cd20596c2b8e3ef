#include "storage/crc32c.h"

#include <pthread.h>

/* Eight tables: eight octets per step without special instructions. */
enum { LANES = 8, POLYNOMIAL_LANES = 256 };
static const uint32_t polynomial = 0x82f63b78u; /* reflected */
static uint32_t table[LANES][POLYNOMIAL_LANES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_table(void)
{
    for (uint32_t i = 0; i < POLYNOMIAL_LANES; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
        table[0][i] = crc;
    }
    for (uint32_t i = 0; i < POLYNOMIAL_LANES; i++) {
        for (int lane = 1; lane < LANES; lane++)
            table[lane][i] = table[lane - 1][i] >> 8 ^ table[0][table[lane - 1][i] & 0xff];
    }
}

uint32_t crc32c(uint32_t crc, struct bytes data)
{
    pthread_once(&once, fill_table);
    crc = ~crc;
    const uint8_t *at = data.data;
    size_t left = data.len;
    for (; left >= LANES; left -= LANES, at += LANES) {
        uint32_t low =
            crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
        crc = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^ table[5][low >> 16 & 0xff] ^
              table[4][low >> 24] ^ table[3][at[4]] ^ table[2][at[5]] ^ table[1][at[6]] ^ table[0][at[7]];
    }
    for (; left > 0; left--, at++)
        crc = crc >> 8 ^ table[0][(crc ^ *at) & 0xff];
    return ~crc;
}
