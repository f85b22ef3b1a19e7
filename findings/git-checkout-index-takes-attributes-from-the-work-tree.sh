#!/usr/bin/env bash
# Git: an index of a subfolder's tree, written out by `checkout-index --prefix`, has other line ends than a checkout.
#
# Guess: `read-tree COMMIT:sub` into an index of its own and `checkout-index --all --prefix=OUT/` write the bytes that
#   `sub` has in a checkout: the attributes are in the tree, and in the index.
# Behaviour: `.gitattributes` is looked for in the work tree first, at the paths that the index has: the top's own stands
#   for the subfolder's, which is not read, and patterns with a folder in them no longer match. With `--work-tree` of an
#   empty folder, and an index that has the attributes above the subfolder at their places, the bytes are a checkout's.
# Seen with: git 2.39.5 (Debian bookworm).
# Needs: git. Exits 0 as long as it behaves so.
#
# Output:
#   line ends in a checkout:                own.bat crlf, sub/x.md crlf
#   read-tree of the subfolder's tree:      own.bat lf, sub/x.md lf
#   with the attributes at their places:    own.bat crlf, sub/x.md crlf
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
export HOME=$scratch GIT_CONFIG_NOSYSTEM=1
cd -- "$scratch"
git init --quiet origin
mkdir origin/sub
echo '/sub/*.md text eol=crlf' >origin/.gitattributes
echo '*.bat text eol=crlf' >origin/sub/.gitattributes
echo line | tee origin/sub/own.bat >origin/sub/x.md
git -C origin add --all 2>/dev/null
git -C origin -c user.name=t -c user.email=t@localhost commit --quiet --message one
git clone --quiet origin clone
cd clone

ends() { # FOLDER
    local file
    for file in own.bat x.md; do
        grep -q $'\r' "$1/$file" && echo crlf || echo lf
    done | paste -sd ' ' | sed 's/\(.*\) \(.*\)/own.bat \1, sub\/x.md \2/'
}

expect() { # WHAT EXPECTED ACTUAL
    printf '%-40s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

expect "line ends in a checkout" "own.bat crlf, sub/x.md crlf" "$(ends sub)"

export GIT_INDEX_FILE=$scratch/index
git read-tree HEAD:sub
git checkout-index --all --prefix="$scratch/plain/"
expect "read-tree of the subfolder's tree" "own.bat lf, sub/x.md lf" "$(ends "$scratch/plain")"

export GIT_INDEX_FILE=$scratch/whole
mkdir -- "$scratch/checked-out"
there=(git "--git-dir=$PWD/.git" "--work-tree=$scratch/checked-out" -C "$scratch/checked-out")
"${there[@]}" update-index --add --cacheinfo "100644,$(git rev-parse HEAD:.gitattributes),.gitattributes"
"${there[@]}" read-tree --prefix=sub/ HEAD:sub
"${there[@]}" checkout-index --all
expect "with the attributes at their places" "own.bat crlf, sub/x.md crlf" "$(ends "$scratch/checked-out/sub")"
