#!/usr/bin/env bash
# BuildKit: COPY of a file whose time alone has changed is CACHED, and the image has the file's earlier time.
#
# Guess: COPY keeps mtimes, so another mtime in the context makes another layer; equal contexts make equal layers on each
#   machine.
# Behaviour: what COPY is remembered by has paths, modes, owners and content, but no times. The result of the first build
#   is taken, with the first build's times, also for a context that was sent anew. So the digest of an image depends on
#   what this engine has built before. A source path of another name is another instruction, and gets the new time.
# Seen with: Docker Engine 26.1.5, buildx 0.13.1 (Debian trixie), the docker driver.
# Needs: docker with buildx, and an engine. Exits 0 as long as it behaves so.
#
# Output:
#   first build:                        1000000000
#   later time, context sent anew:      1000000000   (the folder holds: 1500000000)
#   later time, another source path:    1500000000
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
unique=$(basename -- "$scratch")

build() { # CONTEXT FOLDER TIME: print the time that the file has in the image
    mkdir -p -- "$scratch/$1/$2"
    printf %s "$unique" >"$scratch/$1/$2/file"
    touch --date="@$3" -- "$scratch/$1/$2/file" "$scratch/$1/$2"
    printf 'FROM scratch\nCOPY %s /\n' "$2" >"$scratch/Dockerfile"
    docker buildx build --quiet --file "$scratch/Dockerfile" --output "type=local,dest=$scratch/out" "$scratch/$1" >/dev/null
    stat --format=%Y -- "$scratch/out/file"
}

expect() { # WHAT EXPECTED ACTUAL
    printf '%-36s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

expect "first build" 1000000000 "$(build "$unique-1" tree 1000000000)"
expect "later time, context sent anew" 1000000000 "$(build "$unique-2" tree 1500000000)"
expect "later time, another source path" 1500000000 "$(build "$unique-3" "tree-$unique" 1500000000)"
