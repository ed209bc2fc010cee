# The table of verdicts, made anew: each line of `expected` is run, and printed with the verdict that
# it has now. The columns are the verdict, the test with its arguments, and the reason where it does
# not pass. pass is exit status 0, skip is kselftest's 4, fail is any other status, killed a signal,
# endless the end of the limit, none a test that did not compile; after fail, how many of its parts
# passed, if it counts them.
#
# vm/transhuge-stress is left out: it goes on until it is stopped.
#
# Each test runs in its own directory of a small system: busybox below /bin, /tmp, /dev/shm. The
# limit is one of instructions, so that a verdict does not depend on the host's speed. The processor
# has 50 MHz: tests that go on until so many seconds have passed have less to execute.
busybox=$directory/bin/busybox/busybox
[ -x "$busybox" ] || fail 'selftests need busybox: corpus/build.sh DIRECTORY busybox'
printf 'clock_mhz = 50\n' > "$scratch/cost.toml"
options+=(--max-instructions "${SELFTEST_INSTRUCTIONS:-2G}" --cost "$scratch/cost.toml" --env PATH=/bin)

# A root directory with one test in it, and what its makefile would put beside it.
prepare() { # TEST
    rm -rf "$root"
    mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/dev/shm" "$root/test"
    cp "$busybox" "$root/bin/busybox"
    printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' > "$root/etc/passwd"
    for applet in cat ls sh sleep true; do
        ln -s busybox "$root/bin/$applet"
    done
    cp "$bin/$1" "$root/test"
    if [ "$1" = exec/execveat ]; then
        mkdir "$root/test/subdir"
        ln -s execveat "$root/test/execveat.symlink"
        install -m 644 "$bin/$1" "$root/test/execveat.denatured"
        printf '#!/bin/sh\nexit $*\n' > "$root/test/script"
        chmod +x "$root/test/script"
        printf '# Read by execveat.\n' > "$root/test/Makefile"
    fi
}

verdict_of() { # TEST [ARGUMENTS]...
    local test=$1 text=$scratch/text status command
    shift
    [ -x "$bin/$test" ] || { printf none; return; }
    prepare "$test"
    command="cd /test && exec ./${test##*/} $*"
    case $test in
    # Root's locks have no limit, and Linux's script runs it so, too.
    vm/on-fault-limit) command="exec /bin/busybox su -s /bin/sh nobody -c '$command'" ;;
    # Two of its threads wait for each other without leaving the processor.
    filesystems/epoll/epoll_wakeup_test) options+=(--harts 2) ;;
    esac
    guest ../busybox/busybox sh -c "$command" > "$text"
    cat "$text" >> "$log"
    status=$(cat "$scratch/status")
    grep -q '"reason": "stopped after' "$scratch/report.json" && status=124
    case $status in
    0) printf pass ;;
    4) printf skip ;;
    124 | 137) printf endless ;;
    12[89] | 1[3-9]?) printf killed ;;
    *) printf fail ;;
    esac
    if grep -q '^not ok ' "$text"; then
        printf ' %s/%s' "$(grep -c '^ok ' "$text")" "$(grep -cE '^(not )?ok ' "$text")"
    fi
}

# One line of the table, in a directory of its own.
judge() ( # NUMBER OLD LINE REASON
    case $2 in '' | '#'*) printf '%s%s%s\n' "$2" "${3:+	$3}" "${4:+	$4}"; return ;; esac
    scratch=$scratch/$1
    root=$scratch/root
    log=$scratch/log
    mkdir -p "$scratch"
    read -r -a words <<< "$3"
    printf '== %s\n' "$3" >> "$log"
    printf '%s\t%s%s\n' "$(verdict_of "${words[@]}")" "$3" "${4:+	$4}"
    rm -rf "$root"
)

number=0
while IFS=$(printf '\t') read -r old line reason; do
    number=$((number + 1))
    if [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; then
        wait -n || true
    fi
    judge "$number" "$old" "$line" "$reason" > "$scratch/$number.line" &
done < "$here/expected"
wait
for ((n = 1; n <= number; n++)); do
    cat "$scratch/$n.line"
    cat "$scratch/$n/log" >> "$log" 2> /dev/null || true
done
