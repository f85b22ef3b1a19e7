#!/usr/bin/env bash
# invoke: `inv` writes no bytecode, and uv installs none, so that each start compiles all that it imports.
#
# Guess: the first `inv` of a new environment compiles what it imports and keeps that, as any Python program does; from
#   the second on, a start only reads it.
# Behaviour: invoke sets sys.dont_write_bytecode as soon as it has read its options, unless it is told --write-pyc. What a
#   tasks file imports is compiled at each start, for ever. pip hides it, for it compiles what it installs; uv does not
#   unless it is told to (--compile-bytecode, UV_COMPILE_BYTECODE).
# Seen with: invoke 3.0.3, pydantic 2.14.3, uv 0.13.9, Python 3.11.
# Needs: python3 with venv, and a package index. Exits 0 as long as it behaves so.
#
# Output:
#   pydantic's compiled files after uv:                 0
#   after two runs of inv:                              0
#   after a run of inv --write-pyc:                     some
#   after uv --compile-bytecode, without any run:       some
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
unset PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX UV_COMPILE_BYTECODE
python3 -m venv "$scratch/tools"
"$scratch/tools/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
uv=$scratch/tools/bin/uv
printf 'import pydantic\nfrom invoke import task\n\n@task\ndef hello(c):\n    print("hello")\n' >"$scratch/tasks.py"

environment() { # NAME [OPTION]: make one with uv
    "$uv" venv --quiet --python "$(command -v python3)" "$scratch/$1"
    "$uv" pip install --quiet "${@:2}" --python "$scratch/$1/bin/python" invoke==3.0.3 pydantic==2.14.3
}

compiled() { # NAME: print how many of pydantic's files are compiled there
    find "$scratch/$1" -path '*/pydantic/*' -name '*.pyc' | wc -l
}

some() { # NAME
    (($(compiled "$1") > 0)) && echo some || echo 0
}

inv() { # NAME [OPTION]
    (cd -- "$scratch" && "$scratch/$1/bin/inv" "${@:2}" hello >/dev/null)
}

expect() { # WHAT EXPECTED ACTUAL
    printf '%-52s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

environment plain
expect "pydantic's compiled files after uv" 0 "$(compiled plain)"
inv plain
inv plain
expect "after two runs of inv" 0 "$(compiled plain)"
inv plain --write-pyc
expect "after a run of inv --write-pyc" some "$(some plain)"
environment whole --compile-bytecode
expect "after uv --compile-bytecode, without any run" some "$(some whole)"
