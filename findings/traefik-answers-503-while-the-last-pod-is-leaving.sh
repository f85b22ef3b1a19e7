#!/usr/bin/env bash
# Traefik 3 as Kubernetes' Ingress: where do requests go while pods are told to end, and still serve?
#
# Guess:     as kube-proxy does (KEP-1669): to pods that are ready; when there is none, to those that are terminating and
#            still serving, so that a pod with a preStop hook answers until it has ended, also where it is the only one.
# Behaviour: a pod that is terminating gets no new request while another is ready, as guessed. But when every pod of the
#            Service is terminating, Traefik answers 503 'no available server' itself, at once, though all of them would
#            still answer: it keeps such pods for clients with its sticky cookie only. Draining a last pod (strategy
#            Recreate, one replica that is deleted) keeps its open requests and saves no new one.
#            An endpoint that is not ready and serves, and is not terminating, gets requests: it goes by `serving` alone.
#
# Seen with: Traefik 3.6.12, Kubernetes 1.34.4 (its API server alone), etcd 3.5.16.
# Output:
#   both ready:                      one two
#   two terminating, serving:        one
#   two not ready, serving:          one two
#   two not serving:                 one
#   both terminating, serving:       503
#
# Needs: root, unshare, ip, Go 1.26, python3, openssl, curl, an etcd (Debian's etcd-server); 6 GiB of room. Compiles an API
#        server and Traefik, a quarter of an hour on two cores, unless KUBE_APISERVER and TRAEFIK name them. It all runs in a
#        network namespace of its own. Exits 1 if the behaviour changes.
set -euo pipefail
if [[ ${1:-} != inside ]]; then
    work=$(mktemp -d)
    trap 'rm -rf -- "$work"' EXIT
    make() { # FOLDER MODULE VERSION PACKAGE: compile PACKAGE into the folder of work
        mkdir -- "$work/$1"
        (
            cd -- "$work/$1"
            printf 'module x\n\ngo 1.26\n\nrequire %s %s\n' "$2" "$3" >go.mod
            printf '//go:build tools\n\npackage x\n\nimport _ "%s"\n' "$4" >tools.go
            # Kubernetes names its own parts by folders of its repository; those published have the same number.
            go mod download -json "$2@$3" | sed -n 's/.*"GoMod": "\(.*\)",/\1/p' | xargs cat |
                sed -n 's|^\t*\(k8s.io/[a-z-]*\) v0.0.0\( .*\)\?$|\1|p' | while read -r part; do
                go mod edit -replace="$part=$part@v0${3#v1}"
            done
            export CGO_ENABLED=0 GOFLAGS=-mod=mod
            go mod tidy >/dev/null 2>&1
            go build -trimpath -gcflags=all=-dwarf=false -ldflags '-s -w' -o "$work/" "$4"
        )
    }
    if [[ ! -x ${KUBE_APISERVER:-} ]]; then
        make kubernetes k8s.io/kubernetes v1.34.4 k8s.io/kubernetes/cmd/kube-apiserver
        KUBE_APISERVER=$work/kube-apiserver
    fi
    if [[ ! -x ${TRAEFIK:-} ]]; then
        make traefik-module github.com/traefik/traefik/v3 v3.6.12 github.com/traefik/traefik/v3/cmd/traefik
        TRAEFIK=$work/traefik
    fi
    export KUBE_APISERVER TRAEFIK
    unshare --net -- bash "$0" inside "$work"
    exit
fi

cd -- "$2"
pids=()
trap '((!${#pids[@]})) || kill "${pids[@]}" 2>/dev/null || true; wait || true' EXIT
ip link set lo up
for address in 192.0.2.1 192.0.2.2 192.0.2.3; do ip address add "$address/32" dev lo; done
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout tls.key -out tls.crt -subj /CN=api -addext subjectAltName=IP:192.0.2.3 2>/dev/null
openssl genrsa -out sa.key 2048 2>/dev/null
openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
echo 'token,person,1,system:masters' >tokens.csv
cat >kubeconfig <<END
apiVersion: v1
kind: Config
current-context: one
clusters: [{name: one, cluster: {server: "https://192.0.2.3:6443", certificate-authority: $2/tls.crt}}]
contexts: [{name: one, context: {cluster: one, user: one}}]
users: [{name: one, user: {token: token}}]
END
etcd --data-dir etcd --log-level error >etcd.log 2>&1 &
pids+=("$!")
"$KUBE_APISERVER" --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --bind-address=192.0.2.3 \
    --advertise-address=192.0.2.3 --endpoint-reconciler-type=none --service-cluster-ip-range=10.9.0.0/24 \
    --tls-cert-file=tls.crt --tls-private-key-file=tls.key --service-account-issuer=https://api \
    --service-account-key-file=sa.pub --service-account-signing-key-file=sa.key --token-auth-file=tokens.csv \
    --authorization-mode=AlwaysAllow >api.log 2>&1 &
