/* SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, 2012): a keyed hash, so that nobody
   who does not know the key can make two ids collide. */
#ifndef ROUTER_SIPHASH_H
#define ROUTER_SIPHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SIP_ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define SIP_ROUND                                                        \
    do {                                                                 \
        v0 += v1; v1 = SIP_ROTL(v1, 13); v1 ^= v0; v0 = SIP_ROTL(v0, 32); \
        v2 += v3; v3 = SIP_ROTL(v3, 16); v3 ^= v2;                       \
        v0 += v3; v3 = SIP_ROTL(v3, 21); v3 ^= v0;                       \
        v2 += v1; v1 = SIP_ROTL(v1, 17); v1 ^= v2; v2 = SIP_ROTL(v2, 32); \
    } while (0)

static void siphash128(const uint64_t key[2], const unsigned char *data, size_t length,
                       uint64_t out[2]) {
    uint64_t v0 = 0x736f6d6570736575ULL ^ key[0], v1 = 0x646f72616e646f6dULL ^ key[1];
    uint64_t v2 = 0x6c7967656e657261ULL ^ key[0], v3 = 0x7465646279746573ULL ^ key[1];
    const unsigned char *end = data + (length & ~(size_t)7);
    uint64_t word;
    v1 ^= 0xee;
    for (; data < end; data += 8) {
        memcpy(&word, data, 8);
        v3 ^= word;
        SIP_ROUND; SIP_ROUND;
        v0 ^= word;
    }
    word = (uint64_t)length << 56;
    for (size_t i = 0; i < (length & 7); i++) word |= (uint64_t)data[i] << (8 * i);
    v3 ^= word;
    SIP_ROUND; SIP_ROUND;
    v0 ^= word;
    v2 ^= 0xee;
    SIP_ROUND; SIP_ROUND; SIP_ROUND; SIP_ROUND;
    out[0] = v0 ^ v1 ^ v2 ^ v3;
    v1 ^= 0xdd;
    SIP_ROUND; SIP_ROUND; SIP_ROUND; SIP_ROUND;
    out[1] = v0 ^ v1 ^ v2 ^ v3;
}

#endif
