# The cluster's processes. One is known by its pid and the time it started, in $RUN/NAME.pid: a pid alone is reused.

started_at() { awk '$3 != "Z" {print $22}' "/proc/$1/stat" 2>/dev/null || true; }

alive() { # NAME
    local pid at
    read -r pid at 2>/dev/null <"$RUN/$1.pid" && [[ -n $pid && $(started_at "$pid") == "$at" ]]
}

start() { # NAME COMMAND...: unless it runs; it outlives us and holds none of our locks
    local name=$1
    shift
    ! alive "$name" || return 0
    setsid nohup "$@" >>"$LOG/$name.log" 2>&1 </dev/null 8>&- 9>&- &
    echo "$! $(started_at $!)" >"$RUN/$name.pid"
}

start_inside() { # NAME COMMAND...: in the network namespace
    local name=$1
    shift
    start "$name" nsenter --net="/run/netns/$NS" "$@"
}

stop() { # NAME: ask it to end, and see to it
    local pid at
    if alive "$1"; then
        read -r pid at <"$RUN/$1.pid"
        kill "$pid" 2>/dev/null || true
        for _ in {1..50}; do
            [[ $(started_at "$pid") == "$at" ]] || break
            sleep 0.1
        done
        [[ $(started_at "$pid") != "$at" ]] || kill -9 "$pid"
    fi
    rm -f "$RUN/$1.pid"
}

await() { # WHAT SECONDS COMMAND...: until the command succeeds
    local what=$1 seconds=$2
    shift 2
    for ((i = 0; i < seconds * 5; i++)); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.2
    done
    echo "cluster: $what did not come up in $seconds s; see $LOG" >&2
    tell_dead >&2
    exit 1
}

tell_dead() { # which processes were started and are gone, each with its last words
    local name
    for name in "$RUN"/*.pid; do
        name=$(basename "$name" .pid)
        alive "$name" || printf 'cluster: %s has ended:\n%s\n' "$name" "$(tail -n 5 "$LOG/$name.log")"
    done
}

one_at_a_time() { # whoever else brings it up or down waits; the lock ends with us
    mkdir -p "$HOME_DIR"
    exec 9>"$HOME_DIR/.lock"
    flock 9
}
