# Sourced: LibTorch, configure, build; the part that packaging/quickstart and packaging/test share.
# shellcheck shell=bash

# What else the cache of CMake must hold: lines of CMakeCache.txt, NAME:TYPE=VALUE.
configured=()

# is_configured <build folder> <line>...: whether the cache of CMake there has all of these lines.
is_configured() {
    local build=$1 line
    shift
    for line in "$@"; do
        grep -qxF "$line" "$build/CMakeCache.txt" || return 1
    done
}

# build_preset <preset> [<target>...]: leaves build/<preset> up to date, or those targets of it.
build_preset() {
    local preset=$1 build=$RECHOST_ROOT/build/$1 libtorch settings targets=()
    shift
    if (($# > 0)); then targets=(--target "$@"); fi
    export CCACHE_DIR=${CCACHE_DIR:-$RECHOST_CACHE/ccache}
    # Two checkouts of the same sources share what they compiled.
    export CCACHE_BASEDIR=$RECHOST_ROOT CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-5G}

    # RECHOST_LIBTORCH: another folder, such as the one that packaging/libtorch-cuda makes.
    libtorch=${RECHOST_LIBTORCH:-$("$RECHOST_ROOT/packaging/libtorch")}
    # CMake looks for it where that script puts it.
    "$RECHOST_ROOT/packaging/arrow" >/dev/null
    settings=("RECHOST_LIBTORCH_ROOT:PATH=$libtorch" "${configured[@]}")
    mkdir -p "$RECHOST_ROOT/build"
    cd "$RECHOST_ROOT"
    # Ninja configures again by itself when a CMake file or the list of sources changes, but not when a preset does.
    if [[ ! -f $build/build.ninja || $RECHOST_ROOT/CMakePresets.json -nt $build/build.ninja ]] ||
        ! is_configured "$build" "${settings[@]}"; then
        step "configure preset $preset" \
            flock "$build.lock" cmake --preset "$preset" "${settings[@]/#/-D}"
    fi
    # The lock: two of these scripts in one checkout would otherwise write the same files.
    step --quiet-if "ninja: no work to do" "build preset $preset" \
        flock "$build.lock" cmake --build --preset "$preset" "${targets[@]}"
}
