#!/usr/bin/env bash
# git: a committed `.gitmodules` decides whether `git status` sees what has changed in a submodule.
#
# Guess: `git status --porcelain --untracked-files=all` that prints nothing means that the work tree is the commit, as far as
#   the person's own settings go; what is committed is data.
# Behaviour: `submodule.NAME.ignore = all` in `.gitmodules`, which comes with a clone, hides changed files, new files and even another
#   commit in the submodule. `--ignore-submodules=none` shows them.
# Seen with: git 2.39.5 (Debian bookworm).
# Needs: git. Exits 0 as long as it behaves so.
#
# Output:
#   changed file, nothing ignored:       M sub
#   changed file, ignored:
#   another commit, ignored:
#   another commit, asked for:           M sub
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
export HOME=$scratch GIT_CONFIG_NOSYSTEM=1
git config --global protocol.file.allow always
git config --global user.name t
git config --global user.email t@localhost
git config --global init.defaultBranch main

expect() { # WHAT EXPECTED ACTUAL
    printf '%-36s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected '$2': it behaves otherwise now" >&2 && exit 1; }
}

status() { git -C "$scratch/outer" status --porcelain --untracked-files=all "$@"; }

git init --quiet "$scratch/inner"
echo one >"$scratch/inner/file"
git -C "$scratch/inner" add file
git -C "$scratch/inner" commit --quiet --message one
git init --quiet "$scratch/outer"
git -C "$scratch/outer" submodule --quiet add "$scratch/inner" sub
git -C "$scratch/outer" commit --quiet --message sub

echo two >"$scratch/outer/sub/file"
expect "changed file, nothing ignored" " M sub" "$(status)"

git -C "$scratch/outer" config --file .gitmodules submodule.sub.ignore all
git -C "$scratch/outer" add .gitmodules
git -C "$scratch/outer" commit --quiet --message ignore
expect "changed file, ignored" "" "$(status)"

git -C "$scratch/outer/sub" commit --quiet --all --message two
expect "another commit, ignored" "" "$(status)"
expect "another commit, asked for" " M sub" "$(status --ignore-submodules=none)"
