/* xfrm_try.h - what this kernel can do, by trying: an SA of every transform is put in, as the group's would
 * be, under an SPI and to an address that nobody uses, and taken away again. What comes back is the kernel's
 * own word, not a list of modules. */
#ifndef GM_AGENT_XFRM_TRY_H
#define GM_AGENT_XFRM_TRY_H

#include "gm-agent/xfrm_plan.h"
#include "gm-agent/xfrm_socket.h"

enum {
    XFRM_TRY_SPI = 0xfffffff7u, /* key servers draw any; the address keeps it apart from theirs */
    XFRM_TRY_MAX = 18,
};

/* How many transforms there are, and the one at a place: CBC with each hash, GCM with each ICV, by key
 * length. */
size_t xfrm_try_count(void);
struct esp_suite xfrm_try_suite(size_t at);
/* "esp-aes 256 esp-sha256-hmac", "esp-gcm 128 icv 16". */
void xfrm_try_name(const struct esp_suite *suite, char out[DATAPATH_ABILITY_NAME_MAX]);
/* The SA for a try: owned by this instance, so a crash in between leaves nothing. Pure. */
err_t xfrm_try_sa(const struct xfrm_site *site, const struct esp_suite *suite, struct xfrm_sa *out) MUST_USE;
/* E_OK: the kernel took it. Else the kernel's refusal: E_UNSUPPORTED, E_NOT_FOUND (cipher), E_PERMISSION. */
err_t xfrm_try(struct xfrm_socket *xfrm, const struct xfrm_site *site,
               const struct esp_suite *suite) MUST_USE;

#endif
