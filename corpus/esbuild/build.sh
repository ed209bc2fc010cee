# The Go executable that the npm package @esbuild/linux-riscv64 ships: static, with threads and large
# reservations of addresses. Where npm reaches no registry there is none, and run.sh says so.
if (cd "$objects" && npm pack --silent @esbuild/linux-riscv64@0.28.2 > log 2>&1); then
    tar -xzf "$objects"/esbuild-linux-riscv64-*.tgz -C "$objects"
    cp "$objects/package/bin/esbuild" "$out/esbuild"
else
    printf 'skipped: esbuild, which npm cannot fetch\n' >&2
    touch "$out/absent"
fi
