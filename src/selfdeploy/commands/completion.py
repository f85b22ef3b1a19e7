"""Shell completion of commands, flags, environments and revisions, by a script that starts no Python."""

from collections.abc import Mapping, Sequence

SHELLS = ("bash", "fish", "zsh")

DEFAULTS = ("test", "prod")
"""Environments of a project whose deploy.toml names none."""

BASH = r"""# selfdeploy: completion for bash; from: inv completion bash
_selfdeploy_environments() {
    local folder=$PWD found=
    while [[ ! -f $folder/deploy.toml && $folder == */* ]]; do folder=${folder%/*}; done
    [[ ! -f $folder/deploy.toml ]] ||
        found=$(sed -n 's/^\[environments\.\([a-z0-9-]*\)\].*/\1/p' "$folder/deploy.toml")
    printf '%s\n' ${found:-@DEFAULTS@}
}
_selfdeploy_flags() {
    case $1 in
@FLAGS@
    esac
}
_selfdeploy() {
    local word= command= before="${COMP_WORDS[COMP_CWORD-1]}" words="" line
    local present="${COMP_WORDS[COMP_CWORD]}"
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case " @COMMANDS@ " in *" $word "*) command=$word ;; esac
    done
    case $before in
        -e | --environment | --to | -t) words=$(_selfdeploy_environments) ;;
        -r | --revision) words=$(git log --format=%h --max-count=20 2>/dev/null) ;;
        *)
            if [[ -z $command ]]; then
                words="@COMMANDS@"
            elif [[ $present == -* ]]; then
                words=$(_selfdeploy_flags "$command")
            elif [[ ${COMP_WORDS[0]} == *selfdeploy && $(_selfdeploy_flags "$command") == *--environment* ]]; then
                words=$(_selfdeploy_environments)
            else
                words="@COMMANDS@"
            fi
            ;;
    esac
    COMPREPLY=()
    while IFS= read -r line; do [[ -z $line ]] || COMPREPLY+=("$line"); done < <(compgen -W "$words" -- "$present")
}
complete -o default -F _selfdeploy inv invoke selfdeploy
"""

ZSH = """# selfdeploy: completion for zsh; from: inv completion zsh
autoload -U +X compinit && compinit -u
autoload -U +X bashcompinit && bashcompinit
"""

FISH_ENVIRONMENTS = r"""# selfdeploy: completion for fish; from: inv completion fish
function __selfdeploy_environments
    set folder $PWD
    while not test -f "$folder/deploy.toml"; and test "$folder" != /
        set folder (dirname "$folder")
    end
    set found
    if test -f "$folder/deploy.toml"
        set found (sed -n 's/^\[environments\.\([a-z0-9-]*\)\].*/\1/p' "$folder/deploy.toml")
    end
    test -n "$found"; and printf '%s\n' $found; or printf '%s\n' @DEFAULTS@
end
"""

VALUES = {
    "environment": "(__selfdeploy_environments)",
    "to": "(__selfdeploy_environments)",
    "revision": "(git log --format=%h --max-count=20 2>/dev/null)",
}
"""Fish's suggestions for a flag's value."""


def script(shell: str, flags: Mapping[str, Sequence[Sequence[str]]]) -> str:
    """Return the completion script for SHELL.

    FLAGS lists, for each command, the names of each of its flags, without dashes.
    """
    return _fish(flags) if shell == "fish" else (ZSH if shell == "zsh" else "") + _bash(flags)


def _bash(flags: Mapping[str, Sequence[Sequence[str]]]) -> str:
    cases = [
        f"        {command}) printf '%s\\n' {' '.join(sorted(_dashed(name) for names in given for name in names))} ;;"
        for command, given in sorted(flags.items())
    ]
    text = BASH.replace("@FLAGS@", "\n".join(cases)).replace("@COMMANDS@", " ".join(sorted(flags)))
    return text.replace("@DEFAULTS@", " ".join(DEFAULTS))


def _fish(flags: Mapping[str, Sequence[Sequence[str]]]) -> str:
    lines = [FISH_ENVIRONMENTS.replace("@DEFAULTS@", " ".join(DEFAULTS))]
    commands = " ".join(sorted(flags))
    for program in ("inv", "selfdeploy"):
        none = f"not __fish_seen_subcommand_from {commands}"
        lines.append(f"complete -c {program} -f -n '{none}' -a '{commands}'")
        for command, given in sorted(flags.items()):
            seen = f"__fish_seen_subcommand_from {command}"
            for names in given:
                options = " ".join(f"-{'s' if len(name) == 1 else 'l'} {name}" for name in names)
                values = next((f" -x -a '{VALUES[name]}'" for name in names if name in VALUES), "")
                lines.append(f"complete -c {program} -f -n '{seen}' {options}{values}")
            if program == "selfdeploy" and any("environment" in names for names in given):
                lines.append(f"complete -c {program} -f -n '{seen}' -a '(__selfdeploy_environments)'")
    return "\n".join(lines) + "\n"


def _dashed(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{name}"
