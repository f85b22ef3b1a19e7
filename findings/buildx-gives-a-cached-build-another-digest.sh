#!/usr/bin/env bash
# buildx --push to a registry: each run of a build that is CACHED throughout pushes another digest.
#
# Guess: a second build of the same folder, all of it CACHED, pushes the digest of the first. `containerimage.digest` of
#   --metadata-file is the image's digest, `containerimage.config.digest` that of its config. The command alone decides.
# Behaviour: the engine's store decides. With the classic store it is as guessed. With the containerd store (the default
#   of new installations since Docker 29) buildx adds provenance unasked, which has the time and the random id of the
#   build. Both keys then name the digest of an index, and it is another one in each run. The image in the index is the
#   same. A SOURCE_DATE_EPOCH changes nothing, nor does --provenance=mode=min. --provenance=false is as guessed.
# Seen with: Docker Engine 26.1.5, buildx 0.13.1 (Debian trixie), docker-registry 2.8.2. A buildkitd 0.34.2 behind the
#   remote driver of buildx 0.13.1 or 0.29.1 does the same; buildctl adds no provenance unasked: the same digest.
# Needs: root, unshare, ip, dockerd (two engines are started, in a network namespace of their own), docker with buildx,
#   docker-registry, curl, python3. Exits 0 as long as it behaves so.
#
# Output:
#   classic store:                        same digest, an image, config.digest is another
#   containerd store:                     other digest, an index, config.digest is the same; same image in both
#   containerd store, SOURCE_DATE_EPOCH:  other digest, an index, config.digest is the same; same image in both
#   containerd store, mode=min:           other digest, an index, config.digest is the same; same image in both
#   containerd store, --provenance=false: same digest, an image, config.digest is another
set -euo pipefail
if [[ ${1:-} != inside ]]; then # an engine without a bridge deletes docker0 of the one beside it
    exec unshare --net -- bash "$0" inside
fi
ip link set lo up

scratch=$(mktemp -d)
pids=()
finish() {
    ((!${#pids[@]})) || kill "${pids[@]}" && wait "${pids[@]}" || true
    rm -rf -- "$scratch"
}
trap finish EXIT

port=$((20000 + RANDOM % 20000))
cat >"$scratch/registry.yml" <<END
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $scratch/registry}}
http: {addr: "127.0.0.1:$port", secret: finding}
END
docker-registry serve "$scratch/registry.yml" >"$scratch/registry.log" 2>&1 &
pids+=($!)

engine() { # NAME CONTAINERD-STORE: start an engine, and wait until it answers
    mkdir -- "$scratch/$1"
    echo "{\"features\": {\"containerd-snapshotter\": $2}}" >"$scratch/$1/daemon.json"
    PATH=$PATH:/usr/sbin:/sbin dockerd --config-file "$scratch/$1/daemon.json" --pidfile "$scratch/$1/pid" \
        --data-root "$scratch/$1/data" --exec-root "$scratch/$1/exec" --host "unix://$scratch/$1/socket" \
        --bridge=none --iptables=false --ip6tables=false >"$scratch/$1/log" 2>&1 &
    pids+=($!)
    for _ in {1..60}; do
        if DOCKER_HOST=unix://$scratch/$1/socket docker version >/dev/null 2>&1; then return; fi
        sleep 1
    done
    tail -n 5 "$scratch/$1/log" >&2 && exit 1
}
engine classic false
engine containerd true

mkdir -- "$scratch/context"
echo "$scratch" >"$scratch/context/file"
printf 'FROM scratch\nCOPY file /\n' >"$scratch/context/Dockerfile"

push() { # ENGINE TAG [FLAG...]: build, push, and keep the metadata and the manifest
    DOCKER_CONFIG=$scratch DOCKER_HOST=unix://$scratch/$1/socket docker buildx build --push "${@:3}" \
        --tag "127.0.0.1:$port/finding:$2" --metadata-file "$scratch/metadata-$2" "$scratch/context" >"$scratch/build-$2" 2>&1
    curl -sf -H 'Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json' \
        -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' \
        "http://127.0.0.1:$port/v2/finding/manifests/$2" >"$scratch/manifest-$2"
}
compare() { # compare the last two pushes
    python3 - "$scratch" <<'END'
import hashlib, json, pathlib, sys

folder = pathlib.Path(sys.argv[1])
metadata = [json.loads((folder / f"metadata-{n}").read_text()) for n in (1, 2)]
bodies = [(folder / f"manifest-{n}").read_bytes() for n in (1, 2)]
digests = [entry["containerimage.digest"] for entry in metadata]
assert digests == ["sha256:" + hashlib.sha256(body).hexdigest() for body in bodies], "not the digest of what was pushed"
listed = [json.loads(body).get("manifests", []) for body in bodies]
images = [[image["digest"] for image in images if image["platform"]["os"] == "linux"] for images in listed]
digest = "same digest" if digests[0] == digests[1] else "other digest"
kind = "an index" if images[0] else "an image"
config = "the same" if metadata[1]["containerimage.config.digest"] == digests[1] else "another"
print(f"{digest}, {kind}, config.digest is {config}", end="")
print("; same image in both" if images[0] and images[0] == images[1] else "")
END
}
expect() { # WHAT EXPECTED ENGINE [FLAG...]
    local seen
    push "$3" 1 "${@:4}"
    push "$3" 2 "${@:4}"
    grep -q CACHED "$scratch/build-2"
    seen=$(compare)
    printf '%-38s%s\n' "$1:" "$seen"
    [[ $seen == "$2" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

image="same digest, an image, config.digest is another"
index="other digest, an index, config.digest is the same; same image in both"
expect "classic store" "$image" classic
expect "containerd store" "$index" containerd
SOURCE_DATE_EPOCH=1000000000 expect "containerd store, SOURCE_DATE_EPOCH" "$index" containerd
expect "containerd store, mode=min" "$index" containerd --provenance=mode=min
expect "containerd store, --provenance=false" "$image" containerd --provenance=false
