#!/usr/bin/env bash
# kubectl set image, on a Deployment whose image a server-side apply owns: who owns it afterwards?
#
# Guess:     `set image` to the image that is there is a change of nobody's, and says 'image updated'. One to another image
#            takes the field; once somebody has set it back to what the apply says, all is as before, and the next apply
#            goes through.
# Behaviour: to the image that is there it prints nothing, sends nothing and exits 0. To another one it takes the field.
#            Set back to the apply's own value, the field has two owners: an apply of that value goes through, so that
#            all seems well, and the next one with a new image is refused for a conflict with whoever set it back.
#            --force-conflicts with the same value does not end that: both go on owning it.
#
# Seen with: Kubernetes 1.34.4 (API server and kubectl), etcd 3.5.16.
# Output:
#   set image to what is there:         exit 0, prints nothing
#   set to another image:               owned by rival
#   set back, owned by:                 rival
#   apply of the same value:            exit 0, owned by ours rival
#   apply of it with --force-conflicts: exit 0, owned by ours rival
#   apply of a new image:               exit 1, conflict with "rival"
#
# Needs: Go 1.26, openssl, an etcd (Debian's etcd-server); 4 GiB of room. Compiles an API server and kubectl, ten minutes
#        on two cores, unless KUBE_APISERVER and KUBECTL name them. Exits 1 if the behaviour changes.
set -euo pipefail
work=$(mktemp -d)
pids=()
trap '((!${#pids[@]})) || kill "${pids[@]}" 2>/dev/null || true; wait || true; rm -rf -- "$work"' EXIT
cd -- "$work"
if [[ ! -x ${KUBE_APISERVER:-} || ! -x ${KUBECTL:-} ]]; then
    printf 'module x\n\ngo 1.26\n\nrequire k8s.io/kubernetes v1.34.4\n' >go.mod
    printf '//go:build tools\n\npackage x\n\nimport (\n\t_ "k8s.io/kubernetes/cmd/%s"\n\t_ "k8s.io/kubernetes/cmd/%s"\n)\n' \
        kube-apiserver kubectl >tools.go
    # Kubernetes names its own parts by folders of its repository; those published have the same number.
    go mod download -json k8s.io/kubernetes@v1.34.4 | sed -n 's/.*"GoMod": "\(.*\)",/\1/p' | xargs cat |
        sed -n 's|^\t*\(k8s.io/[a-z-]*\) v0.0.0\( .*\)\?$|\1|p' | while read -r part; do
        go mod edit -replace="$part=$part@v0.34.4"
    done
    export CGO_ENABLED=0 GOFLAGS=-mod=mod
    go mod tidy >/dev/null 2>&1
    go build -trimpath -gcflags=all=-dwarf=false -ldflags '-s -w' -o . k8s.io/kubernetes/cmd/{kube-apiserver,kubectl}
    KUBE_APISERVER=$work/kube-apiserver KUBECTL=$work/kubectl
fi

free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
store=$(free) peers=$(free) port=$(free)
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout tls.key -out tls.crt -subj /CN=api -addext subjectAltName=IP:127.0.0.1 2>/dev/null
openssl genrsa -out sa.key 2048 2>/dev/null
openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
echo 'token,person,1,system:masters' >tokens.csv
etcd --data-dir etcd --log-level error --listen-client-urls "http://127.0.0.1:$store" \
    --advertise-client-urls "http://127.0.0.1:$store" --listen-peer-urls "http://127.0.0.1:$peers" \
    --initial-advertise-peer-urls "http://127.0.0.1:$peers" --initial-cluster "default=http://127.0.0.1:$peers" >etcd.log 2>&1 &
pids+=("$!")
"$KUBE_APISERVER" --etcd-servers="http://127.0.0.1:$store" --secure-port="$port" --bind-address=127.0.0.1 \
    --advertise-address=127.0.0.1 --endpoint-reconciler-type=none --service-cluster-ip-range=10.9.0.0/24 \
    --tls-cert-file=tls.crt --tls-private-key-file=tls.key --service-account-issuer=https://api \
    --service-account-key-file=sa.pub --service-account-signing-key-file=sa.key --token-auth-file=tokens.csv \
    --authorization-mode=AlwaysAllow >api.log 2>&1 &
pids+=("$!")
kubectl() {
    KUBECONFIG=/dev/null HOME=$work "$KUBECTL" --server="https://127.0.0.1:$port" --certificate-authority=tls.crt --token=token "$@"
}
for _ in {1..300}; do
    ! kubectl get namespace default >/dev/null 2>&1 || break
    sleep 0.5
done

apply() { # IMAGE FLAG...: our own apply
    kubectl apply --server-side --field-manager=ours "${@:2}" --filename=- 2>said >/dev/null <<END
apiVersion: apps/v1
kind: Deployment
metadata: {name: sf, namespace: default}
spec:
  replicas: 0
  selector: {matchLabels: {app: sf}}
  template:
    metadata: {labels: {app: sf}}
    spec: {containers: [{name: server, image: "$1"}]}
END
}
set_image() { kubectl set image deployment/sf "server=$1" --field-manager=rival; }
owners() { # of the image
    kubectl get deployment sf --output=json --show-managed-fields | python3 -c '
import json, sys
fields = json.load(sys.stdin)["metadata"]["managedFields"]
print(*sorted(entry["manager"] for entry in fields if "f:image\"" in json.dumps(entry["fieldsV1"])))'
}
expect() { # WHAT EXPECTED ACTUAL
    printf '%-36s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

apply r.lan/one:1
said=$(set_image r.lan/one:1) && code=$?
expect "set image to what is there" "exit 0, prints nothing" "exit $code, prints ${said:-nothing}"
set_image r.lan/two:1 >/dev/null
expect "set to another image" "owned by rival" "owned by $(owners)"
set_image r.lan/one:1 >/dev/null
expect "set back, owned by" rival "$(owners)"
apply r.lan/one:1 && code=$?
expect "apply of the same value" "exit 0, owned by ours rival" "exit $code, owned by $(owners)"
apply r.lan/one:1 --force-conflicts && code=$?
expect "apply of it with --force-conflicts" "exit 0, owned by ours rival" "exit $code, owned by $(owners)"
code=0
apply r.lan/three:1 || code=$?
expect "apply of a new image" 'exit 1, conflict with "rival"' "exit $code, $(grep -o 'conflict with "rival"' said)"
