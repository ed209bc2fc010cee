# A program of ours that uses POSIX threads, static.
"$cc" -O2 -std=gnu11 -Wall -Wextra -static -pthread "$here/src/threads.c" -o "$out/threads"
