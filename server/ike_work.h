/* ike_work.h - the parts of an SA in ike_table: its packed keys, and what its exchanges need for a while.
 * Only ike_table.c and ike_work.c include it. */
#ifndef SERVER_IKE_WORK_H
#define SERVER_IKE_WORK_H

#include "server/ike_table.h"

struct ike_keys *ike_keys_pack(const struct isakmp_sa *sa); /* NULL: out of memory */
void ike_keys_free(struct ike_keys *keys);                  /* NULL is fine */

void ike_work_list_add(struct ike_table *table, struct ike_work *work, uint64_t now_ms);
void ike_work_list_drop(struct ike_table *table, struct ike_work *work);
/* Frees the work of sa, if any; off the list when sa is established. */
void ike_work_free(struct ike_table *table, struct ike_sa *sa);
/* Frees what was idle for WORK_IDLE_MS. */
void ike_work_sweep(struct ike_table *table, uint64_t now_ms);

#endif
