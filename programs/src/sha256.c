// sha256 FILE|-: the SHA-256 digest (FIPS 180-4) of a file, or of stdin for "-", in sha256sum's
// format.
//
// Nearly all integer computation: a few pages of memory, used over and over. The opposite of
// randaccess.

#include "rt/rt.h"

struct sha256 {
    u32 state[8];
    u64 length; // of the message so far, in bytes
    u8 block[64]; // its last length % 64 bytes
};

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
static const u32 round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

// The same of the square roots of the first 8 primes.
static const u32 initial_state[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static u32 rotate_right(u32 value, u32 bits)
{
    return value >> bits | value << (32 - bits);
}

static void expand_block(const u8 *block, u32 *w)
{
    for (u32 t = 0; t < 16; t++, block += 4)
        w[t] = (u32)block[0] << 24 | (u32)block[1] << 16 | (u32)block[2] << 8 | block[3];
    for (u32 t = 16; t < 64; t++) {
        u32 s0 = rotate_right(w[t - 15], 7) ^ rotate_right(w[t - 15], 18) ^ w[t - 15] >> 3;
        u32 s1 = rotate_right(w[t - 2], 17) ^ rotate_right(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
}

// Section 6.2.2 of the standard; the letters are its own.
static void process_block(u32 *state, const u8 *block)
{
    u32 w[64];
    expand_block(block, w);

    u32 a = state[0], b = state[1], c = state[2], d = state[3];
    u32 e = state[4], f = state[5], g = state[6], h = state[7];
    for (u32 t = 0; t < 64; t++) {
        u32 sum1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        u32 choice = (e & f) ^ (~e & g);
        u32 t1 = h + sum1 + choice + round_constants[t] + w[t];
        u32 sum0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        u32 majority = (a & b) ^ (a & c) ^ (b & c);
        u32 t2 = sum0 + majority;
        h = g, g = f, f = e, e = d + t1;
        d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

static void start(struct sha256 *hash)
{
    memcpy(hash->state, initial_state, sizeof hash->state);
    hash->length = 0;
}

static void add_bytes(struct sha256 *hash, const u8 *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hash->block[hash->length++ % 64] = bytes[i];
        if (hash->length % 64 == 0)
            process_block(hash->state, hash->block);
    }
}

// Pads with a one bit, zeros, and the length in bits as 64 bits, most significant byte first.
static void finish(struct sha256 *hash)
{
    u64 bits = hash->length * 8;
    add_bytes(hash, (const u8[]){0x80}, 1);
    while (hash->length % 64 != 56)
        add_bytes(hash, (const u8[]){0}, 1);
    for (u32 shift = 64; shift > 0; shift -= 8)
        add_bytes(hash, (const u8[]){(u8)(bits >> (shift - 8))}, 1);
}

static void hash_file(struct sha256 *hash, int fd, const char *path)
{
    static u8 buffer[4096];
    start(hash);
    for (;;) {
        long result = sys_read(fd, buffer, sizeof buffer);
        if (result < 0)
            die("cannot read %s: %s", path, error_name(result));
        if (result == 0)
            break;
        add_bytes(hash, buffer, (size_t)result);
    }
    finish(hash);
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 1, 1, "FILE|-");
    const char *path = argv[1];
    long fd = strings_equal(path, "-") ? STDIN : sys_openat(path, O_RDONLY, 0);
    if (fd < 0)
        die("cannot open %s: %s", path, error_name(fd));

    struct sha256 hash;
    hash_file(&hash, (int)fd, path);
    for (u32 i = 0; i < 8; i++)
        print("%08x", hash.state[i]);
    print("  %s\n", path);
    return 0;
}
