#!/usr/bin/env bash
# Kubernetes on etcd and on kine (k3s's storage): when has a resourceVersion expired?
#
# Guess:     "410 Gone" comes from the storage: once the API server's compaction has passed a version, neither a list of
#            exactly that version nor a watch from it is served; before, both are. kine speaks etcd's protocol, so it is
#            compacted by the API server as etcd is.
# Behaviour: the two expire apart. A watch is judged by the API server's own memory: it is served from a version that etcd
#            has compacted already as long as that server saw the events itself, and refused after its restart, also where
#            the storage has it still. A list is judged by the storage. kine takes the API server's compaction and does
#            nothing: it compacts by itself, and never the last 1000 versions, so that a list of an old version goes
#            on being answered there. Who watches has to be ready for 410 at each restart of an API server; who lists
#            what it began to read earlier cannot test on k3s that it copes with 410.
#
# Seen with: Kubernetes 1.34.4, kine 0.17.5 with SQLite, etcd 3.5.16 (Debian trixie); API server with
#            --etcd-compaction-interval=15s.
# Output:
#   etcd: same server:     list of the old version 410, watch from it served
#   etcd: server restarted: list of the old version 410, watch from it 410
#   kine: same server:     list of the old version 200, watch from it served
#   kine: server restarted: list of the old version 200, watch from it 410
#
# Needs: Go 1.26, python3, openssl, an etcd (Debian's etcd-server); 4 GiB of room. Compiles an API server and kine, a
#        quarter of an hour on two cores, unless KUBE_APISERVER and KINE name them. Exits 1 if the behaviour changes.
set -euo pipefail
work=$(mktemp -d)
pids=()
trap '((!${#pids[@]})) || kill "${pids[@]}" 2>/dev/null || true; wait || true; rm -rf -- "$work"' EXIT
cd -- "$work"
export CGO_ENABLED=0 GOFLAGS=-mod=mod

make() { # FOLDER MODULE VERSION PACKAGE: compile PACKAGE into this folder
    mkdir "$1"
    (
        cd -- "$1"
        printf 'module x\n\ngo 1.26\n\nrequire %s %s\n' "$2" "$3" >go.mod
        printf '//go:build tools\n\npackage x\n\nimport _ "%s"\n' "$4" >tools.go
        # Kubernetes names its own parts by folders of its repository; those published have the same number.
        go mod download -json "$2@$3" | sed -n 's/.*"GoMod": "\(.*\)",/\1/p' | xargs cat |
            sed -n 's|^\t*\(k8s.io/[a-z-]*\) v0.0.0\( .*\)\?$|\1|p' | while read -r part; do
            go mod edit -replace="$part=$part@v0${3#v1}"
        done
        go mod tidy >/dev/null 2>&1
        go build -trimpath -gcflags=all=-dwarf=false -ldflags '-s -w' -o "$work/" "$4"
    )
}
if [[ ! -x ${KINE:-} ]]; then
    make kine-module github.com/k3s-io/kine v0.17.5 github.com/k3s-io/kine
    KINE=$work/kine
fi
if [[ ! -x ${KUBE_APISERVER:-} ]]; then
    make kubernetes k8s.io/kubernetes v1.34.4 k8s.io/kubernetes/cmd/kube-apiserver
    KUBE_APISERVER=$work/kube-apiserver
fi

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout tls.key -out tls.crt -subj /CN=api 2>/dev/null
openssl genrsa -out sa.key 2048 2>/dev/null
openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
echo 'token,person,1,system:masters' >tokens.csv

cat >ask.py <<'END'
"""ask.py PORT ready | make | list VERSION | watch VERSION: speak to the API server at PORT."""
import json, ssl, sys, time, urllib.error, urllib.request

PLACE = "/api/v1/namespaces/default/configmaps"
open_to = ssl._create_unverified_context()  # its certificate is of this minute


def ask(method, path, body=None, kind="application/json"):
    headers = {"Authorization": "Bearer token", "Content-Type": kind}
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(f"https://127.0.0.1:{sys.argv[1]}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(asked, context=open_to, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


what = sys.argv[2]
if what == "ready":
    ends = time.monotonic() + 180
    while True:
        try:
            if ask("GET", "/api/v1/namespaces/default")[0] == ask("GET", PLACE)[0] == 200:
                break
        except OSError:
            pass
        assert time.monotonic() < ends, "the API server does not come up"
        time.sleep(0.5)
elif what == "make":
    version = json.loads(ask("POST", PLACE, {"metadata": {"name": "one"}, "data": {"n": "0"}})[1])
    for number in range(1, 30):
        ask("PATCH", f"{PLACE}/one", {"data": {"n": str(number)}}, "application/merge-patch+json")
    print(version["metadata"]["resourceVersion"])
elif what == "list":
    print(ask("GET", f"{PLACE}?resourceVersion={sys.argv[3]}&resourceVersionMatch=Exact")[0])
else:
    told = ask("GET", f"{PLACE}?watch=1&resourceVersion={sys.argv[3]}&timeoutSeconds=3")[1].splitlines()
    events = [json.loads(line) for line in told]
    print(events[0]["object"]["code"] if events[0]["type"] == "ERROR" else "served")
END

free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

serve() { # STORAGE'S PORT, PORT: start an API server
    "$KUBE_APISERVER" --etcd-servers="http://127.0.0.1:$1" --secure-port="$2" --bind-address=127.0.0.1 \
        --advertise-address=127.0.0.1 --endpoint-reconciler-type=none --service-cluster-ip-range=10.9.0.0/24 \
        --tls-cert-file=tls.crt --tls-private-key-file=tls.key --service-account-issuer=https://api \
        --service-account-key-file=sa.pub --service-account-signing-key-file=sa.key --token-auth-file=tokens.csv \
        --authorization-mode=AlwaysAllow --etcd-compaction-interval=15s >>api.log 2>&1 &
    api=$!
    pids+=("$api")
    python3 ask.py "$2" ready
}

look() { # NAME PORT VERSION: the list's status, and what came of the watch
    printf '%s list of the old version %s, watch from it %s\n' "$1" \
        "$(python3 ask.py "$2" list "$3")" "$(python3 ask.py "$2" watch "$3")"
}

try() { # NAME STORAGE'S PORT
    local port version
    port=$(free)
    serve "$2" "$port"
    version=$(python3 ask.py "$port" make)
    sleep 50 # three compactions: the first only takes note of where the storage is
    look "$1: same server:    " "$port" "$version"
    kill "$api"
    wait "$api" || true
    serve "$2" "$port"
    look "$1: server restarted:" "$port" "$version"
    kill "$api"
    wait "$api" || true
}

port=$(free) peers=$(free)
etcd --data-dir etcd --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port" \
    --listen-peer-urls "http://127.0.0.1:$peers" --initial-advertise-peer-urls "http://127.0.0.1:$peers" \
    --initial-cluster "default=http://127.0.0.1:$peers" --log-level error >etcd.log 2>&1 &
pids+=("$!")
try etcd "$port" | tee seen
port=$(free)
"$KINE" --listen-address "127.0.0.1:$port" --metrics-bind-address 0 --endpoint "sqlite://$work/kine.db?_journal=WAL" \
    >kine.log 2>&1 &
pids+=("$!")
try kine "$port" | tee -a seen

diff seen - <<'END'
etcd: same server:     list of the old version 410, watch from it served
etcd: server restarted: list of the old version 410, watch from it 410
kine: same server:     list of the old version 200, watch from it served
kine: server restarted: list of the old version 200, watch from it 410
END
