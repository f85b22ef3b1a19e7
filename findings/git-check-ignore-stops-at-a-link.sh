#!/bin/sh
# Guess:     `git check-ignore --stdin` answers for each path it is given; it exits with 1 if it ignores none of them. A path
#            that does not exist is judged by its name, so `dist` matches the pattern `dist/`.
# Behaviour: one path behind a symbolic link ends the whole batch (exit code 128): the paths after it get no answer, and
#            which of the paths before it got theirs depends on the order. A folder that does not exist is only ignored by
#            `dist/` if the question ends with a slash; `dist` is taken for a file.
# Seen with git 2.39.5 (Debian 12). Output seen:
#            dist/ : ignored      dist : not ignored
#            fatal: pathspec 'link/x' is beyond a symbolic link      exit code 128, `b.log` after it unanswered
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
git init --quiet .
git --version
printf 'dist/\n*.log\n' >.gitignore
ln -s /tmp link

printf 'dist/\0' | git check-ignore --stdin -z | tr '\0' '\n' | grep -qx 'dist/' || { echo 'changed: dist/ is not ignored'; exit 1; }
if printf 'dist\0' | git check-ignore --stdin -z >/dev/null; then echo 'changed: dist is ignored'; exit 1; fi
echo 'dist/ : ignored      dist : not ignored'

code=0
printf 'a.log\0link/x\0b.log\0' | git check-ignore --stdin -z >answers 2>error || code=$?
cat error
tr '\0' '\n' <answers
if [ "$code" -ne 128 ] || tr '\0' '\n' <answers | grep -qx b.log; then echo "changed: exit code $code"; exit 1; fi
echo "exit code $code, b.log after it unanswered"
