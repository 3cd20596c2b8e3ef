/* selector_text.h - an access-list entry as IOS writes it: "tcp 10.1.0.0 0.0.255.255 any port = 443". Pure.
 */
#ifndef GM_AGENT_SELECTOR_TEXT_H
#define GM_AGENT_SELECTOR_TEXT_H

#include "proto/gdoi/group_policy.h"

enum { SELECTOR_TEXT_MAX = 128 }; /* bytes with NUL */

const char *selector_format(const struct selector *selector, char out[SELECTOR_TEXT_MAX]); /* returns out */
/* "ip", "tcp", "udp", "icmp" or the number. */
const char *selector_protocol(uint8_t protocol, char out[8]);

#endif
