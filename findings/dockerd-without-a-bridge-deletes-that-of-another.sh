#!/usr/bin/env bash
# A second Docker Engine with --bridge=none: does it leave the bridge of the engine beside it alone?
#
# Guess: with `--bridge=none` and --iptables=false, folders, pidfile and socket of its own, an engine makes no network, so
#   that a host's engine goes on beside it as if it were not there.
# Behaviour: at its start it deletes the interface docker0, whose soever it is. The other engine notices nothing: its
#   containers go on without a way out, `docker network inspect bridge` is as before, and each new container on the
#   default network fails: 'adding interface ... to bridge docker0 failed'. Networks that Compose made go on. A second
#   engine wants a network namespace of its own (`unshare --net`), or a bridge of its own name.
# Seen with: Docker Engine 26.1.5, containerd 1.7.24 (Debian trixie).
# Needs: root, dockerd, containerd, unshare, ip, a static busybox. It all happens in a network namespace of its own.
#
# Output:
#   docker0 with the first engine:          there
#   a container before the second starts:   runs
#   docker0 with the second engine:         gone
#   a container after it:                   adding interface to bridge docker0 failed
set -euo pipefail
if [[ ${1:-} != inside ]]; then
    exec unshare --net --mount -- bash "$0" inside
fi

scratch=$(mktemp -d)
export PATH=$PATH:/usr/sbin:/sbin DOCKER_CONFIG=$scratch
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" && wait "$pid" || true; done
    rm -rf -- "$scratch"
}
trap finish EXIT
mount --make-rprivate /
mount -t tmpfs none /run/netns 2>/dev/null || true
ip link set lo up

engine() { # NAME FLAG...: start one with its own containerd, and wait for it
    local at=$scratch/$1
    mkdir "$at"
    dockerd --pidfile "$at/pid" --data-root "$at/data" --exec-root "$at/exec" --host "unix://$at/socket" "${@:2}" >"$at/log" 2>&1 &
    pids+=("$!")
    for _ in {1..60}; do
        if docker --host "unix://$at/socket" version >/dev/null 2>&1; then return; fi
        sleep 1
    done
    tail -n 5 "$at/log" >&2 && exit 1
}
first() { docker --host "unix://$scratch/first/socket" "$@"; }
bridge() { if ip link show docker0 >/dev/null 2>&1; then echo there; else echo gone; fi; }
try() { # a container on the default network: what came of it
    local said
    if said=$(first run --rm busybox /bin/busybox echo runs 2>&1); then
        echo "$said"
    else
        grep -o 'adding interface .* to bridge docker0 failed' <<<"$said" | sed 's/interface veth[0-9a-f]*/interface/'
    fi
}
expect() { # WHAT EXPECTED ACTUAL
    printf '%-40s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

engine first
tar --create --directory / --dereference "$(command -v busybox | cut -c2-)" --transform 's,.*,bin/busybox,' | first import - busybox >/dev/null
expect "docker0 with the first engine" there "$(bridge)"
expect "a container before the second starts" runs "$(try)"
engine second --bridge=none --iptables=false --ip6tables=false
expect "docker0 with the second engine" gone "$(bridge)"
expect "a container after it" "adding interface to bridge docker0 failed" "$(try)"
