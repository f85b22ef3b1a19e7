#!/usr/bin/env bash
# BuildKit: a build gets the old bytes of a file that was replaced by another of the same size and mtime.
#
# Guess: each build sends its context, or at least a checksum of each file, so the image holds what the folder holds.
# Behaviour: the engine keeps the last context and compares paths, sizes, modes and times. Another content of equal size
#   and time is not sent, and the image has the old one; --no-cache does not help. The kept context is found by the base
#   name of the context's folder: a folder of that name elsewhere, of another project, takes its place.
# Seen with: Docker Engine 26.1.5, buildx 0.13.1 (Debian trixie), the docker driver.
# Needs: docker with buildx, and an engine. Exits 0 as long as it behaves so.
#
# Output:
#   first build:                        first
#   same path, other bytes:             first   (the folder holds: other)
#   the same with --no-cache:           first
#   another folder of the same name:    first   (that folder holds: third)
#   a folder of another name:           third
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
name=context-$(basename -- "$scratch")
printf 'FROM scratch\nCOPY file /\n' >"$scratch/Dockerfile"

build() { # FOLDER [FLAG]: print the file as the build saw it
    local folder=$1
    shift
    docker buildx build --quiet --file "$scratch/Dockerfile" --output "type=local,dest=$scratch/out" "$@" "$folder" >/dev/null
    cat -- "$scratch/out/file"
}

write() { # FOLDER CONTENT: five bytes, always of the same time
    mkdir -p -- "$1"
    printf %s "$2" >"$1/file"
    touch --date=@1000000000 -- "$1/file" "$1"
}

expect() { # WHAT EXPECTED ACTUAL
    printf '%-36s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

write "$scratch/one/$name" first
expect "first build" first "$(build "$scratch/one/$name")"
write "$scratch/one/$name" other
expect "same path, other bytes" first "$(build "$scratch/one/$name")"
expect "the same with --no-cache" first "$(build "$scratch/one/$name" --no-cache)"
write "$scratch/two/$name" third
expect "another folder of the same name" first "$(build "$scratch/two/$name")"
write "$scratch/two/$name-2" third
expect "a folder of another name" third "$(build "$scratch/two/$name-2")"
