#!/usr/bin/env bash
# Git: `ls-tree -r TREE` lists nothing when it runs in a subfolder, without an error.
#
# Guess: a tree that is named by its hash is listed whole, wherever in the repository the command runs.
# Behaviour: the folder's own path is taken for a pattern below TREE. With the tree of that very folder, which has no such
#   path in it, the list is empty and the exit code 0: a check of the list finds nothing wrong. `--full-tree` lists it.
# Seen with: git 2.39.5 (Debian bookworm).
# Needs: git. Exits 0 as long as it behaves so.
#
# Output:
#   in the top folder:            1 file
#   in the folder of that tree:   0 files
#   there, with --full-tree:      1 file
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
export HOME=$scratch GIT_CONFIG_NOSYSTEM=1
cd -- "$scratch"
git init --quiet .
mkdir sub
echo x >sub/file
git add --all
git -c user.name=t -c user.email=t@localhost commit --quiet --message one
tree=$(git rev-parse HEAD:sub)

expect() { # WHAT EXPECTED ACTUAL
    printf '%-30s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

count() { wc -l | sed 's/^1$/1 file/; t; s/$/ files/'; }
expect "in the top folder" "1 file" "$(git ls-tree -r "$tree" | count)"
expect "in the folder of that tree" "0 files" "$(git -C sub ls-tree -r "$tree" | count)"
expect "there, with --full-tree" "1 file" "$(git -C sub ls-tree -r --full-tree "$tree" | count)"
