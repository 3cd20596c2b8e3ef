#include "cluster/level.h"

const struct level_build level_own = {.level = CLUSTER_LEVEL,
                                      .of_command = {
#define COMMAND(name, number, level, text) [number] = (level),
#include "cluster/command.def"
#undef COMMAND
                                      }};

#define COMMAND(name, number, level, text)                                                                   \
    _Static_assert((level) >= 1 && (level) <= CLUSTER_LEVEL, "a command of this build has its level at "     \
                                                             "most");
#include "cluster/command.def"
#undef COMMAND

uint32_t level_of_command(const struct level_build *build, unsigned number)
{
    return number < COMMAND_NUMBERS ? build->of_command[number] : 0;
}

bool level_knows(const struct level_build *build, unsigned number)
{
    uint32_t level = level_of_command(build, number);
    return level != 0 && level <= build->level;
}

/* A command that the build does not know is of a higher level than the build's, which is the cluster's at
 * least. */
err_t level_allows(const struct level_build *build, uint32_t cluster_level, unsigned number)
{
    return level_knows(build, number) && level_of_command(build, number) <= cluster_level ? E_OK
                                                                                          : E_UNSUPPORTED;
}
