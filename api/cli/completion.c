/* completion.c - 'ksctl completion bash': a script that knows the commands; names of groups it asks the
 * server for. */
#include "api/cli/ksctl.h"

static const char head[] =
    "# bash completion for ksctl: source <(ksctl completion bash)\n"
    "_ksctl()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} i\n"
    "    local -a words typed=() found=()\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        # options and their values stand before the first word of a command\n"
    "        if [[ ${#typed[@]} -gt 0 || ${COMP_WORDS[i]} =~ ^(show|rekey|cluster|help|completion)$ ]]; "
    "then\n"
    "            typed+=(\"${COMP_WORDS[i]}\")\n"
    "        fi\n"
    "    done\n"
    "    while read -ra words; do\n"
    "        for ((i = 0; i < ${#typed[@]}; i++)); do\n"
    "            [[ ${words[i]} == \"${typed[i]}\" || ${words[i]} == [A-Z]* ]] || continue 2\n"
    "        done\n"
    "        case ${words[i]} in\n"
    "        GROUP) found+=($(ksctl completion groups 2>/dev/null)) ;;\n"
    "        FILE) found+=($(compgen -f -- \"$cur\")) ;;\n"
    "        '' | [A-Z]*) ;;\n"
    "        *) found+=(\"${words[i]}\") ;;\n"
    "        esac\n"
    "    done <<'COMMANDS'\n";

static const char tail[] = "help\n"
                           "completion bash\n"
                           "COMMANDS\n"
                           "    [[ ${#typed[@]} -gt 0 ]] || found+=(json)\n"
                           "    COMPREPLY=($(compgen -W \"${found[*]}\" -- \"$cur\" | sort -u))\n"
                           "}\n"
                           "complete -F _ksctl ksctl\n";

void completion_bash(FILE *out)
{
    fputs(head, out);
    for (size_t i = 0; command_words(i) != NULL; i++)
        fprintf(out, "%s\n", command_words(i));
    fputs(tail, out);
}
