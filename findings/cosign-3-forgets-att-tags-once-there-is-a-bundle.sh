#!/usr/bin/env bash
# cosign 3: an attestation under the tag `.att` counts until anybody, with any key, attaches one in cosign 3's own format.
#
# Guess: `cosign verify-attestation --key` looks at all attestations of an image and succeeds if one is by that key; what
#   other signers attach changes nothing for ours. cosign 2 does so.
# Behaviour: cosign 3 looks for bundles (OCI referrers) first. Without any it takes the attestations under the tag
#   sha256-<digest>.att, as cosign 2 made them. A single bundle by a stranger's key has it leave that tag unread: the
#   attestation is there and valid, and verification ends with 1. --new-bundle-format=false, which its help does not list, brings it
#   back. cosign 2 sees no bundle and goes on.
# Seen with: Debian's cosign 2.5.0-2+b5 (trixie) and 3.1.1-2 (sid), docker-registry 2.8.2+ds1-1.
# Needs: curl, and docker-registry or apt-get to fetch it. cosign from $COSIGN2 and $COSIGN3, or apt-get on a machine
#   whose sources have trixie; sid is asked beside them. Exits 0 as long as it behaves so.
#
# Output:
#   ours under .att:                    cosign 2: 0, cosign 3: 0
#   and a stranger's bundle beside it:  cosign 2: 0, cosign 3: 1, with --new-bundle-format=false: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf -- "$folder"' EXIT
unpack() { # FOLDER PACKAGE [OPTION...]
    mkdir -p -- "$folder/$1"
    (cd -- "$folder/$1" && apt-get "${@:3}" download -q "$2" >"$folder/apt" 2>&1 && dpkg-deb -x ./*.deb .) || {
        cat -- "$folder/apt" >&2
        return 1
    }
}
registry=$(command -v docker-registry) || {
    unpack registry docker-registry=2.8.2+ds1-1
    registry=$folder/registry/usr/bin/docker-registry
}
cosign2=${COSIGN2:-}
[[ $cosign2 ]] || { unpack cosign2 cosign=2.5.0-2+b5 && cosign2=$folder/cosign2/usr/bin/cosign; }
cosign3=${COSIGN3:-}
[[ $cosign3 ]] || {
    from=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: trixie' 'Component: main' | head -n 1)
    mkdir -p -- "$folder/sid/lists/partial" "$folder/sid/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $from sid main" >"$folder/sid/list"
    sid=(-o "Dir::Etc::SourceList=$folder/sid/list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$folder/sid/lists" -o "Dir::Cache=$folder/sid")
    apt-get "${sid[@]}" update >"$folder/apt" 2>&1
    unpack cosign3 cosign=3.1.1-2 "${sid[@]}"
    cosign3=$folder/cosign3/usr/bin/cosign
}

port=$((20000 + RANDOM % 20000))
cat >"$folder/config.yml" <<END_OF_CONFIG
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $folder/data}}
http: {addr: "127.0.0.1:$port", secret: finding}
END_OF_CONFIG
"$registry" serve "$folder/config.yml" >"$folder/log" 2>&1 &
server=$!
at=http://127.0.0.1:$port/v2/team/app
curl -sf --retry 50 --retry-delay 1 --retry-connrefused -o /dev/null "http://127.0.0.1:$port/v2/"

config='{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}'
digest() { printf 'sha256:%s' "$(printf %s "$1" | sha256sum | cut -d' ' -f1)"; }
to=$(curl -sf -X POST -o /dev/null -D - "$at/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary "$config" "$to&digest=$(digest "$config")"
image='{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":'
image+="\"application/vnd.oci.image.config.v1+json\",\"digest\":\"$(digest "$config")\",\"size\":${#config}},\"layers\":[]}"
curl -sf -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' --data-binary "$image" "$at/manifests/1"
name=127.0.0.1:$port/team/app@$(digest "$image")

cd -- "$folder"
export HOME=$folder COSIGN_PASSWORD='' COSIGN_YES=true
for who in ours stranger; do
    "$cosign2" generate-key-pair --output-key-prefix "$who" >/dev/null 2>&1
done
echo '{}' >predicate.json
attest=(attest --tlog-upload=false --type https://example.org/x --predicate predicate.json)
verify() { # COSIGN [FLAG]
    local code=0
    "$1" verify-attestation --private-infrastructure --key ours.pub --type https://example.org/x "${@:2}" "$name" \
        >out 2>&1 || code=$?
    printf %s "$code"
}

"$cosign2" "${attest[@]}" --key ours.key "$name" >out 2>&1
echo "ours under .att:                    cosign 2: $(verify "$cosign2"), cosign 3: $(verify "$cosign3")" | tee before
"$cosign3" "${attest[@]}" --use-signing-config=false --key stranger.key "$name" >out 2>&1
echo "and a stranger's bundle beside it:  cosign 2: $(verify "$cosign2"), cosign 3: $(verify "$cosign3"), with" \
    "--new-bundle-format=false: $(verify "$cosign3" --new-bundle-format=false)" | tee after
[[ $(<before) == *'cosign 2: 0, cosign 3: 0' ]]
[[ $(<after) == *'cosign 2: 0, cosign 3: 1, with --new-bundle-format=false: 0' ]]
