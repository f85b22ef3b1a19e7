#!/usr/bin/env bash
# git: one gitlink that `.gitmodules` does not name keeps `git submodule update` from all submodules, but not a recursive clone.
#
# Guess: a tree with a commit in it (mode 160000) and no entry in `.gitmodules` cannot be cloned, or only that folder is missing;
#   and `git submodule update --init --recursive` gets the same as `git clone --recurse-submodules`.
# Behaviour: a plain clone has an empty folder and is clean. `git submodule update --init --recursive` exits with 128 and leaves every
#   submodule empty, also those that `.gitmodules` names; `git clone --recurse-submodules` gets them. With the path of the
#   submodule the update works too.
# Seen with: git 2.39.5 (Debian bookworm).
# Needs: git. Exits 0 as long as it behaves so.
#
# Output:
#   plain clone, status:                clean
#   plain clone, orphan's folder:       empty
#   submodule update, exit code:        128
#   submodule update, files:            none
#   recursive clone, exit code:         0
#   recursive clone, files:             file
#   submodule update -- sub, files:     file
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

files() { find "$1" -mindepth 1 -not -name .git -printf '%f' | grep . || echo "$2"; }
code() { "$@" >/dev/null 2>&1 && echo 0 || echo $?; }

git init --quiet "$scratch/inner"
echo one >"$scratch/inner/file"
git -C "$scratch/inner" add file
git -C "$scratch/inner" commit --quiet --message one
git init --quiet "$scratch/outer"
git -C "$scratch/outer" submodule --quiet add "$scratch/inner" sub
git -C "$scratch/outer" update-index --add --cacheinfo "160000,$(printf '1%.0s' {1..40}),orphan"
git -C "$scratch/outer" commit --quiet --message both

git clone --quiet "$scratch/outer" "$scratch/plain"
expect "plain clone, status" clean "$(git -C "$scratch/plain" status --porcelain | grep . || echo clean)"
expect "plain clone, orphan's folder" empty "$(files "$scratch/plain/orphan" empty)"
expect "submodule update, exit code" 128 "$(code git -C "$scratch/plain" submodule update --init --recursive)"
expect "submodule update, files" none "$(files "$scratch/plain/sub" none)"
expect "recursive clone, exit code" 0 "$(code git clone --recurse-submodules "$scratch/outer" "$scratch/deep")"
expect "recursive clone, files" file "$(files "$scratch/deep/sub" none)"
git -C "$scratch/plain" submodule --quiet update --init --recursive -- sub
expect "submodule update -- sub, files" file "$(files "$scratch/plain/sub" none)"
