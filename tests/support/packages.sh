# shellcheck shell=bash
# Functions for the scripts that need system packages; to be sourced.

stop() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# Runs a command as root: as it is when we are, by sudo where that needs no password.
as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo -n "$@"
    fi
}

# Installs Debian packages, or says which to install by hand.
install_packages() {
    command -v apt-get >/dev/null || stop "please install: $*"
    ((EUID == 0)) || sudo -n true 2>/dev/null || stop "please install as root: apt-get install $*"
    echo "installing $*" >&2
    as_root apt-get update -qq </dev/null || echo "apt-get update failed; trying with the lists at hand" >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" \
        </dev/null >/dev/null || stop "could not install: $*"
}
