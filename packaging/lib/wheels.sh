# Sourced: wheels of packaging/dependencies.lock, and the part of them that we use, unpacked once into the cache.
# shellcheck shell=bash

matches_checksum() { # <file> <sha256>
    [[ -f $1 ]] && [[ $(sha256sum "$1" | cut -d' ' -f1) == "$2" ]]
}

download_wheel() { # <name> <version> <file> <sha256>
    local downloads=$RECHOST_CACHE/downloads incoming platforms=() tag
    matches_checksum "$downloads/$3" "$4" && return 0
    rm -f "$downloads/$3"
    incoming=$(mktemp -d "$downloads/incoming-XXXXXX")
    for tag in manylinux_2_28 manylinux_2_27 manylinux_2_25 manylinux_2_17 manylinux2014; do
        platforms+=(--platform "${tag}_x86_64")
    done
    if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: "${platforms[@]}" \
        --python-version 3.11 --implementation cp --abi cp311 --abi none --dest "$incoming" "$1==$2"; then
        rm -rf "$incoming"
        echo "could not download $1 $2; is there a network?"
        return 1
    fi
    if ! matches_checksum "$incoming/$3" "$4"; then
        echo "$1 $2: expected the file $3 with sha256 $4, got:"
        sha256sum "$incoming"/*
        rm -rf "$incoming"
        return 1
    fi
    mv "$incoming/$3" "$downloads/$3"
    rm -rf "$incoming"
}

unpack_wheels() { # <part> <target> <wheel>...
    # A folder that is there is complete: everything is written beside it and renamed at the end.
    local part=$1 target=$2 incoming
    shift 2
    rm -rf "$target".incoming-*
    incoming=$(mktemp -d "$target.incoming-XXXXXX")
    python3 "$RECHOST_ROOT/packaging/lib/unpack_wheels.py" "$part" "$incoming" "$@"
    chmod 755 "$incoming"
    if ! mv -T "$incoming" "$target" 2>/dev/null; then
        # Another process was quicker with the same content.
        rm -rf "$incoming"
        [[ -d $target ]]
    fi
}

# fetch_wheels <part> <name>...: prints the folder with that part (libtorch, arrow) of the wheels, named after the version of the first;
# downloads, checks and unpacks them when it is not there.
fetch_wheels() {
    local part=$1 lock=$RECHOST_ROOT/packaging/dependencies.lock name version file sha256 target wheels=()
    shift
    target=$RECHOST_CACHE/$part-$(awk -v name="$1" '$1 == name { print $2 }' "$lock")
    if [[ ! -d $target ]]; then
        command -v python3 >/dev/null || fail "python3 is missing: install the package python3"
        python3 -m pip --version >/dev/null 2>&1 || fail "pip is missing: install the package python3-pip"
        mkdir -p "$RECHOST_CACHE/downloads"
        for name in "$@"; do
            read -r version file sha256 < <(awk -v name="$name" '$1 == name { print $2, $3, $4 }' "$lock")
            step "fetch $name $version" download_wheel "$name" "$version" "$file" "$sha256"
            wheels+=("$RECHOST_CACHE/downloads/$file")
        done
        step "unpack ${target##*/}" unpack_wheels "$part" "$target" "${wheels[@]}"
    fi
    echo "$target"
}
