// pingpong [TRIPS] [KIB]: two processes hand a number to and fro through two pipes, TRIPS times,
// and each walks through KIB kibibytes of its own memory in between.
//
// Every trip is two context switches. What a switch costs the memory system is not the switch: it
// is the TLB entries that the other process needs again afterwards. With address-space identifiers
// both keep theirs; without, every switch flushes the TLB, and every page that is touched is walked
// to again. Both processes have the same addresses and different data behind them: an entry that
// survives a flush it should not survive, or is taken for the wrong process, shows in the result.

#include "rt/process.h"

enum { STRIDE = 4096 };

static u8 *memory;
static u64 places;

// One word in every 4 KiB, each changed by the number that is handed on, and mixed into it.
static u64 walk(u64 number)
{
    for (u64 i = 0; i < places; i++) {
        u64 *place = (u64 *)(memory + i * STRIDE + i % 8 * sizeof(u64));
        *place = *place * 6364136223846793005u + number;
        number ^= *place >> 7;
    }
    return number;
}

// Fills the memory differently for each process.
static void fill(u64 seed)
{
    for (u64 i = 0; i < places; i++)
        *(u64 *)(memory + i * STRIDE + i % 8 * sizeof(u64)) = seed + i;
}

static void answer(int from, int to, u64 trips)
{
    fill(2);
    for (u64 trip = 0; trip < trips; trip++) {
        u64 number;
        read_fully(from, &number, sizeof number);
        number = walk(number);
        write_fully(to, &number, sizeof number);
    }
}

// What must come out: both sides in one process, one memory after the other.
static u64 play_alone(u64 trips)
{
    u8 *mine = memory, *others = map_anonymous(places * STRIDE);
    fill(1);
    memory = others;
    fill(2);
    u64 number = 1;
    for (u64 trip = 0; trip < trips; trip++) {
        memory = mine;
        number = walk(number);
        memory = others;
        number = walk(number);
    }
    return number;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 0, 2, "[TRIPS] [KIB]");
    u64 trips = number_argument(argc, argv, 1, "TRIPS", 2000, 1, 100000000);
    places = number_argument(argc, argv, 2, "KIB", 64, 4, 1 << 20) * 1024 / STRIDE;
    memory = map_anonymous(places * STRIDE);

    struct pipe there = open_pipe(), back = open_pipe();
    int child = fork_process();
    if (child == 0) {
        answer(there.reader, back.writer, trips);
        exit(0);
    }
    fill(1);
    u64 number = 1;
    for (u64 trip = 0; trip < trips; trip++) {
        number = walk(number);
        write_fully(there.writer, &number, sizeof number);
        read_fully(back.reader, &number, sizeof number);
    }
    bool right = wait_for(child) == 0;
    right &= number == play_alone(trips);
    print("%lu trips over %lu KiB: 0x%016lx, %s\n", trips, places * (STRIDE / 1024), number,
          right ? "right" : "WRONG");
    return right ? 0 : 1;
}
