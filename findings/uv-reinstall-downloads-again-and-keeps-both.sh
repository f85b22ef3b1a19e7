#!/usr/bin/env bash
# uv: `uv pip install --reinstall` (nox and pip say --force-reinstall) downloads a wheel that its cache has, and keeps both.
#
# Guess: what is to be installed again comes from uv's cache, as with pip; the wheel is unpacked there once, however often
#   it is installed.
# Behaviour: --reinstall implies --refresh: the wheel is downloaded again, unpacked beside the one that is there, and the
#   cache keeps the two until `uv cache prune`. Where each build environment is made with it, the cache grows by the size
#   of its packages each time. A plain install into a new environment takes the wheel from the cache.
# Seen with: uv 0.13.9, six 1.17.0, Python 3.11.
# Needs: python3 with venv, and a package index. Exits 0 as long as it behaves so.
#
# Output:
#   unpacked wheels after an install:                   1
#   after a second environment:                         1
#   after --reinstall, three times:                     4
#   after uv cache prune:                               1
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
export UV_CACHE_DIR=$scratch/cache
python3 -m venv "$scratch/tools"
UV_CACHE_DIR='' "$scratch/tools/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
uv=$scratch/tools/bin/uv

install() { # NAME [OPTION]
    "$uv" pip install --quiet "${@:2}" --python "$scratch/$1/bin/python" six==1.17.0
}

unpacked() {
    find "$UV_CACHE_DIR/archive-v0" -mindepth 2 -maxdepth 2 -name 'six-*.dist-info' | wc -l
}

expect() { # TEXT EXPECTED
    local actual
    actual=$(unpacked)
    printf '%-52s%s\n' "$1" "$actual"
    [[ $actual == "$2" ]] || { echo "expected $2" >&2 && exit 1; }
}

for name in first second; do "$uv" venv --quiet --python "$(command -v python3)" "$scratch/$name"; done
install first
expect 'unpacked wheels after an install:' 1
install second
expect 'after a second environment:' 1
for _ in 1 2 3; do install second --reinstall; done
expect 'after --reinstall, three times:' 4
"$uv" cache prune --quiet
expect 'after uv cache prune:' 1
