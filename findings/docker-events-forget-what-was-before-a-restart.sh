#!/usr/bin/env bash
# docker events --since: what was before the engine's start, or ended while it was down, is missing, and exit 0 hides it.
#
# Guess: `docker events` ends when the engine stops, and a client that asks again with --since gets what it missed: the
#   events are on disk, or an answer with a gap says so. A container that ended meanwhile, as live-restore allows, has
#   its `die` event at the latest when the engine finds that out.
# Behaviour: the client ends with 1 and 'unexpected EOF'. The engine keeps events in memory only. After its start --since
#   with an earlier time answers at once, with nothing, without a warning, and exits 0. A container that ended while the
#   engine was down never has a `die`. Only its state has changed: to watch over a restart is to list containers again.
# Seen with: Docker Engine 26.1.5, client 28.2.2, containerd 1.7.24 (Debian trixie).
# Needs: root, unshare, dockerd and containerd (of their own here, in a network namespace), docker, busybox (static).
#   Exits 0 as long as it behaves so.
#
# Output:
#   the client that was there:              exit 1, unexpected EOF
#   --since before, after the restart:      exit 0, 0 lines
#   die of what ended meanwhile:            0 events
#   its state:                              exited
#   die of what ends afterwards:            1 events
set -euo pipefail

scratch=$(mktemp -d)
export DOCKER_HOST=unix://$scratch/socket DOCKER_CONFIG=$scratch PATH=$PATH:/usr/sbin:/sbin
cat >"$scratch/containerd.toml" <<END
version = 2
root = "$scratch/containerd"
state = "$scratch/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$scratch/containerd.sock"
END
containerd --config "$scratch/containerd.toml" >"$scratch/containerd.log" 2>&1 & # outlives the engine, as Debian's service
containerd=$!
engine=
finish() {
    docker rm --force early late >/dev/null 2>&1 || true
    for pid in $engine $containerd; do kill "$pid" && wait "$pid" || true; done
    umount -- "$scratch/data" 2>/dev/null || true # live-restore leaves it mounted
    rm -rf -- "$scratch"
}
trap finish EXIT

start() { # without a bridge: it would delete docker0 of the engine beside it
    unshare --net -- dockerd --containerd "$scratch/containerd.sock" --pidfile "$scratch/pid" --data-root "$scratch/data" \
        --exec-root "$scratch/exec" --host "$DOCKER_HOST" --bridge=none --iptables=false --ip6tables=false \
        --live-restore >>"$scratch/log" 2>&1 &
    engine=$!
    for _ in {1..60}; do
        if docker version >/dev/null 2>&1; then return; fi
        sleep 1
    done
    tail -n 5 "$scratch/log" >&2 && exit 1
}
run() { # NAME: a container that ends when it is told to
    docker run --detach --name "$1" --network none --volume "$scratch/go:/go" busybox \
        /bin/busybox sh -c "until [ -e /go/$1 ]; do /bin/busybox sleep 0.1; done; exit 3" >/dev/null
}
since() { docker events --since "$began" --until "$(date +%s)" --filter type=container "$@"; }
expect() { # WHAT EXPECTED ACTUAL
    printf '%-40s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

mkdir -p -- "$scratch/root/bin" "$scratch/go"
cp -- "$(command -v busybox)" "$scratch/root/bin/busybox"
start
tar --create --directory "$scratch/root" . | docker import - busybox >/dev/null
began=$(date +%s)
docker events >"$scratch/events" 2>"$scratch/error" &
client=$!
run early
run late
init=$(docker inspect --format '{{.State.Pid}}' early)
grep -q . <(since)

kill "$engine" && wait "$engine" || true
code=0 && wait "$client" || code=$?
touch "$scratch/go/early" # and now it ends
while [[ -e /proc/$init ]]; do sleep 0.1; done
sleep 1
start

expect "the client that was there" "exit 1, unexpected EOF" "exit $code, $(cat "$scratch/error")"
code=0 && since >"$scratch/after" || code=$?
expect "--since before, after the restart" "exit 0, 0 lines" "exit $code, $(wc -l <"$scratch/after") lines"
die() { sleep 1.5 && since --filter event=die --filter "container=$1" | wc -l; }
expect "die of what ended meanwhile" "0 events" "$(die early) events"
expect "its state" "exited" "$(docker inspect --format '{{.State.Status}}' early)"
touch "$scratch/go/late"
docker wait late >/dev/null
expect "die of what ends afterwards" "1 events" "$(die late) events"
