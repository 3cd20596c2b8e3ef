/* hex.h - octets as lower-case hexadecimal digits. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes 2 * len digits without a NUL; returns where they end. */
char *hex_put(char *out, const uint8_t *raw, size_t len);
/* The same with a NUL behind them: out has room for 2 * len + 1. Returns out. */
const char *hex_text(char *out, const uint8_t *raw, size_t len);
/* 2 * len lower-case digits into len octets. False: another character; out is then undefined. */
bool hex_read(uint8_t *out, const uint8_t *text, size_t len);

#endif
