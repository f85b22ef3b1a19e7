#!/usr/bin/env bash
# Release HEAD of SF as a plain script does it: npm, docker, docker compose and curl, one after the other, no sleeps.
# It is what a release by selfdeploy is measured against: benchmarks/__main__.py runs it, docs/benchmarks.md explains.
set -euo pipefail

usage="usage: release.sh CHECKOUT WORK NODE NPM_CACHE BASE REPOSITORY TEST_PROJECT TEST_PORT PROD_PROJECT PROD_PORT
  CHECKOUT   SF's checkout; WORK: a folder of the script's own; NODE: a folder with node and npm
  BASE       the base image by digest; REPOSITORY: where the image goes
It prints an event a stage, as inv release --json does; what the commands say goes to WORK/release.log."
(($# == 10)) || { printf '%s\n' "$usage" >&2 && exit 2; }
checkout=$1 work=$2 node=$3 cache=$4 base=$5 repository=$6 test_project=$7 test_port=$8 prod_project=$9 prod_port=${10}
dockerfile=$(dirname -- "$(readlink -f -- "$0")")/../docker/Dockerfile.sf-server
patience=60 # seconds until a server that does not answer right is an error

mkdir -p -- "$work"
exec 3>&1 >"$work/release.log" 2>&1
revision=$(git -C "$checkout" rev-parse HEAD)
epoch=$(git -C "$checkout" show --no-patch --format=%ct HEAD)

stage() { # NAME: the one before it, if any, has ended
    local now=${EPOCHREALTIME/[.,]/} took
    if [[ -n ${running:-} ]]; then
        took=$(((now - began) / 1000))
        printf '{"event": "stage-ended", "name": "%s", "seconds": %d.%03d, "ok": true}\n' \
            "$running" $((took / 1000)) $((took % 1000)) >&3
    fi
    running=$1 began=$now
    if [[ -n $running ]]; then printf '{"event": "stage", "name": "%s"}\n' "$running" >&3; fi
}

stage gates
export PATH=$node:$PATH CI=true SF_BUILD_REVISION=$revision npm_config_cache=$cache npm_config_prefer_offline=true
export npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false
rm -rf -- "$work/sf" "$work/ship"
mkdir -p -- "$work/sf" "$work/ship/opt/sf"
git -C "$checkout" archive HEAD | tar -x -C "$work/sf"
cd -- "$work/sf"
npm ci
npm --prefix web ci
npm run build:core
npm run build:web-host
npm run typecheck:extensions
npm run test:unit
npm prune --omit=dev
cp -a --link package.json dist node_modules packages "$work/ship/opt/sf"

stage image
docker buildx build --load --provenance=false --file "$dockerfile" --build-arg "BASE=$base" \
    --build-arg "SOURCE_DATE_EPOCH=$epoch" --label "org.opencontainers.image.revision=$revision" \
    --tag "$repository:script-$revision" "$work/ship"
docker push "$repository:script-$revision" | tee "$work/push"
digest=$(sed -n 's/^.* digest: \(sha256:[0-9a-f]*\) .*$/\1/p' "$work/push")
image=$repository@${digest:?}

stage manifest
cat >"$work/sf-release-manifest.json" <<END
{
  "schema": 1,
  "source": {"revision": "$revision"},
  "image": {"repository": "$repository", "digest": "$digest"},
  "probes": {"healthz": "/api/healthz", "ready": "/api/ready", "version": "/api/version"}
}
END

until_it_answers() { # URL [TEXT]: right is 200 with TEXT in the body
    local ends=$((SECONDS + patience))
    until curl --silent --fail --max-time 3 --header 'Cache-Control: no-cache' "$1" | grep --quiet --fixed-strings "${2:-}"; do
        ((SECONDS < ends)) || { echo "$1: no right answer within $patience s" && exit 1; }
    done
}

roll() { # PROJECT PORT
    cat >"$work/$1.yml" <<END
name: "$1"
services:
  server:
    image: "$image"
    init: false
    user: "1000:1000"
    read_only: true
    cap_drop: ["ALL"]
    security_opt: ["no-new-privileges:true"]
    pids_limit: 1024
    restart: unless-stopped
    stop_grace_period: "15s"
    environment:
      HOME: "/home/sf"
      SF_RELEASE_MANIFEST: "/run/selfdeploy/sf-release-manifest.json"
      SF_WEB_PROJECT_CWD: "/workspace"
      SF_WEB_HOST: "0.0.0.0"
      SF_WEB_PORT: "4000"
    ports:
      - {target: 4000, host_ip: "127.0.0.1", published: "$2", protocol: tcp}
    volumes:
      - {type: volume, source: home, target: /home/sf}
      - {type: volume, source: workspace, target: /workspace}
      - {type: bind, source: "$work/sf-release-manifest.json", target: /run/selfdeploy/sf-release-manifest.json, read_only: true}
    tmpfs: ["/tmp:mode=1777,size=256m"]
    healthcheck:
      test: ["CMD", "node", "-e", "fetch('http://127.0.0.1:4000/api/healthz').then(r=>process.exit(r.status===200?0:1),()=>process.exit(1))"]
      interval: 10s
      timeout: 5s
      retries: 3
      start_period: 30s
volumes:
  home: {}
  workspace: {}
END
    docker compose --file "$work/$1.yml" up --detach --remove-orphans server
    until_it_answers "http://127.0.0.1:$2/api/version" "$revision"
    until_it_answers "http://127.0.0.1:$2/api/healthz"
    until_it_answers "http://127.0.0.1:$2/api/ready"
}

stage test
roll "$test_project" "$test_port"

stage prod
roll "$prod_project" "$prod_port"

stage ""
