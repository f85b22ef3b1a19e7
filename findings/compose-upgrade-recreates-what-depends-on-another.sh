#!/usr/bin/env bash
# Compose 2.26 and 2.40 on one project: each `up` recreates what the other created, if it has `depends_on`, and only that.
#
# Guess: the label `config-hash` is of the service's definition. A newer Compose takes what an older one created as it is,
#   or it recreates all of it once.
# Behaviour: in the hash of 2.26 is `depends_on`, in that of 2.40 it is not. For a service without it both give the same
#   hash, and the container stays. One with it is recreated, by the file that created it and with the same image, and
#   again when the other Compose (of a colleague, or in CI) runs `up`. `config --hash` shows the two hashes beforehand.
#   A service that only adds `depends_on` has by 2.40 the hash it had: a container stays that 2.26 would recreate.
# Seen with: Docker Engine 26.1.5; Compose 2.26.1 (Debian trixie) and 2.40.3 (Debian forky).
# Needs: docker with Compose 2.26 and an engine, apt-get of Debian (or $NEWER, the program of Compose 2.40).
#   Exits 0 as long as it behaves so.
#
# Output:
#   2.26, then 2.40:  database stays, web recreated
#   2.40, then 2.26:  database stays, web recreated
#   2.26 twice:       database stays, web stays
#   2.40 twice:       database stays, web stays
set -euo pipefail

scratch=$(mktemp -d)
name=finding-$(basename -- "$scratch" | tr '[:upper:].' '[:lower:]-')
mkdir -p -- "$scratch/2.26" "$scratch/2.40/cli-plugins" "$scratch/apt/lists/partial" "$scratch/apt/cache/archives/partial"

fetch() { # print the path of Compose 2.40: from Debian forky, with package lists of its own
    local from
    from=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' | head -n 1)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $from forky main" >"$scratch/apt/sources.list"
    local apt=(apt-get -qq -o "Dir::Etc::sourcelist=$scratch/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$scratch/apt/lists" -o "Dir::Cache=$scratch/apt/cache" -o Acquire::Languages=none)
    (cd -- "$scratch/apt" && "${apt[@]}" update && "${apt[@]}" download docker-compose=2.40.3-3 &&
        dpkg-deb -x docker-compose_*.deb root) >/dev/null 2>&1
    echo "$scratch/apt/root/usr/libexec/docker/cli-plugins/docker-compose"
}
cp -- "${NEWER:-$(fetch)}" "$scratch/2.40/cli-plugins/docker-compose"
cat >"$scratch/compose.yml" <<END
services:
  database: {image: $name}
  web: {image: $name, depends_on: [database]}
END

compose() { # 2.26|2.40 ARGUMENT...
    DOCKER_CONFIG=$scratch/$1 docker compose --project-name "$name" --file "$scratch/compose.yml" "${@:2}"
}
finish() {
    compose 2.40 down >/dev/null 2>&1 || true
    docker image rm "$name" >/dev/null
    rm -rf -- "$scratch"
}
printf 'FROM scratch\nCMD ["/none"]\n' | docker build --quiet --tag "$name" - >/dev/null
trap finish EXIT

id() { compose 2.40 ps --all --quiet "$1"; }
expect() { # EXPECTED CREATOR SECOND
    local seen="" service before
    compose "$2" up --no-start --pull never >/dev/null 2>&1
    before="$(id database) $(id web)"
    compose "$3" up --no-start --pull never >/dev/null 2>&1
    for service in database web; do
        if [[ $before == *"$(id "$service")"* ]]; then seen+="$service stays, "; else seen+="$service recreated, "; fi
    done
    compose 2.40 down >/dev/null 2>&1
    if [[ $2 == "$3" ]]; then printf '%-18s' "$2 twice:"; else printf '%-18s' "$2, then $3:"; fi
    echo "${seen%, }"
    [[ $1 == "${seen%, }" ]] || { echo "expected $1: it behaves otherwise now" >&2 && exit 1; }
}

expect "database stays, web recreated" 2.26 2.40
expect "database stays, web recreated" 2.40 2.26
expect "database stays, web stays" 2.26 2.26
expect "database stays, web stays" 2.40 2.40
