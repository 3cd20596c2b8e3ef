#include "proto/wire/numbers.h"

const char *exchange_name(uint8_t type)
{
    switch (type) {
#define EXCHANGE(name, text)                                                                                 \
    case EXCHANGE_##name:                                                                                    \
        return text;
#include "proto/wire/numbers.def"
    }
    return "?";
}

const char *payload_name(uint8_t type)
{
    switch (type) {
#define PAYLOAD(name, text)                                                                                  \
    case PAYLOAD_##name:                                                                                     \
        return text;
#include "proto/wire/numbers.def"
    }
    return "?";
}

const char *notify_name(uint16_t type)
{
    switch (type) {
#define NOTIFY(name, text)                                                                                   \
    case NOTIFY_##name:                                                                                      \
        return text;
#include "proto/wire/numbers.def"
    }
    return "?";
}

const char *id_type_name(uint8_t type)
{
    switch (type) {
#define ID(name, text)                                                                                       \
    case ID_##name:                                                                                          \
        return text;
#include "proto/wire/numbers.def"
    }
    return "?";
}
