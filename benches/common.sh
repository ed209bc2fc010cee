# What the scripts here share: sourced, not run. Leaves the command to measure in $pagewalk and
# changes to the top of the project.
#
# PAGEWALK names another binary to measure; without it the release build is made and measured.
# shellcheck shell=sh

cd "$(dirname "$0")/.." || exit 2

need() { # TOOL PACKAGE
    command -v "$1" >/dev/null && return
    echo "${0##*/}: $1 not found (Debian: apt install $2)" >&2
    exit 2
}

need python3 python3
if [ -z "${PAGEWALK:-}" ]; then
    cargo build --release --quiet --locked --package pagewalk || exit 2
    PAGEWALK=${CARGO_TARGET_DIR:-target}/release/pagewalk
fi
pagewalk=$PAGEWALK
