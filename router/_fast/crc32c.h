/* CRC-32C (Castagnoli, RFC 3720 B.4): the CPU's own instruction where it has one, else a table. */
#ifndef ROUTER_CRC32C_H
#define ROUTER_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static uint32_t crc32c_table[8][256];

static void crc32c_fill_table(void) {
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = n;
        for (int k = 0; k < 8; k++) crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
        crc32c_table[0][n] = crc;
    }
    for (uint32_t n = 0; n < 256; n++)
        for (int k = 1; k < 8; k++)
            crc32c_table[k][n] =
                crc32c_table[0][crc32c_table[k - 1][n] & 0xff] ^ (crc32c_table[k - 1][n] >> 8);
}

static uint32_t crc32c_portable(uint32_t crc, const unsigned char *data, size_t length) {
    crc = ~crc;
    while (length >= 8) {
        uint32_t low, high;
        memcpy(&low, data, 4);
        memcpy(&high, data + 4, 4);
        low ^= crc;
        crc = crc32c_table[7][low & 0xff] ^ crc32c_table[6][(low >> 8) & 0xff] ^
              crc32c_table[5][(low >> 16) & 0xff] ^ crc32c_table[4][low >> 24] ^
              crc32c_table[3][high & 0xff] ^ crc32c_table[2][(high >> 8) & 0xff] ^
              crc32c_table[1][(high >> 16) & 0xff] ^ crc32c_table[0][high >> 24];
        data += 8;
        length -= 8;
    }
    while (length--) crc = crc32c_table[0][(crc ^ *data++) & 0xff] ^ (crc >> 8);
    return ~crc;
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <nmmintrin.h>

__attribute__((target("sse4.2")))
static uint32_t crc32c_hardware(uint32_t crc, const unsigned char *data, size_t length) {
    uint64_t wide = ~crc & 0xffffffffu;
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        wide = _mm_crc32_u64(wide, word);
        data += 8;
        length -= 8;
    }
    uint32_t narrow = (uint32_t)wide;
    while (length--) narrow = _mm_crc32_u8(narrow, *data++);
    return ~narrow;
}

static int crc32c_has_hardware(void) { return __builtin_cpu_supports("sse4.2") != 0; }
#else
static uint32_t crc32c_hardware(uint32_t crc, const unsigned char *data, size_t length) {
    return crc32c_portable(crc, data, length);
}
static int crc32c_has_hardware(void) { return 0; }
#endif

#endif
