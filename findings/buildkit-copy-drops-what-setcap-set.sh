#!/usr/bin/env bash
# BuildKit: COPY from the context drops a file's capabilities (setcap) without a word; ADD of a tar with the file keeps them.
#
# Guess: a COPY is a `cp --archive` into the image: mode, time and extended attributes are kept. A program that setcap
#   lets listen on port 80 on the machine that built it does so in the image.
# Behaviour: what the client sends of a context has no extended attributes. The file comes without its capabilities, in a
#   build that succeeds. The engine's earlier builder, and buildctl with the newest buildkitd, do the same. A tar that ADD
#   unpacks keeps `security.capability`, and so does COPY --from of another stage. Attributes of other names (`user.*`)
#   get into no layer at all. The time of a file from before 1970 survives a COPY by BuildKit only; the others make it 0.
# Seen with: Docker Engine 26.1.5, buildx 0.13.1 (Debian trixie); buildkitd 0.34.2 behaves the same.
# Needs: root (setting capabilities), docker with buildx and an engine, python3. Exits 0 as long as it behaves so.
#
# Output:
#   COPY from the context:         none                  -1000
#   COPY, without BuildKit:        none                  0
#   ADD of a tar:                  security.capability   0
#   ADD, then COPY --from:         security.capability   0
set -euo pipefail

scratch=$(mktemp -d)
name=finding-$(basename -- "$scratch" | tr '[:upper:].' '[:lower:]-')
trap 'docker image rm "$name" >/dev/null 2>&1 || true; rm -rf -- "$scratch"' EXIT
mkdir -- "$scratch/context"

python3 - "$scratch/context" <<'END'
import io, os, sys, tarfile

os.chdir(sys.argv[1])
attributes = {  # of setcap cap_net_bind_service=ep, and a note
    "security.capability": bytes.fromhex("0100000200040000000000000000000000000000"),
    "user.note": b"hello",
}
with open("file", "w") as file:
    file.write("program")
for name, value in attributes.items():
    os.setxattr("file", name, value)
os.utime("file", (-1000, -1000))
assert sorted(os.listxattr("file")) == sorted(attributes)
with tarfile.open("file.tar", "w", format=tarfile.PAX_FORMAT) as archive:
    member = tarfile.TarInfo("file")
    member.size, member.mtime = 7, -1000
    texts = {name: value.decode("utf-8", "surrogateescape") for name, value in attributes.items()}
    member.pax_headers = {f"SCHILY.xattr.{name}": text for name, text in texts.items()}
    archive.addfile(member, io.BytesIO(b"program"))
END

layer() { # [NAME=VALUE...]: build the Dockerfile of stdin, and print the file's attributes and time in the image's layer
    cat >"$scratch/Dockerfile"
    env "$@" docker build --quiet --file "$scratch/Dockerfile" --tag "$name" "$scratch/context" >/dev/null 2>&1
    docker save --output "$scratch/image.tar" "$name"
    python3 - "$scratch/image.tar" <<'END'
import json, sys, tarfile

with tarfile.open(sys.argv[1]) as image:
    for path in json.load(image.extractfile("manifest.json"))[0]["Layers"]:
        member = tarfile.open(fileobj=image.extractfile(path)).getmember("file")
        attributes = [key.removeprefix("SCHILY.xattr.") for key in member.pax_headers if key.startswith("SCHILY.")]
        print(f"{' '.join(attributes) or 'none':<22}{int(member.mtime)}")
END
}
expect() { # WHAT EXPECTED ACTUAL
    printf '%-31s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

add=$'FROM scratch AS one\nADD file.tar /\n'
expect "COPY from the context" "none                  -1000" "$(layer <<<$'FROM scratch\nCOPY file /')"
expect "COPY, without BuildKit" "none                  0" "$(layer DOCKER_BUILDKIT=0 <<<$'FROM scratch\nCOPY file /')"
expect "ADD of a tar" "security.capability   0" "$(layer <<<"$add")"
expect "ADD, then COPY --from" "security.capability   0" "$(layer <<<"$add"$'FROM scratch\nCOPY --from=one / /')"
