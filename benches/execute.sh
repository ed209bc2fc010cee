#!/bin/sh
# The page-table formats of one family, checked against QEMU (x86: and KVM) executing the access.
#
#     benches/execute.sh FAMILY [N]     FAMILY x86, riscv, aarch64 or ppc; N states (1000000)
#
# Needs qemu-system-FAMILY and the family's binutils; a missing tool is a failure here. What was
# compared, and what was not, is printed. SEED=NUMBER takes another sample of the states.
set -eu
cd "$(dirname "$0")/.."

usage() {
    echo "usage: benches/execute.sh x86|riscv|aarch64|ppc [N]" >&2
    exit 2
}
case ${1:-} in
x86 | riscv | aarch64 | ppc) family=$1 ;;
*) usage ;;
esac
states=${2:-1000000}
case $states in
'' | *[!0-9]*) usage ;;
esac

EXECUTE_STATES=$states EXECUTE_SEED=${SEED:-0} CI_ORACLES=require \
    exec cargo test --locked --package pagewalk-mmu --test "execute_$family" -- --nocapture
