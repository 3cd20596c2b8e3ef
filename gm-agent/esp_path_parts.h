/* esp_path_parts.h - between esp_path.c and esp_path_state.c: which counter of the ledger a path sends by. */
#ifndef GM_AGENT_ESP_PATH_PARTS_H
#define GM_AGENT_ESP_PATH_PARTS_H

#include "gm-agent/esp_path.h"

/* Lets go of the one before. False: another path sends by it, so this one must not. */
bool esp_path_take_counter(struct esp_path *path, uint32_t spi, uint32_t sid, uint16_t sid_bits);
void esp_path_drop_counter(struct esp_path *path);

#endif
