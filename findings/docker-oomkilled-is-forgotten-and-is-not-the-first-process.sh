#!/usr/bin/env bash
# Docker: `State.OOMKilled` is true of a container that runs on well, and false of one that is killed again and again.
#
# Guess: it says that the container ended because it met its memory limit, and stays until the container is started by hand.
# Behaviour: any process of the container that the kernel kills for lack of memory sets it, also while the first process
#   lives and serves. A restart by the restart policy resets it: of a container that is killed in a loop, most looks find
#   `running false`; only one between its end and its restart (`restarting true 137`), or right after the kill, tells.
# Seen with: Docker Engine 26.1.5 (Debian trixie), cgroup v1.
# Needs: docker and an engine; busybox-static comes from Debian. Exits 0 as long as it behaves so.
#
# Output:
#   a child was killed, the first process lives:  running true 0
#   killed at its limit, and restarted:           running false, restarts: 1
set -euo pipefail

scratch=$(mktemp -d)
name=finding-oom-$$
trap 'docker rm --force "$name" >/dev/null 2>&1; docker image rm "$name" >/dev/null 2>&1; rm -rf -- "$scratch"' EXIT
cd -- "$scratch"
apt-get download busybox-static >/dev/null 2>&1
dpkg -x busybox-static_*.deb root
mkdir -p root/proc root/dev
tar -C root -c . | docker import - "$name" >/dev/null
hog='/bin/busybox tail -n 1 /dev/zero' # keeps all that it reads, as no line ends

look() { docker inspect --format '{{.State.Status}} {{.State.OOMKilled}} {{.State.ExitCode}}' "$name"; }
until_it_is() { # WHAT COMMAND...: run COMMAND until it prints WHAT, for at most a minute
    for _ in $(seq 300); do
        if [ "$("${@:2}")" = "$1" ]; then return; fi
        sleep 0.2
    done
    echo "changed: never '$1' but '$("${@:2}")'"
    exit 1
}

docker run --detach --name "$name" --memory 16m --memory-swap 16m "$name" \
    /bin/busybox sh -c "$hog; exec /bin/busybox sleep 300" >/dev/null
until_it_is 'running true 0' look
echo "a child was killed, the first process lives:  $(look)"
docker rm --force "$name" >/dev/null

docker run --detach --name "$name" --memory 16m --memory-swap 16m --restart on-failure:1 "$name" \
    /bin/busybox sh -c "if [ -e /twice ]; then exec /bin/busybox sleep 300; fi; : >/twice; exec $hog" >/dev/null
until_it_is 1 docker inspect --format '{{.RestartCount}}' "$name"
until_it_is 'running false 0' look
echo "killed at its limit, and restarted:           running false, restarts: 1"
