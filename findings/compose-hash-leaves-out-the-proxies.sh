#!/usr/bin/env bash
# Compose: `proxies` of Docker's config.json go into a service's container, and not into the service's hash.
#
# Guess: what a container gets is in the Compose file; two people who start the same file have the same container, and
#   `docker compose config` and `config --hash` show what differs.
# Behaviour: the environment has HTTP_PROXY and http_proxy of whoever ran `up`, though the file names no variable. Neither
#   `config` nor the hash has them. Somebody without `proxies` runs `up` again, and nothing changes: they stay.
# Seen with: Docker Engine 26.1.5, Compose 2.26.1 (Debian trixie).
# Needs: docker with Compose, and an engine. Exits 0 as long as it behaves so.
#
# Output:
#   hash with and without proxies:          equal
#   in the config:                          0 proxies
#   in the container:                       2 proxies
#   after `up` without proxies:             2 proxies
set -euo pipefail

scratch=$(mktemp -d)
name=finding-$(basename -- "$scratch" | tr '[:upper:].' '[:lower:]-')
with="$scratch/with" without="$scratch/without"
mkdir -- "$with" "$without"
echo '{"proxies": {"default": {"httpProxy": "http://proxy.invalid:3128"}}}' >"$with/config.json"
echo '{}' >"$without/config.json"
printf 'FROM scratch\nCMD ["/none"]\n' | docker build --quiet --tag "$name" - >/dev/null
printf 'services: {x: {image: %s}}\n' "$name" >"$scratch/compose.yml"

compose() { # CONFIG ARGUMENTS
    DOCKER_CONFIG=$1 docker compose --env-file /dev/null --project-name "$name" --file "$scratch/compose.yml" "${@:2}"
}
finish() {
    compose "$without" down --volumes >/dev/null 2>&1
    docker image rm "$name" >/dev/null
    rm -rf -- "$scratch"
}
trap finish EXIT

count() { grep -ci proxy.invalid || true; }
container() { compose "$without" ps --all --quiet | xargs docker inspect --format '{{join .Config.Env "\n"}}' | count; }

expect() { # WHAT EXPECTED ACTUAL
    printf '%-40s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

equal() { if [[ $1 == "$2" ]]; then echo equal; else echo other; fi; }
hash() { compose "$1" config --hash x; }
expect "hash with and without proxies" equal "$(equal "$(hash "$with")" "$(hash "$without")")"
expect "in the config" "0 proxies" "$(compose "$with" config | count) proxies"
compose "$with" up --no-start --pull never >/dev/null 2>&1
expect "in the container" "2 proxies" "$(container) proxies"
compose "$without" up --no-start --pull never >/dev/null 2>&1
expect 'after `up` without proxies' "2 proxies" "$(container) proxies"
