#!/usr/bin/env bash
# Compose: `config --hash` does not show a change in an env_file, and `up` recreates the container all the same.
#
# Guess: `config --hash SERVICE` prints what `up` labels the container with (com.docker.compose.config-hash), so that
#   comparing the two says whether `up` would replace it.
# Behaviour: it is so for most services. With an `env_file` the label is made after the file was read into `environment`,
#   and what is printed before: they never agree, also right after `up`, and the printed one stays the same when a value
#   in the file changes, though `up` then recreates the container. With `network_mode: service:OTHER` they differ as
#   well: the label has the id of the other's container. Variables of `environment` (`NAME: null`) agree.
# Seen with: Docker Engine 26.1.5; Compose 2.26.1 (Debian trixie) and 2.40.3 (Debian forky).
# Needs: docker with Compose, and an engine. Exits 0 as long as it behaves so.
#
# Output:
#   environment:                     printed as labelled
#   env_file:                        printed differs
#   network_mode of another:         printed differs
#   env_file, after a change of it:  printed as before, and up recreates it
set -euo pipefail

scratch=$(mktemp -d)
name=finding-$(basename -- "$scratch" | tr '[:upper:].' '[:lower:]-')
printf 'FROM scratch\nCMD ["/none"]\n' | docker build --quiet --tag "$name" - >/dev/null
export VALUE=first
echo VALUE=first >"$scratch/values.env"
cat >"$scratch/compose.yml" <<END
services:
  environment: {image: $name, environment: {VALUE: null}}
  file: {image: $name, env_file: [values.env]}
  shares: {image: $name, network_mode: "service:environment"}
END

compose() { docker compose --env-file /dev/null --project-name "$name" --file "$scratch/compose.yml" "$@"; }
finish() {
    compose down >/dev/null 2>&1 || true
    docker image rm "$name" >/dev/null
    rm -rf -- "$scratch"
}
trap finish EXIT

printed() { compose config --hash "$1" | cut -d' ' -f2; }
id() { compose ps --all --quiet "$1"; }
labelled() { docker inspect --format '{{index .Config.Labels "com.docker.compose.config-hash"}}' "$(id "$1")"; }
agree() { if [[ $(printed "$1") == "$(labelled "$1")" ]]; then echo "printed as labelled"; else echo "printed differs"; fi; }
expect() { # WHAT EXPECTED ACTUAL
    printf '%-33s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

compose up --no-start --pull never >/dev/null 2>&1
expect environment "printed as labelled" "$(agree environment)"
expect env_file "printed differs" "$(agree file)"
expect "network_mode of another" "printed differs" "$(agree shares)"
before=$(printed file) container=$(id file)
echo VALUE=second >"$scratch/values.env"
after=$(printed file)
compose up --no-start --pull never >/dev/null 2>&1
seen="printed anew"
if [[ $before == "$after" ]]; then seen="printed as before"; fi
if [[ $(id file) == "$container" ]]; then seen+=", and up keeps it"; else seen+=", and up recreates it"; fi
expect "env_file, after a change of it" "printed as before, and up recreates it" "$seen"
