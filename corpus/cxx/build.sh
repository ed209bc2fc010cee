# A dynamically linked C++ program of ours, and the libraries that it needs, from Debian's sysroot.
"$host-g++" -O2 -std=c++17 -pthread "$here/src/tour.cpp" -o "$out/tour"
mkdir -p "$out/sysroot/lib"
for library in ld-linux-riscv64-lp64d.so.1 libc.so.6 libm.so.6 libstdc++.so.6 libgcc_s.so.1; do
    cp -L "/usr/$host/lib/$library" "$out/sysroot/lib/$library"
done
