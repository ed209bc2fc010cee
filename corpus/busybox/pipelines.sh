# Pipelines, redirections, background jobs, traps: each part prints what it found.

echo '# pipelines'
seq 2000 | sort -r | uniq | wc -l
seq 1 500 | awk '{ sum += $1 * $1 } END { print sum }'
yes pagewalk | head -n 3000 | md5sum
seq 20 | while read -r n; do [ $((n % 7)) -ne 0 ] || echo "seven divides $n"; done
false | true | false
echo "status of a pipeline: $?"

echo '# files'
mkdir -p tree/a/b tree/c
for n in 1 2 3 4 5; do seq $((n * 100)) > tree/a/b/$n.txt; done
cp -r tree/a tree/c/copy
ln -s ../a/b/1.txt tree/c/link
find tree -name '*.txt' | sort | xargs wc -l | tail -n 1
find tree -type l -exec readlink {} \;
grep -rl '^499$' tree | sort
grep -c 9 tree/a/b/5.txt
mv tree/c/copy/b/5.txt tree/five && stat -c '%s %F' tree/five
rm -r tree/c/copy && test ! -e tree/c/copy && echo removed

echo '# archives'
tar cf - tree | gzip -c > tree.tgz
mkdir out && tar xzf tree.tgz -C out && diff -r tree out/tree && echo 'archive: no difference'
tar tzf tree.tgz | sort | head -n 3
head -c 100000 /dev/zero | gzip | gunzip | wc -c
bzip2 -c tree/five | bunzip2 | cmp - tree/five && echo 'bzip2: no difference'

echo '# command substitution, here documents'
name=$(echo "$(echo inner) outer" | tr a-z A-Z)
cat <<END | sed 's/^/> /'
$name ${#name} $((6 * 7)) $(seq 3 | tr '\n' '+')
END
cat <<'END'
$name stays
END
set -- one 'two words' three
for argument in "$@"; do echo "[$argument]"; done
case $name in INNER*) echo matched ;; esac

echo '# background jobs'
(sleep 0.2; echo late > tmp/late) &
job=$!
wait $job
echo "waited: $? $(cat tmp/late)"
for n in 1 2 3 4; do (exit $n) & wait $! || echo "job ended with $?"; done
sleep 100 &
kill -TERM $!
wait $! 2> tmp/wait
echo "killed: $?"
mkfifo tmp/fifo
seq 1000 > tmp/fifo &
tail -n 1 < tmp/fifo
wait

echo '# traps and subshells'
trap 'echo "caught USR1"' USR1
kill -USR1 $$
(trap 'echo leaving' EXIT; cd tree && pwd | sed 's,.*/,,')
echo "$(exec 2>&1; ls /nowhere/at/all)" | sed 's/.*: //'
f() { local n=$1; [ "$n" -le 1 ] && echo 1 || echo $(($(f $((n - 1))) * n)); }
f 6
exec 3> tmp/three; echo 'to three' >&3; exec 3>&-; cat tmp/three
dd if=/dev/zero bs=1k count=64 2> tmp/dd | sha256sum
(ulimit -n 5; sh -c 'ulimit -n')
echo "$((0x7fffffffffffffff + 1))"
