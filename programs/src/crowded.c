// crowded FILE [KIB] [ROUNDS]: a process that holds KIB of memory and does nothing, and one that reads a
// word of each page of FILE, ROUNDS times over.
//
// Where the file's pages do not fit beside the idle one's memory, and that cannot go to swap, each page
// is dropped before it is read again: nobody ever lacks memory, and next to nothing is done. A system
// that sees that ends the idle process. What the other finds is the same in any case.

#include "rt/process.h"

int main(int argc, char **argv)
{
    expect_arguments(argc, 1, 3, "FILE [KIB] [ROUNDS]");
    u64 kibibytes = number_argument(argc, argv, 2, "KIB", 1024, 1, 1 << 20);
    u64 rounds = number_argument(argc, argv, 3, "ROUNDS", 10, 1, 1000000);

    struct pipe end = open_pipe(), ready = open_pipe();
    int idle = fork_process();
    if (idle == 0) {
        u64 bytes = kibibytes * 1024;
        u8 *memory = map_anonymous(bytes);
        memset(memory, 1, bytes);
        send_token(ready.writer);
        await_token(end.reader);
        return memory[bytes - 1] != 1;
    }
    await_token(ready.reader);
    struct mapped_file file = map_file(argv[1]);
    size_t page = page_size();
    u64 sum = 0;
    for (u64 round = 0; round < rounds; round++)
        for (size_t at = 0; at < file.size; at += page)
            sum = sum * 31 + file.bytes[at];
    print("%lu rounds of %lu bytes: %016lx\n", rounds, file.size, sum);
    send_token(end.writer);
    wait_for(idle);
    return 0;
}
