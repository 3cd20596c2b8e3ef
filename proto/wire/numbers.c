#include "proto/wire/numbers.h"

/* Switches over the enum types, so that the compiler misses a number that has no row in numbers.def. */

const char *exchange_name(uint8_t type)
{
    switch ((enum exchange_type)type) {
#define EXCHANGE(name, text)                                                                                 \
    case EXCHANGE_##name:                                                                                    \
        return text;
#include "proto/wire/numbers.def"
    }
    return "?";
}

const char *payload_name(uint8_t type)
{
    switch ((enum payload_type)type) {
#define PAYLOAD(name, text)                                                                                  \
    case PAYLOAD_##name:                                                                                     \
        return text;
#include "proto/wire/numbers.def"
    }
    return "?";
}

const char *notify_name(uint16_t type)
{
    switch ((enum notify_type)type) {
#define NOTIFY(name, text)                                                                                   \
    case NOTIFY_##name:                                                                                      \
        return text;
#include "proto/wire/numbers.def"
    }
    return "?";
}

const char *id_type_name(uint8_t type)
{
    switch ((enum id_type)type) {
#define ID(name, text)                                                                                       \
    case ID_##name:                                                                                          \
        return text;
#include "proto/wire/numbers.def"
    }
    return "?";
}
