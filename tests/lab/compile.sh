# Compile programs from their Go modules; what builds the lab's parts sources it.

compile() { # FOLDER BIN LDFLAGS PACKAGE...: what FOLDER's go.mod pins, into BIN, unless what is there was made of the same
    local folder=$1 bin=$2 flags="-s -w $3" stamp name=${1##*/}
    shift 3
    stamp=$(cd -- "$folder" && find . -type f -print0 | sort -z | xargs -0 sha256sum -- | sha256sum | cut -d' ' -f1)
    is_made() { [[ $(cat -- "$bin/.$name" 2>/dev/null) == "$stamp" ]]; }
    if is_made; then return; fi
    exec 9>"$bin/.compiling" # one at a time: what several want is compiled once
    flock 9
    if is_made; then return; fi
    echo "compiling $name, minutes the first time" >&2
    # Nothing for a debugger, no inlining, and the compiler's own memory given back seldom: it ends sooner.
    (cd -- "$folder" && without &&
        GOGC=400 CGO_ENABLED=0 GOFLAGS="-buildvcs=false ${modfile:+-modfile=$modfile}" \
            go build -trimpath "-gcflags=all=-dwarf=false -l" -ldflags "$flags" -o "$bin/" "$@")
    echo "$stamp" >"$bin/.$name"
}

# Parts that nothing here uses, clouds' SDKs above all, would be most of what is compiled. A folder below without/ names a
# module, whose copy lacks the files that `module` lists and has those that lie beside it. Sets $modfile to a go.mod
# that takes the copies.
without() {
    local part module files copies
    modfile=
    [[ -d without ]] || return 0
    copies=$(mktemp -d)
    # shellcheck disable=SC2064 -- the folder of now; in the subshell of one compilation
    trap "rm -rf -- '$copies'" EXIT
    modfile=$copies/go.mod
    cp go.mod go.sum "$copies"
    for part in without/*/; do
        { read -r module && mapfile -t files; } <"$part/module"
        go mod download "$module"
        cp -r --no-preserve=mode -- "$(go list -m -f '{{.Dir}}' "$module")" "$copies/${part:8:-1}"
        # shellcheck disable=SC2068 -- they are patterns
        (cd -- "$copies/${part:8:-1}" && rm -- ${files[@]})
        cp -r -- "$part." "$copies/${part:8:-1}"
        go mod edit -replace="$module=$copies/${part:8:-1}" "$modfile"
    done
}
