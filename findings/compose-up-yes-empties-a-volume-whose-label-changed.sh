#!/usr/bin/env bash
# Compose 2.40: `up --yes` deletes the data of a volume of which only a label has changed, exits 0 and says nothing of it.
#
# Guess: `up` never deletes a named volume (`down --volumes` is for that), and --yes skips questions of the harmless kind,
#   so that `up` runs in CI. What changes in a volume's definition is refused, or ignored as by Compose 2.26.
# Behaviour: Compose 2.40 labels the volumes that it creates with a hash of their definition. When that differs it asks
#   'Recreate (data will be lost)?'. --yes answers yes, with the one trace 'Volume ... Creating'. Without --yes and a
#   terminal it takes its answer from stdin: a `y` there deletes as well; at the end of stdin it keeps the volume, does
#   not apply the change, and exits 0. A volume that Compose 2.26 created has no hash: it is never asked for and never
#   changed. So what --yes does depends on which Compose was the first there.
# Seen with: Docker Engine 26.1.5; Compose 2.26.1 (Debian trixie) and 2.40.3 (Debian forky).
# Needs: docker with Compose 2.26 and an engine, apt-get of Debian (or $NEWER, the program of Compose 2.40), root to look
#   into the volume. Exits 0 as long as it behaves so.
#
# Output:
#   created by 2.40, up, no stdin:        exit 0, data kept, label 1
#   created by 2.40, up, y on stdin:      exit 0, data gone, label 2
#   created by 2.40, up --yes:            exit 0, data gone, label 2
#   created by 2.26, up --yes:            exit 0, data kept, label 1
set -euo pipefail

scratch=$(mktemp -d)
name=finding-$(basename -- "$scratch" | tr '[:upper:].' '[:lower:]-')
mkdir -p -- "$scratch/older" "$scratch/newer/cli-plugins" "$scratch/apt/lists/partial" "$scratch/apt/cache/archives/partial"

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
cp -- "${NEWER:-$(fetch)}" "$scratch/newer/cli-plugins/docker-compose"

compose() { # older|newer ARGUMENT...
    DOCKER_CONFIG=$scratch/$1 docker compose --project-name "$name" --file "$scratch/compose.yml" "${@:2}"
}
finish() {
    compose newer down --volumes >/dev/null 2>&1 || true
    docker image rm "$name" >/dev/null
    rm -rf -- "$scratch"
}
printf 'FROM scratch\nCMD ["/none"]\n' | docker build --quiet --tag "$name" - >/dev/null
trap finish EXIT

define() { # LABEL
    echo "{services: {x: {image: $name, volumes: ['data:/data']}}, volumes: {data: {labels: {finding: '$1'}}}}" >"$scratch/compose.yml"
}
volume() { docker volume inspect --format "$1" "${name}_data"; }

expect() { # WHAT EXPECTED CREATOR STDIN [FLAG]
    local code=0 data=gone seen
    define 1
    compose "$3" up --no-start --pull never >/dev/null 2>&1
    touch -- "$(volume '{{.Mountpoint}}')/data"
    define 2
    printf %s "$4" | compose newer up --no-start --pull never "${@:5}" >/dev/null 2>"$scratch/log" || code=$?
    if [[ -e $(volume '{{.Mountpoint}}')/data ]]; then data=kept; fi
    seen="exit $code, data $data, label $(volume '{{.Labels.finding}}')"
    compose newer down --volumes >/dev/null 2>&1
    printf '%-38s%s\n' "$1:" "$seen"
    [[ $2 == "$seen" ]] || { cat "$scratch/log" && echo "expected $2: it behaves otherwise now" && exit 1; } >&2
}

expect "created by 2.40, up, no stdin" "exit 0, data kept, label 1" newer ""
expect "created by 2.40, up, y on stdin" "exit 0, data gone, label 2" newer $'y\n'
expect "created by 2.40, up --yes" "exit 0, data gone, label 2" newer "" --yes
expect "created by 2.26, up --yes" "exit 0, data kept, label 1" older "" --yes
