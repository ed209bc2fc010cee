# Linux's own tests of memory management and of what lies beside it, from Debian's linux-source
# package, each built by itself. One that does not compile for riscv64 has no executable, which
# run.sh reports as its verdict.
#
# libcap and libnuma, which some tests need, have no riscv64 packages in Debian 12: they are built
# from Debian's source packages.
archive=$(debian_package linux-source-6.1)
linux=$sources/$(basename "$archive" .deb)
if [ ! -d "$linux" ]; then
    rm -rf "$linux.new"
    mkdir -p "$linux.new"
    dpkg-deb --fsys-tarfile "$archive" | tar -xO ./usr/src/linux-source-6.1.tar.xz |
        tar -xJ -C "$linux.new" --strip-components=1 --wildcards 'linux-source-*/tools/testing/selftests/*' \
            'linux-source-*/mm/gup_test.h' 'linux-source-*/lib/test_hmm_uapi.h' \
            'linux-source-*/include/vdso/*.h'
    mv "$linux.new" "$linux"
fi
tests=$linux/tools/testing/selftests

cp -r "$(debian_source libcap2)" "$objects/cap"
make -s -C "$objects/cap/libcap" CROSS_COMPILE="$host-" BUILD_CC=gcc SHARED=no libcap.a > "$objects/log" 2>&1 ||
    fail "$(tail -n 5 "$objects/log")"
numa=$(debian_source numactl)
printf '#define HAVE_STREAMING 0\n' > "$objects/config.h"
for file in libnuma syscall distance affinity sysfs rtnetlink; do
    "$cc" -O2 -w -I "$objects" -I "$numa" -c "$numa/$file.c" -o "$objects/$file.o"
done
"$host-ar" rcs "$objects/libnuma.a" "$objects"/*.o

compile() { # DIRECTORY/TEST [MORE_ARGUMENTS]...
    local name=$1 directory=$tests/${1%/*} test=${1##*/} binary
    shift
    binary=$out/$name
    mkdir -p "${binary%/*}" "$objects/logs"
    (
        cd "$directory"
        "$cc" -O2 -w -static -pthread -I "$linux" -I "$objects/cap/libcap/include" -I "$numa" \
            "$test.c" "$@" -lrt "$objects/cap/libcap/libcap.a" "$objects/libnuma.a" -o "$binary"
    ) > "$objects/logs/${name//\//-}" 2>&1 ||
        { printf '%s: ' "$name"; grep -m 1 error "$objects/logs/${name//\//-}"; } >> "$out/not-built"
}

for file in "$tests"/vm/*.c; do
    name=$(basename "$file" .c)
    case $name in
    vm_util) ;;
    khugepaged | madv_populate | soft-dirty | split_huge_page_test | userfaultfd) compile "vm/$name" vm_util.c ;;
    *) compile "vm/$name" ;;
    esac
done
compile mincore/mincore_selftest
for file in "$tests"/futex/functional/*.c; do
    compile "futex/functional/$(basename "$file" .c)" -I ../include -I ../../
done
compile memfd/memfd_test common.c
compile membarrier/membarrier_test_single_thread
compile membarrier/membarrier_test_multi_thread
compile sigaltstack/sas
for name in clone3 clone3_clear_sighand clone3_set_tid; do
    compile "clone3/$name"
done
compile core/close_range_test
for name in pidfd_test pidfd_open_test pidfd_poll_test pidfd_wait; do
    compile "pidfd/$name"
done
for name in proc-self-map-files-001 proc-self-map-files-002 proc-self-syscall proc-tid0 \
    proc-uptime-001 fd-001-lookup fd-002-posix-eq self thread-self; do
    compile "proc/$name" -D_GNU_SOURCE
done
compile exec/execveat
compile exec/null-argv
compile exec/non-regular
compile filesystems/epoll/epoll_wakeup_test
compile ipc/msgque
compile timers/posix_timers
compile timers/nanosleep
compile splice/default_file_splice_read
