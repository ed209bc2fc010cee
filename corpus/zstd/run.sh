# Two threads compress four MiB, two decompress; and the streams of one and of two threads decompress to the same.
seq 1 600000 | head -c 4194304 > "$root/numbers"
guest zstd -q -T2 -B512K -3 numbers -o two.zst
guest zstd -q -T1 -3 numbers -o one.zst
guest zstd -q -d -T2 two.zst -o two
guest zstd -q -d one.zst -o one
cmp "$root/numbers" "$root/two" && cmp "$root/numbers" "$root/one" && printf 'no difference\n'
guest zstd -t -q two.zst
(cd "$root" && wc -c one.zst two.zst)
