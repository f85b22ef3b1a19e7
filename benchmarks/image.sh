#!/usr/bin/env bash
# The stage `image` of release.sh, alone: lay out what the gates left, build it, push it. Prints the digest.
set -euo pipefail
(($# == 6)) || { echo "usage: image.sh GATED SHIP DOCKERFILE BASE EPOCH TAG" >&2 && exit 2; }
gated=$1 ship=$2 dockerfile=$3 base=$4 epoch=$5 tag=$6

rm -rf -- "$ship"
mkdir -p -- "$ship/opt/sf"
cd -- "$gated"
cp -a --link package.json dist node_modules packages "$ship/opt/sf"
docker buildx build --load --provenance=false --file "$dockerfile" --build-arg "BASE=$base" \
    --build-arg "SOURCE_DATE_EPOCH=$epoch" --tag "$tag" "$ship" >&2
docker push "$tag" | sed -n 's/^.* digest: \(sha256:[0-9a-f]*\) .*$/\1/p'
