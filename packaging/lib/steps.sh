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

# step [--quiet-if <text>] <description> <command>...: runs the command with its output kept aside and prints one line with
# the time it took; the output only where the command fails. With --quiet-if, no line when the output says <text>.
step() {
    local quiet_if="" description log status=0 started=$EPOCHREALTIME took
    if [[ $1 == --quiet-if ]]; then
        quiet_if=$2
        shift 2
    fi
    description=$1
    shift
    mkdir -p "$RECHOST_CACHE/logs"
    log=$(mktemp "$RECHOST_CACHE/logs/step-XXXXXX.log")
    if [[ -t 2 ]]; then printf '%s ...' "$description" >&2; fi
    # A shell of its own with `set -e`; testing the command directly would switch that off inside.
    set +e
    (
        set -e
        "$@"
    ) >"$log" 2>&1 </dev/null
    status=$?
    set -e
    took=$(elapsed_since "$started")
    # On a terminal the announcement is written over.
    if [[ -t 2 ]]; then printf '\r\033[K' >&2; fi
    if ((status != 0)); then
        printf '%-58s %9s  FAILED\n' "$description" "$took" >&2
        tail -n 60 "$log" >&2
        say "The whole output: $log"
        exit "$status"
    fi
    if [[ -z $quiet_if ]] || ! grep -qF "$quiet_if" "$log"; then
        printf '%-58s %9s\n' "$description" "$took" >&2
    fi
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
