# SPDX-License-Identifier: Apache-2.0
# Completes the commands and options of idemctl in bash: both are read from its own help.
_idemctl() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
    case $before in
    --as) mapfile -t COMPREPLY < <(compgen -W "done not-done retry" -- "$word"); return ;;
    --state) mapfile -t COMPREPLY < <(compgen -W "running record tombstone unknown damaged" -- "$word"); return ;;
    --secret | --password-file) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    --become) mapfile -t COMPREPLY < <(compgen -u -- "$word"); return ;;
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$(idemctl --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')" -- "$word")
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(idemctl "$command" --help 2>/dev/null | sed -n 's/^  \(--[a-z-]*\) .*/\1/p')" -- "$word")
    elif [ "$command" = import ]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -F _idemctl idemctl