pids+=("$!")
cat >serve.py <<'END'
import http.server, sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer((sys.argv[1], 8080), Handler).serve_forever()
END
python3 serve.py 192.0.2.1 one &
pids+=("$!")
python3 serve.py 192.0.2.2 two &
pids+=("$!")

api() { # METHOD PATH BODY: ask the API server; print the status
    curl --silent --insecure --max-time 10 --output answer --write-out '%{http_code}' --request "$1" \
        --header 'Authorization: Bearer token' --header "Content-Type: ${4:-application/json}" --data "$3" "https://192.0.2.3:6443$2" || true
}
apply() { # PATH BODY: server-side apply
    local status
    status=$(api PATCH "$1?fieldManager=one&force=true" "$2" application/apply-patch+yaml)
    [[ $status == 20* ]] || { cat answer >&2 && exit 1; }
}
for _ in {1..300}; do
    [[ $(api GET /api/v1/namespaces/default '') != 200 ]] || break
    sleep 0.5
done
apply /api/v1/namespaces/default/services/s '{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"name": "http", "port": 80}]}}'
apply /apis/networking.k8s.io/v1/namespaces/default/ingresses/i '{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"},
    "spec": {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"name": "http"}}}}]}}]}}'
KUBECONFIG=$2/kubeconfig "$TRAEFIK" --entrypoints.web.address=127.0.0.1:8000 --providers.kubernetesingress=true \
    --providers.providersthrottleduration=200ms --global.checknewversion=false --global.sendanonymoususage=false >traefik.log 2>&1 &
pids+=("$!")

endpoint() { # NAME ADDRESS READY SERVING TERMINATING
    apply "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/$1" "{\"apiVersion\": \"discovery.k8s.io/v1\", \"kind\": \"EndpointSlice\",
        \"metadata\": {\"name\": \"$1\", \"labels\": {\"kubernetes.io/service-name\": \"s\"}}, \"addressType\": \"IPv4\",
        \"ports\": [{\"name\": \"http\", \"port\": 8080, \"protocol\": \"TCP\"}],
        \"endpoints\": [{\"addresses\": [\"$2\"], \"conditions\": {\"ready\": $3, \"serving\": $4, \"terminating\": $5}}]}"
}
ask() { # who answers, of eight requests
    for _ in {1..8}; do
        curl --silent --max-time 5 --output body --write-out '%{http_code}' http://127.0.0.1:8000/ >code || true
        if [[ $(<code) == 200 ]]; then cat body && echo; else cat code && echo; fi
    done | sort -u | tr '\n' ' ' | sed 's/ $//'
}
expect() { # WHAT WHO: as soon as that is so, for what Traefik was told comes to it by and by
    local seen
    for _ in {1..40}; do
        seen=$(ask)
        [[ $seen != "$2" ]] || break
        sleep 0.5
    done
    sleep 2
    seen=$(ask) # and it stays so
    printf '%-33s%s\n' "$1:" "$seen"
    [[ $seen == "$2" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

endpoint one 192.0.2.1 true true false
endpoint two 192.0.2.2 true true false
expect "both ready" "one two"
endpoint two 192.0.2.2 false true true
expect "two terminating, serving" one
endpoint two 192.0.2.2 false true false
expect "two not ready, serving" "one two"
endpoint two 192.0.2.2 false false false
expect "two not serving" one
endpoint one 192.0.2.1 false true true
endpoint two 192.0.2.2 false true true
expect "both terminating, serving" 503
