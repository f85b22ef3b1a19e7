#!/usr/bin/env bash
# docker-registry beside a clean-up: HEAD says 200, GET sends no byte, and a push ends in 201 and is lost.
#
# Guess: what a registry answers for HEAD is what GET would give, and a push that ends in 201 Created is stored. After a
#   clean-up one pushes what is missing again, and all is well.
# Behaviour: Debian's own configuration of docker-registry (like the example of distribution 2.8) has the registry remember
#   in memory which blobs it has given; `garbage-collect` is another process and tells it nothing. Of a blob that is deleted, HEAD
#   goes on to answer 200 with the right size, GET answers 200 with that Content-Length and no byte, and a manifest that is
#   pushed again gets 201 and is not there. A builder asks with HEAD, so it leaves the layers out too. Only a restart helps.
# Seen with: Debian's docker-registry 2.8.2+ds1-1 (distribution 2.8.2).
# Needs: curl and docker-registry, or apt-get to fetch the package. Exits 0 as long as it behaves so.
#
# Output:
#   HEAD of the layer 200, GET of it 200 0 bytes
#   PUT of the manifest 201, GET of it 404 184 bytes
#   restarted:
#   HEAD of the layer 404, GET of it 404 157 bytes
#   PUT of the manifest 201, GET of it 200 394 bytes
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf -- "$folder"' EXIT
registry=$(command -v docker-registry) || {
    (cd -- "$folder" && apt-get download -q docker-registry=2.8.2+ds1-1 >&2 && dpkg-deb -x docker-registry_*.deb .)
    registry=$folder/usr/bin/docker-registry
}
port=$((20000 + RANDOM % 20000))
at=http://127.0.0.1:$port/v2/team/app
cat >"$folder/config.yml" <<END
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: $folder/data}
  delete: {enabled: true}
http: {addr: "127.0.0.1:$port", secret: finding}
END
start() {
    "$registry" serve "$folder/config.yml" >"$folder/log" 2>&1 &
    server=$!
    curl -sf --retry 50 --retry-delay 1 --retry-connrefused -o /dev/null "http://127.0.0.1:$port/v2/"
}

OCI=application/vnd.oci.image
digest() { printf 'sha256:%s' "$(printf %s "$1" | sha256sum | cut -d' ' -f1)"; }
descriptor() { printf '{"mediaType":"%s","digest":"%s","size":%d}' "$1" "$(digest "$2")" "${#2}"; }
put_blob() { # TEXT
    local to
    to=$(curl -sf -X POST -o /dev/null -D - "$at/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
    curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary "$1" "$to&digest=$(digest "$1")"
}
put() { # MANIFEST NAME: print the status of pushing it
    curl -s -o /dev/null -w '%{http_code}' -X PUT -H "Content-Type: $OCI.manifest.v1+json" --data-binary "$1" "$at/manifests/$2"
}
get() { # PATH: print the status and how many bytes came
    : >"$folder/got"
    curl -s -o "$folder/got" -w '%{http_code}' -H "Accept: $OCI.manifest.v1+json" "$at/$1" || true
    printf ' %d' "$(wc -c <"$folder/got")"
    rm -f -- "$folder/got"
}
head_of() { curl -s -I -o /dev/null -w '%{http_code}' "$at/$1"; }

config='{"os":"linux","architecture":"amd64"}'
layer='the only layer of this image'
image="{\"schemaVersion\":2,\"mediaType\":\"$OCI.manifest.v1+json\",\"config\":$(descriptor "$OCI.config.v1+json" "$config"),"
image+="\"layers\":[$(descriptor "$OCI.layer.v1.tar" "$layer")]}"

"$registry" --version
start
put_blob "$config"
put_blob "$layer"
other="{\"schemaVersion\":2,\"mediaType\":\"$OCI.manifest.v1+json\",\"config\":$(descriptor "$OCI.config.v1+json" "$config"),\"layers\":[]}"
echo "pushed: another image with a tag $(put "$other" stable), and ours, which no tag keeps, $(put "$image" "$(digest "$image")")"
echo "pulled once: $(get "manifests/$(digest "$image")") bytes, $(get "blobs/$(digest "$layer")") bytes"
"$registry" garbage-collect --delete-untagged "$folder/config.yml" >"$folder/gc" # beside the server

look() {
    local layer_at manifest_at
    layer_at=blobs/$(digest "$layer") manifest_at=manifests/$(digest "$image")
    echo "HEAD of the layer $(head_of "$layer_at"), GET of it $(get "$layer_at") bytes"
    put_blob "$config" # what the manifest names has to be there; a blob that is pushed without asking first is stored
    (($# == 0)) || put_blob "$layer"
    echo "PUT of the manifest $(put "$image" "$(digest "$image")"), GET of it $(get "$manifest_at") bytes"
}
look | tee "$folder/cached"
grep -q '^HEAD of the layer 200, GET of it 200 0 bytes' "$folder/cached"
grep -q '^PUT of the manifest 201, GET of it 404' "$folder/cached"

kill "$server" && wait "$server" 2>/dev/null || true
start
echo "restarted:"
look and-the-layer | tee "$folder/restarted"
grep -q '^HEAD of the layer 404, GET of it 404' "$folder/restarted"
grep -q "^PUT of the manifest 201, GET of it 200 ${#image} bytes" "$folder/restarted"
