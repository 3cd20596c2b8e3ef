/* crc32c.h - the checksum of everything on disk (Castagnoli polynomial, as in iSCSI, RFC 3720 12.1). Finds
 * accidents, not attackers. Chain calls by passing the last result; start with 0. */
#ifndef STORAGE_CRC32C_H
#define STORAGE_CRC32C_H

#include "base/wire.h"

uint32_t crc32c(uint32_t crc, struct bytes data);

#endif
