# What the build recipes share. Sourced by build.sh, which sets `sources`, where archives and
# unpacked packages are kept, and `host`, the prefix of the cross tools.

# Prints the newest version of Debian's source package NAME.
source_version() { # NAME
    (cd / && apt_private get -q --print-uris --only-source source "$1") |
        sed -n "s/.* $1_\(.*\)\.dsc .*/\1/p" | sed 's/%2b/+/g'
}

# Fetches and unpacks Debian's source package NAME with Debian's patches, once for each version, and
# prints the directory.
debian_source() { # NAME
    local name=$1 version directory
    version=$(source_version "$name")
    [ -n "$version" ] || fail "$name: no such source package in the archive that apt knows"
    directory=$sources/$name-$version
    if [ ! -d "$directory" ]; then
        mkdir -p "$sources/archives"
        (cd "$sources/archives" && apt_private get -qq --download-only --only-source source "$name") >> "$sources/log"
        rm -rf "$directory.new"
        dpkg-source --no-check -x "$sources/archives/${name}_$version.dsc" "$directory.new" >> "$sources/log" 2>&1
        mv "$directory.new" "$directory"
    fi
    printf '%s\n' "$directory"
}

# Fetches Debian's binary package NAME and prints the path of the file.
debian_package() { # NAME
    local file
    mkdir -p "$sources/archives"
    file=$(apt_private cache show --no-all-versions "$1" | sed -n 's|^Filename: .*/||p')
    [ -n "$file" ] || fail "$1: no such package in the archive that apt knows"
    if [ ! -f "$sources/archives/$file" ]; then
        (cd "$sources/archives" && apt_private get -qq download "$1") >> "$sources/log"
    fi
    printf '%s\n' "$sources/archives/$file"
}

# apt-get or apt-cache with lists of our own, of the archives that the system names: binary and
# source packages.
apt_private() { # get|cache ARGUMENTS...
    local state=$sources/apt
    if [ ! -f "$state/ready" ]; then
        mkdir -p "$state/parts" "$state/lists/partial" "$state/cache/archives/partial"
        if [ -f /etc/apt/sources.list ]; then
            sed -n 's/^deb \(.*\)/deb \1\ndeb-src \1/p' /etc/apt/sources.list > "$state/parts/system.list"
        fi
        for file in /etc/apt/sources.list.d/debian*.sources; do
            [ ! -f "$file" ] || sed 's/^Types:.*/Types: deb deb-src/' "$file" > "$state/parts/${file##*/}"
        done
        apt_with "$state" get -qq update >> "$sources/log"
        touch "$state/ready"
    fi
    apt_with "$state" "$@"
}

apt_with() { # STATE get|cache ARGUMENTS...
    local state=$1 tool=apt-$2
    shift 2
    "$tool" -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$state/parts" \
        -o "Dir::State::lists=$state/lists" -o "Dir::Cache=$state/cache" -o APT::Sandbox::User=root "$@"
}

fail() {
    printf 'corpus: %s\n' "$*" >&2
    exit 1
}
