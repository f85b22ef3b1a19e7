#!/usr/bin/env bash
# docker, live-restore: the exit code of a container that ends while the engine is down is kept, or it is 255.
#
# Guess: a container's shim outlives the engine and keeps its exit code and the time of its end. An engine that starts again
#   with live-restore reads them; what it shows as `exited` is what happened.
# Behaviour: that is so if containerd is a service of its own, as Debian's package sets it up. If dockerd has started
#   containerd itself (it finds no socket of one: `dockerd` by hand, in a container or in CI), containerd ends with it and
#   hears of no end. The container then is `Exited (255)`, also after a success, and has finished when the engine started.
#   255 is a code that a process can end with: nothing marks it as unknown. It makes no difference whether the engine was
#   stopped by SIGTERM or SIGKILL.
# Seen with: Docker Engine 26.1.5, containerd 1.7.24 (Debian trixie).
# Needs: root, unshare, ip, dockerd and containerd (of their own here), docker, busybox (static), and no socket in
#   /run/containerd, which dockerd would take. Exits 0 as long as it behaves so.
#
# Output:
#   containerd of its own, exit 0:     exited 0, finished before the engine started
#   containerd of its own, exit 3:     exited 3, finished before the engine started
#   dockerd starts containerd, exit 0: exited 255, finished after the engine started
#   dockerd starts containerd, exit 3: exited 255, finished after the engine started
set -euo pipefail
if [[ ${1:-} != inside ]]; then # an engine without a bridge deletes docker0 of the one beside it
    exec unshare --net -- bash "$0" inside
fi
ip link set lo up

scratch=$(mktemp -d)
export DOCKER_HOST=unix://$scratch/socket DOCKER_CONFIG=$scratch PATH=$PATH:/usr/sbin:/sbin
engine="" containerd=""
finish() {
    for pid in $engine $containerd; do kill "$pid" && wait "$pid" || true; done
    umount -- "$scratch"/data-* 2>/dev/null || true # live-restore leaves them mounted
    rm -rf -- "$scratch"
}
trap finish EXIT

cat >"$scratch/containerd.toml" <<END
version = 2
root = "$scratch/containerd"
state = "$scratch/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$scratch/containerd.sock"
END
containerd --config "$scratch/containerd.toml" >"$scratch/containerd.log" 2>&1 &
containerd=$!
mkdir -p -- "$scratch/root/bin" "$scratch/go"
cp -- "$(command -v busybox)" "$scratch/root/bin/busybox"

start() { # NAME [FLAG...]
    dockerd "${@:2}" --live-restore --pidfile "$scratch/pid" --data-root "$scratch/data-$1" --exec-root "$scratch/exec-$1" \
        --host "$DOCKER_HOST" --bridge=none --iptables=false --ip6tables=false >>"$scratch/log" 2>&1 &
    engine=$!
    for _ in {1..60}; do
        if docker version >/dev/null 2>&1; then return; fi
        sleep 1
    done
    tail -n 5 "$scratch/log" >&2 && exit 1
}
stop() { kill "$engine" && wait "$engine" || true; }

expect() { # WHAT EXPECTED CODE NAME [FLAG...]
    local init started status finished when=before seen
    start "${@:4}"
    docker image inspect busybox >/dev/null 2>&1 ||
        tar --create --directory "$scratch/root" . | docker import - busybox >/dev/null
    rm -f -- "$scratch/go/now"
    docker run --detach --name target --network none --volume "$scratch/go:/go" busybox \
        /bin/busybox sh -c "until [ -e /go/now ]; do /bin/busybox sleep 0.1; done; exit $3" >/dev/null
    init=$(docker inspect --format '{{.State.Pid}}' target)
    stop
    touch "$scratch/go/now"
    while [[ -e /proc/$init ]]; do sleep 0.1; done
    sleep 2
    started=$(date +%s)
    start "${@:4}"
    status=$(docker inspect --format '{{.State.Status}} {{.State.ExitCode}}' target)
    finished=$(date --date "$(docker inspect --format '{{.State.FinishedAt}}' target)" +%s)
    ((finished < started)) || when=after
    docker rm --force target >/dev/null
    stop
    seen="$status, finished $when the engine started"
    printf '%-35s%s\n' "$1:" "$seen"
    [[ $2 == "$seen" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

for code in 0 3; do
    expect "containerd of its own, exit $code" "exited $code, finished before the engine started" "$code" \
        separate --containerd "$scratch/containerd.sock"
done
for code in 0 3; do
    expect "dockerd starts containerd, exit $code" "exited 255, finished after the engine started" "$code" managed
done
engine=
