cp -r "$bin/sysroot/." "$root"
guest tour
