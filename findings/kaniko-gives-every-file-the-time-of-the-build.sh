#!/usr/bin/env bash
# kaniko: COPY gives every file the time of the build; --reproducible gives 1970 to every file, those of the base too.
#
# Guess: COPY keeps the times of the context, so equal folders make equal layers; --reproducible only does away with the
#   rest (the folder /, the time of the image), or SOURCE_DATE_EPOCH does.
# Behaviour: files, folders and links have the time at which kaniko wrote them, so each build has other layers. It reads no
#   SOURCE_DATE_EPOCH. With --reproducible two builds have one digest: all files of all layers are of 1970. The layers of
#   the base are made anew, so the image is not on the base image any more, and two contents of one file have one time.
# Seen with: kaniko 1.24.0 on Docker Engine 26.1.5, docker-registry 2.8.2.
# Needs: docker, docker-registry, curl, and Go for the first compile of tests/lab/tools. Exits 0 as long as it behaves so.
#
# Output:
#   plain, twice:             another layer, of now; on the base's layer
#   --reproducible, twice:    the same layer, of 1970; on a layer of its own
set -euo pipefail
here=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
scratch=$(mktemp -d)
image=finding-kaniko-$(basename -- "$scratch" | tr '[:upper:]' '[:lower:]' | tr . -)
trap 'kill "${server:-}" 2>/dev/null || true; docker rmi --force "$image" >/dev/null 2>&1 || true; rm -rf -- "$scratch"' EXIT

port=$((20000 + RANDOM % 20000))
cat >"$scratch/config.yml" <<END
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $scratch/data}}
http: {addr: "127.0.0.1:$port"}
END
docker-registry serve "$scratch/config.yml" >"$scratch/log" 2>&1 &
server=$!
curl -sf --retry 50 --retry-delay 1 --retry-connrefused -o /dev/null "http://127.0.0.1:$port/v2/"

mkdir "$scratch/executor" "$scratch/base" "$scratch/context"
cp -- "$("$here/../tests/lab/tools/build" kaniko | tail -n 1)/executor" "$scratch/executor/"
cat >"$scratch/executor/Dockerfile" <<'END'
FROM scratch
COPY executor /kaniko/executor
ENV HOME=/root USER=root PATH=/kaniko SSL_CERT_DIR=/kaniko/ssl/certs
WORKDIR /workspace
ENTRYPOINT ["/kaniko/executor"]
END
docker build --quiet --tag "$image" "$scratch/executor" >/dev/null

build() { # FOLDER NAME [FLAG]: push the image NAME of FOLDER
    touch --date=@1000000000 -- "$scratch/$1"/*
    tar --create --gzip --directory "$scratch/$1" . | docker run --rm --interactive --network host "$image" \
        --insecure --insecure-pull --context tar://stdin --dockerfile /kaniko/buildcontext/Dockerfile \
        --build-arg SOURCE_DATE_EPOCH=1000000000 --destination "127.0.0.1:$port/$2" "${@:3}" >"$scratch/said" 2>&1 ||
        { cat "$scratch/said" >&2 && exit 1; }
}
ACCEPT='application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'
layers() { # NAME: print the digest of each layer
    curl -sf -H "Accept: $ACCEPT" "http://127.0.0.1:$port/v2/$1/manifests/latest" |
        python3 -c 'import json, sys; print(*(one["digest"] for one in json.load(sys.stdin)["layers"]), sep="\n")'
}
year() { # NAME: print the year that the file has in the last layer
    curl -sf "http://127.0.0.1:$port/v2/$1/blobs/$(layers "$1" | tail -n 1)" >"$scratch/layer"
    TZ=UTC tar --list --verbose --gunzip --file "$scratch/layer" 2>/dev/null | awk '$6 ~ /file$/ {print substr($4, 1, 4)}'
}
describe() { # FLAG...
    build context one "$@"
    sleep 1.1
    build context two "$@"
    local same=another when=now below="a layer of its own"
    [[ $(layers one | tail -n 1) == "$(layers two | tail -n 1)" ]] && same="the same"
    [[ $(year two) == 1970 ]] && when=1970 || [[ $(year two) == "$(date -u +%Y)" ]]
    [[ $(layers two | head -n 1) == "$(layers base)" ]] && below="the base's layer"
    echo "$same layer, of $when; on $below"
}

echo base >"$scratch/base/below"
printf 'FROM scratch\nCOPY below /below\n' >"$scratch/base/Dockerfile"
build base base
echo one >"$scratch/context/file"
printf 'FROM 127.0.0.1:%s/base\nCOPY file /file\n' "$port" >"$scratch/context/Dockerfile"
echo "plain, twice:             $(describe | tee "$scratch/plain")"
echo "--reproducible, twice:    $(describe --reproducible | tee "$scratch/reproducible")"
[[ $(cat "$scratch/plain") == "another layer, of now; on the base's layer" ]]
[[ $(cat "$scratch/reproducible") == "the same layer, of 1970; on a layer of its own" ]]
