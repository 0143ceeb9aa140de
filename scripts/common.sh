# Shared by the scripts here: goes to the checkout's root and finds cargo and the C++ compiler. To be sourced.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
cd -- "$root"

# One clear line, and the end.
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# rustup's folder is often not on the PATH of a non-interactive shell.
has cargo || PATH="$PATH:${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}/bin"

# The crate `cc` asks for c++ unless CXX says otherwise.
if [ -z "${CXX:-}" ] && ! has c++; then
    for compiler in g++ clang++; do
        if has "$compiler"; then
            export CXX=$compiler
            break
        fi
    done
fi
