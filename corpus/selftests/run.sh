# The table of verdicts, made anew: each line of `expected` is run, and printed with the verdict that
# it has now. The columns are the verdict, the test with its arguments, and the reason where it does
# not pass. pass is exit status 0, skip is kselftest's 4 and what it counts of its parts, fail is
# any other status, killed a signal, endless the end of the limit, none a test that did not compile.
mkdir -p "$root/tmp" "$root/dev/shm"
LIMIT_SECONDS=${SELFTEST_SECONDS:-60}

verdict_of() { # TEST [ARGUMENTS]...
    local test=$1 text=$scratch/text status
    shift
    [ -x "$bin/$test" ] || { printf none; return; }
    guest "$test" "$@" > "$text"
    cat "$text" >> "$log"
    status=$(cat "$scratch/status")
    case $status in
    0) printf pass ;;
    4) printf skip ;;
    124 | 137) printf endless ;;
    12[89] | 1[3-9]?) printf killed ;;
    *) printf fail ;;
    esac
    # Of a test with parts, how many passed.
    if grep -q '^not ok ' "$text"; then
        printf ' %s/%s' "$(grep -c '^ok ' "$text")" "$(grep -cE '^(not )?ok ' "$text")"
    fi
}

while IFS=$(printf '\t') read -r old line reason; do
    case $old in '' | '#'*) printf '%s%s%s\n' "$old" "${line:+	$line}" "${reason:+	$reason}"; continue ;; esac
    read -r -a words <<< "$line"
    printf '== %s\n' "$line" >> "$log"
    printf '%s\t%s%s\n' "$(verdict_of "${words[@]}")" "$line" "${reason:+	$reason}"
done < "$here/expected"
