#!/bin/busybox sh
# The front's own commands: run; switch REPLICA (new requests go there from now on); keep (also after a restart); live.
set -eu
map=/state/live.map

ask() { printf "%s\n" "$1" | socat -t 5 - UNIX-CONNECT:/run/front/admin.sock; }
live() { ask "show map $map" | busybox awk '$2 == "live" { print $3 }'; }

case "${1:-}" in
run)
    [ -s "$map" ] || printf 'live none.invalid\n' >"$map"
    exec haproxy -db -f /etc/front.cfg
    ;;
switch)
    case "${2:-}" in '' | *[!A-Za-z0-9_.-]*) echo "front: switch: no name of a replica" >&2 && exit 2 ;; esac
    answer=$(ask "set map $map live $2")
    [ -z "$answer" ] || { printf '%s\n' "$answer" >&2 && exit 1; }
    live
    ;;
keep)
    printf 'live %s\n' "$(live)" >"$map.new"
    busybox sync "$map.new"
    busybox mv "$map.new" "$map"
    busybox sync /state
    live
    ;;
live) live ;;
*) echo "front: run, switch REPLICA, keep or live" >&2 && exit 2 ;;
esac
