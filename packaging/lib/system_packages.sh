# Sourced: finds out which packages of dependencies.apt are missing, and installs them.
# shellcheck shell=bash

# missing_packages <set>...: one name per line.
missing_packages() {
    local wanted=" $* " group package minimum installed
    while read -r group package minimum _; do
        [[ $group == \#* || -z $group || $wanted != *" $group "* ]] && continue
        installed=$(dpkg-query -W -f='${db:Status-Abbrev}${Version}' "$package" 2>/dev/null || true)
        if [[ $installed != "ii "* ]] || ! dpkg --compare-versions "${installed#ii }" ge "$minimum"; then
            echo "$package"
        fi
    done <"$RECHOST_ROOT/packaging/dependencies.apt"
}

install_packages() {
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# need_packages <set>...
need_packages() {
    local missing
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        need_tools
        return
    fi
    mapfile -t missing < <(missing_packages "$@")
    if ((${#missing[@]} == 0)); then return; fi
    if ((EUID != 0)) && ! command -v sudo >/dev/null; then
        fail "these packages are missing, and without root or sudo they cannot be installed here: ${missing[*]}"
    fi
    # Asked for before the step begins, because a step shows no prompt.
    if ((EUID != 0)); then sudo -v; fi
    step "install ${#missing[@]} packages with apt" install_packages "${missing[@]}"
    mapfile -t missing < <(missing_packages "$@")
    if ((${#missing[@]} != 0)); then
        fail "this distribution has too old a version of: ${missing[*]} (needed: packaging/dependencies.apt)"
    fi
}

# On a system without apt nothing is installed; what the build calls must be there, and the rest CMake names.
need_tools() {
    local entry missing=()
    for entry in g++:g++ cmake:cmake ninja:ninja-build git:git python3:python3; do
        command -v "${entry%%:*}" >/dev/null || missing+=("${entry%%:*} (Debian package ${entry##*:})")
    done
    if ((${#missing[@]} == 0)); then return; fi
    fail "no apt here, and these tools are missing: ${missing[*]}. All that is needed: packaging/dependencies.apt"
}
