#!/usr/bin/env bash
# invoke: a name that add_task(aliases=...) gives a task is found in the collection, and by no command line.
#
# Guess: Collection.add_task(build, aliases=("make",)) is what @task(aliases=["make"]) is, said in another place; `inv make`
#   runs it, and `inv --list` shows both names.
# Behaviour: the collection has it (namespace["make"] is the task), but the names that the command line and the list know are
#   those of the task itself: `inv make` ends with 1, "No idea what 'make' is!". The decorator's are known to both.
# Seen with: invoke 3.0.3, Python 3.11.
# Needs: python3 with venv, and a package index. Exits 0 as long as it behaves so.
#
# Output:
#   namespace["make"] is the task:              True
#   inv make, of add_task:                      1 No idea what 'make' is!
#   inv make, of @task:                         0 built
#   names that the list shows, of add_task:     build
#   names that the list shows, of @task:        build (make)
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check invoke==3.0.3
mkdir "$scratch/added" "$scratch/decorated"

cat >"$scratch/added/tasks.py" <<'END'
from invoke import Collection, task


@task
def build(c):
    print("built")


namespace = Collection()
namespace.add_task(build, aliases=("make",))
END
cat >"$scratch/decorated/tasks.py" <<'END'
from invoke import task


@task(aliases=["make"])
def build(c):
    print("built")
END

make() { # FOLDER: run `inv make` there; print its exit code and what it said
    local said code=0
    said=$(cd -- "$scratch/$1" && "$scratch/venv/bin/inv" make 2>&1) || code=$?
    echo "$code $said"
}

listed() { # FOLDER: print the names that `inv --list` shows there
    (cd -- "$scratch/$1" && "$scratch/venv/bin/inv" --list) | grep -o 'build.*' | sed 's/ *$//'
}

expect() { # WHAT EXPECTED ACTUAL
    printf '%-44s%s\n' "$1:" "$3"
    [[ $2 == "$3" ]] || { echo "expected $2: it behaves otherwise now" >&2 && exit 1; }
}

found=$(cd -- "$scratch/added" && "$scratch/venv/bin/python" -c 'import tasks; print(tasks.namespace["make"] is tasks.build)')
expect 'namespace["make"] is the task' True "$found"
expect "inv make, of add_task" "1 No idea what 'make' is!" "$(make added)"
expect "inv make, of @task" "0 built" "$(make decorated)"
expect "names that the list shows, of add_task" "build" "$(listed added)"
expect "names that the list shows, of @task" "build (make)" "$(listed decorated)"
