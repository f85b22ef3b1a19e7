#!/usr/bin/env bash
# docker-registry: garbage-collect --delete-untagged deletes the images of an index that has a tag, and keeps the index.
#
# Guess: a tag on an image index keeps the index and so the images that it lists; `garbage-collect --delete-untagged` of
#   a Docker registry removes only what no tag leads to.
# Behaviour: distribution 2.8 asks for the tags of each manifest by itself. The images of a tagged index have none: their
#   manifests and layers are deleted, and the tagged index stays, of nothing. A pull of it ends in 404. What the fallback
#   tag of the referrers API lists goes the same way, since that is an index too. A tag on each image keeps them.
# Seen with: Debian's docker-registry 2.8.2+ds1-1 (distribution 2.8.2). Distribution 3.1.2 keeps them.
# Needs: curl and docker-registry, or apt-get to fetch the package. Exits 0 as long as it behaves so.
#
# Output:
#   index, image, layer; only the index is tagged: 200 404 404
#   index, image, layer; the image is tagged too:  200 200 200
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
storage: {filesystem: {rootdirectory: $folder/data}, delete: {enabled: true}}
http: {addr: "127.0.0.1:$port", secret: finding}
END
start() {
    "$registry" serve "$folder/config.yml" >"$folder/log" 2>&1 &
    server=$!
    curl -sf --retry 50 --retry-delay 1 --retry-connrefused -o /dev/null "http://127.0.0.1:$port/v2/"
}
stop() { kill "$server" && wait "$server" 2>/dev/null || true; }

OCI=application/vnd.oci.image
digest() { printf 'sha256:%s' "$(printf %s "$1" | sha256sum | cut -d' ' -f1)"; }
descriptor() { printf '{"mediaType":"%s","digest":"%s","size":%d}' "$1" "$(digest "$2")" "${#2}"; }
put_blob() { # TEXT
    local to
    to=$(curl -sf -X POST -o /dev/null -D - "$at/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
    curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary "$1" "$to&digest=$(digest "$1")"
}
put() { curl -sf -X PUT -H "Content-Type: $2" --data-binary "$1" "$at/manifests/$3"; } # TEXT TYPE NAME
status() { curl -s -o /dev/null -w '%{http_code}' -H "Accept: $OCI.manifest.v1+json, $OCI.index.v1+json" "$at/$1"; }

config='{"os":"linux","architecture":"amd64"}'
layer='the only layer of this image'
image="{\"schemaVersion\":2,\"mediaType\":\"$OCI.manifest.v1+json\",\"config\":$(descriptor "$OCI.config.v1+json" "$config"),"
image+="\"layers\":[$(descriptor "$OCI.layer.v1.tar" "$layer")]}"
index="{\"schemaVersion\":2,\"mediaType\":\"$OCI.index.v1+json\",\"manifests\":[$(descriptor "$OCI.manifest.v1+json" "$image")]}"

clean_up() { # [TAG-OF-THE-IMAGE]: push all of it, collect garbage, and print what is there
    rm -rf -- "$folder/data"
    start
    put_blob "$config"
    put_blob "$layer"
    put "$image" "$OCI.manifest.v1+json" "${1:-$(digest "$image")}"
    put "$index" "$OCI.index.v1+json" stable
    stop
    "$registry" garbage-collect --delete-untagged "$folder/config.yml" >"$folder/gc"
    start
    echo "$(status manifests/stable) $(status "manifests/$(digest "$image")") $(status "blobs/$(digest "$layer")")"
    stop
}

"$registry" --version
echo "index, image, layer; only the index is tagged: $(clean_up | tee "$folder/index")"
echo "index, image, layer; the image is tagged too:  $(clean_up keep-amd64 | tee "$folder/both")"
[[ $(cat "$folder/index") == '200 404 404' && $(cat "$folder/both") == '200 200 200' ]]
