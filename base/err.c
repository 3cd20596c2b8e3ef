#include "base/err.h"

static const char *const names[ERR_COUNT] = {
    [E_OK] = "OK",
#define ERR(name, text) [E_##name] = #name,
#include "base/err.def"
#undef ERR
};

static const char *const texts[ERR_COUNT] = {
    [E_OK] = "success",
#define ERR(name, text) [E_##name] = text,
#include "base/err.def"
#undef ERR
};

const char *err_name(err_t err)
{
    return (unsigned)err < ERR_COUNT ? names[err] : "?";
}

const char *err_text(err_t err)
{
    return (unsigned)err < ERR_COUNT ? texts[err] : "an unknown error";
}
