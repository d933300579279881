# Sourced by the scripts in packaging/: where things lie, and how a step is announced, timed and reported.
# shellcheck shell=bash

RECHOST_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
RECHOST_CACHE=${RECHOST_CACHE:-${HOME:-/root}/.cache/rechost}
export RECHOST_CACHE

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $*"
    exit 1
}

# step <description> <command>...: runs the command with its output kept aside; prints one line with the time it took,
# and the output only where the command fails.
step() {
    local description=$1 log status=0 started=$EPOCHREALTIME
    shift
    mkdir -p "$RECHOST_CACHE/logs"
    log=$(mktemp "$RECHOST_CACHE/logs/step-XXXXXX.log")
    if [[ -t 2 ]]; then printf '%-58s' "$description ..." >&2; fi
    # A subshell of its own, so that `set -e` stays in force inside: `"$@" || status=$?` would switch it off.
    set +e
    (
        set -e
        "$@"
    ) >"$log" 2>&1
    status=$?
    set -e
    local took
    took=$(elapsed_since "$started")
    if [[ -t 2 ]]; then printf '\r' >&2; fi
    if ((status != 0)); then
        printf '%-58s %8s  FAILED\n' "$description" "$took" >&2
        tail -n 60 "$log" >&2
        say "The whole output: $log"
        exit "$status"
    fi
    printf '%-58s %8s\n' "$description" "$took" >&2
    rm -f "$log"
}

elapsed_since() {
    awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", to - from }'
}

# as_root <command>...: through sudo where we are not root.
as_root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this needs root and there is no sudo: $*"
    fi
}
