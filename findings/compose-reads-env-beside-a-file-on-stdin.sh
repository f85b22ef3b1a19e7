#!/usr/bin/env bash
# Compose: a file on standard input does not keep it from reading `.env` of the folder it runs in, nor COMPOSE_ENV_FILES.
#
# Guess: `docker compose --file -` reads what it is given, and `.env` belongs to a project's folder, of which there is none.
#   A broken `.env` is at most ignored, and `--project-directory` elsewhere is enough to leave it out.
# Behaviour: `.env` of the working folder is read, fills in `${...}`, and ends every command where it is no dotenv file,
#   with its own text in the error. `--project-directory` moves the search, it does not end it. `--env-file /dev/null` and
#   COMPOSE_DISABLE_ENV_FILE=1 end it; the first also has COMPOSE_ENV_FILES ignored.
# Seen with: Compose 2.26.1 (Debian trixie).
# Needs: docker with Compose; no engine. Exits 0 as long as it behaves so.
#
# Output:
#   .env beside a file on stdin:            from-env
#   --env-file /dev/null:                   unset
#   COMPOSE_DISABLE_ENV_FILE=1:             unset
#   COMPOSE_ENV_FILES of a missing file:    failed
#   the same, --env-file /dev/null:         unset
#   .env without an end quote:              failed, and quotes the value
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
cd -- "$scratch"
unset COMPOSE_FILE COMPOSE_ENV_FILES COMPOSE_DISABLE_ENV_FILE

value() { # ARGUMENTS: print what Compose fills in for ${VALUE}
    printf 'services: {x: {image: y, environment: {VALUE: "${VALUE-unset}"}}}\n' |
        docker compose "$@" --project-name finding --file - config 2>error | sed -n 's/ *VALUE: //p' || echo failed
}

expect() { # WHAT EXPECTED ACTUAL
    printf '%-40s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

echo 'VALUE=from-env' >.env
expect ".env beside a file on stdin" from-env "$(value)"
expect "--env-file /dev/null" unset "$(value --env-file /dev/null)"
expect "COMPOSE_DISABLE_ENV_FILE=1" unset "$(COMPOSE_DISABLE_ENV_FILE=1 value)"
expect "COMPOSE_ENV_FILES of a missing file" failed "$(COMPOSE_ENV_FILES=/nonexistent value)"
expect "the same, --env-file /dev/null" unset "$(COMPOSE_ENV_FILES=/nonexistent value --env-file /dev/null)"
echo 'VALUE="never-to-be-shown' >.env
answer=$(value)
grep -q never-to-be-shown error && answer+=", and quotes the value"
expect ".env without an end quote" "failed, and quotes the value" "$answer"
