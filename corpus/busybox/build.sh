# busybox as Debian's package busybox-static configures it: the shell runs applets by executing
# /proc/self/exe.
source=$(debian_source busybox)
cp "$source/debian/config/pkg/static" "$objects/.config"
# The host's pkg-config knows no libraries of the target.
sed -i -e 's/^CONFIG_SELINUX=y/# CONFIG_SELINUX is not set/' "$objects/.config"
(
    cd "$source"
    make -s O="$objects" ARCH=riscv CROSS_COMPILE="$host-" oldconfig < /dev/null
    make -s -C "$objects" ARCH=riscv CROSS_COMPILE="$host-" SKIP_STRIP=y -j"$jobs" busybox
) > "$objects/log" 2>&1 || fail "$(tail -n 20 "$objects/log")"
cp "$objects/busybox" "$out/busybox"
