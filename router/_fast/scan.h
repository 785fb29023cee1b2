/* A validating JSON scanner (RFC 8259) that makes nothing: it finds where a value ends.

   The text has to be followed by a NUL byte, as Python's bytes are: NUL is valid nowhere in JSON, so
   that the scanner stops there without asking for the end before every byte. */
#ifndef ROUTER_SCAN_H
#define ROUTER_SCAN_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { SCAN_OK, SCAN_SYNTAX, SCAN_UTF8, SCAN_DEEP };

typedef struct {
    const unsigned char *end;  /* where the NUL is */
    const unsigned char *at;   /* where an error was found */
    int error;
    int max_depth;             /* beyond it the scan fails with SCAN_DEEP */
    int deepest;               /* how deep it went since this was last set to 0 */
    int lone_surrogate;        /* a \uD800-\uDFFF escape without its partner was seen */
    int infinite;              /* a number too large for a double was seen */
} scanner;

typedef const unsigned char *cursor;

static inline cursor scan_fail(scanner *s, cursor at, int error) {
    s->at = at;
    s->error = error;
    return NULL;
}

static inline cursor scan_space(cursor p) {
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t') p++;
    return p;
}

/* The first byte that ends a plain run: quote, backslash, control character or not ASCII. */
static inline cursor scan_plain(cursor p, cursor end) {
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(0x20);
    while (end - p >= 16) {
        __m128i chunk = _mm_loadu_si128((const __m128i *)p);
        /* A signed compare with 0x20 catches control characters and every byte from 0x80 on. */
        __m128i special = _mm_or_si128(_mm_cmplt_epi8(chunk, space),
                                       _mm_or_si128(_mm_cmpeq_epi8(chunk, quote),
                                                    _mm_cmpeq_epi8(chunk, slash)));
        int mask = _mm_movemask_epi8(special);
        if (mask) return p + __builtin_ctz(mask);
        p += 16;
    }
#endif
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') p++;
    return p;
}

/* Bytes of the UTF-8 sequence at p (RFC 3629), or 0 where it is none. */
static inline int scan_utf8(cursor p) {
    unsigned char a = p[0];
    if (a >= 0xC2 && a <= 0xDF) return (p[1] & 0xC0) == 0x80 ? 2 : 0;
    if (a >= 0xE0 && a <= 0xEF) {
        if ((p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80) return 0;
        if (a == 0xE0 && p[1] < 0xA0) return 0;
        if (a == 0xED && p[1] > 0x9F) return 0;
        return 3;
    }
    if (a >= 0xF0 && a <= 0xF4) {
        if ((p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80) return 0;
        if (a == 0xF0 && p[1] < 0x90) return 0;
        if (a == 0xF4 && p[1] > 0x8F) return 0;
        return 4;
    }
    return 0;
}

static inline int scan_hex4(cursor p) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = p[i];
        int digit;
        if (c >= '0' && c <= '9') digit = c - '0';
        else if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
        else if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
        else return -1;
        value = value * 16 + digit;
    }
    return value;
}

static cursor scan_escape(scanner *s, cursor p) {
    switch (p[1]) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return p + 2;
    case 'u': {
        int unit = scan_hex4(p + 2);
        if (unit < 0) return scan_fail(s, p, SCAN_SYNTAX);
        if (unit >= 0xD800 && unit <= 0xDFFF) {
            int low = unit < 0xDC00 && p[6] == '\\' && p[7] == 'u' ? scan_hex4(p + 8) : -1;
            if (low >= 0xDC00 && low <= 0xDFFF) return p + 12;
            s->lone_surrogate = 1;
        }
        return p + 6;
    }
    default:
        return scan_fail(s, p, SCAN_SYNTAX);
    }
}

/* p is behind the opening quote; returns the closing one. */
static cursor scan_string(scanner *s, cursor p) {
    for (;;) {
        p = scan_plain(p, s->end);
        if (*p == '"') return p;
        if (*p == '\\') {
            p = scan_escape(s, p);
            if (!p) return NULL;
        } else if (*p >= 0x80) {
            int bytes = scan_utf8(p);
            if (!bytes) return scan_fail(s, p, SCAN_UTF8);
            p += bytes;
        } else {
            return scan_fail(s, p, SCAN_SYNTAX);
        }
    }
}

static inline int scan_digit(unsigned char c) { return c >= '0' && c <= '9'; }

static cursor scan_number(scanner *s, cursor p) {
    cursor start = p, digits;
    int suspicious = 0;
    if (*p == '-') p++;
    if (*p == '0') {
        p++;
    } else if (*p >= '1' && *p <= '9') {
        digits = p;
        while (scan_digit(*p)) p++;
        suspicious = p - digits > 200; /* 200 digits and e99 still fit a double */
    } else {
        return scan_fail(s, p, SCAN_SYNTAX);
    }
    if (*p == '.') {
        p++;
        if (!scan_digit(*p)) return scan_fail(s, p, SCAN_SYNTAX);
        while (scan_digit(*p)) p++;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        if (*p == '+' || *p == '-') p++;
        if (!scan_digit(*p)) return scan_fail(s, p, SCAN_SYNTAX);
        digits = p;
        while (scan_digit(*p)) p++;
        suspicious |= p - digits > 2;
    }
    if (suspicious && isinf(strtod((const char *)start, NULL))) s->infinite = 1;
    return p;
}

static cursor scan_value(scanner *s, cursor p, int depth);

static cursor scan_list(scanner *s, cursor p, int depth) {
    p = scan_space(p + 1);
    if (*p == ']') return p + 1;
    for (;;) {
        p = scan_value(s, p, depth);
        if (!p) return NULL;
        p = scan_space(p);
        if (*p == ']') return p + 1;
        if (*p != ',') return scan_fail(s, p, SCAN_SYNTAX);
        p = scan_space(p + 1);
    }
}

/* p is at a key's opening quote; *key and *length are the text between the quotes, and the value's
   first byte is returned. */
static inline cursor scan_key(scanner *s, cursor p, cursor *key, ptrdiff_t *length) {
    if (*p != '"') return scan_fail(s, p, SCAN_SYNTAX);
    *key = p + 1;
    p = scan_string(s, p + 1);
    if (!p) return NULL;
    *length = p - *key;
    p = scan_space(p + 1);
    if (*p != ':') return scan_fail(s, p, SCAN_SYNTAX);
    return scan_space(p + 1);
}

static cursor scan_object(scanner *s, cursor p, int depth) {
    cursor key;
    ptrdiff_t length;
    p = scan_space(p + 1);
    if (*p == '}') return p + 1;
    for (;;) {
        p = scan_key(s, p, &key, &length);
        if (!p) return NULL;
        p = scan_value(s, p, depth);
        if (!p) return NULL;
        p = scan_space(p);
        if (*p == '}') return p + 1;
        if (*p != ',') return scan_fail(s, p, SCAN_SYNTAX);
        p = scan_space(p + 1);
    }
}

/* p is at a value's first byte; returns what follows it, or NULL with the error in s. */
static cursor scan_value(scanner *s, cursor p, int depth) {
    switch (*p) {
    case '"':
        p = scan_string(s, p + 1);
        return p ? p + 1 : NULL;
    case '{':
    case '[':
        if (++depth > s->deepest) s->deepest = depth;
        if (depth > s->max_depth) return scan_fail(s, p, SCAN_DEEP);
        return *p == '{' ? scan_object(s, p, depth) : scan_list(s, p, depth);
    case 't':
        return strncmp((const char *)p, "true", 4) == 0 ? p + 4 : scan_fail(s, p, SCAN_SYNTAX);
    case 'f':
        return strncmp((const char *)p, "false", 5) == 0 ? p + 5 : scan_fail(s, p, SCAN_SYNTAX);
    case 'n':
        return strncmp((const char *)p, "null", 4) == 0 ? p + 4 : scan_fail(s, p, SCAN_SYNTAX);
    default:
        return scan_number(s, p);
    }
}

#endif
