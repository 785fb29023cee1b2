/* Text as application/x-www-form-urlencoded and in a URL's query: UTF-8, all but letters, digits and
   `-._~` as %XX (RFC 3986, 2.3), a space as `+` or as %20. */
#ifndef ROUTER_FORM_H
#define ROUTER_FORM_H

#include "document.h"

static const unsigned char form_safe[256] = {
    ['-'] = 1, ['.'] = 1, ['_'] = 1, ['~'] = 1,
    ['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1,
    ['8'] = 1, ['9'] = 1,
    ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1, ['H'] = 1,
    ['I'] = 1, ['J'] = 1, ['K'] = 1, ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1,
    ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1, ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1,
    ['Y'] = 1, ['Z'] = 1,
    ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1, ['g'] = 1, ['h'] = 1,
    ['i'] = 1, ['j'] = 1, ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1,
    ['q'] = 1, ['r'] = 1, ['s'] = 1, ['t'] = 1, ['u'] = 1, ['v'] = 1, ['w'] = 1, ['x'] = 1,
    ['y'] = 1, ['z'] = 1,
};

static inline unsigned char *form_byte(unsigned char byte, int plus, unsigned char *to) {
    static const char hex[] = "0123456789ABCDEF";
    if (__builtin_expect(form_safe[byte], 1)) {
        *to++ = byte;
    } else if (byte == ' ' && plus) {
        *to++ = '+';
    } else {
        *to++ = '%';
        *to++ = hex[byte >> 4];
        *to++ = hex[byte & 15];
    }
    return to;
}

/* The n bytes at p, written to `to`, which has room for 3 n; its bytes. `escaped`: they stand between
   the quotes of JSON, with backslashes. No escape is shorter than a third of what it becomes. */
static inline size_t form_quote(cursor p, size_t n, int escaped, int plus, unsigned char *to) {
    unsigned char *start = to, one[4];
    cursor end = p + n;
    while (p < end) {
        if (escaped && *p == '\\') {
            int bytes = doc_unescape_one(&p, one);
            for (int i = 0; i < bytes; i++) to = form_byte(one[i], plus, to);
        } else {
            to = form_byte(*p++, plus, to);
        }
    }
    return to - start;
}

/* Is the number's text what an encoder writes of its value? Of whole numbers below 10^18 but -0; of
   decimals with at most 15 digits and no zero at the end, where no two have the same double, in the
   range in which none writes an exponent. */
static inline int form_number_is_plain(const doc_node *node) {
    cursor p = node->p, end = p + node->n;
    int negative = *p == '-';
    p += negative;
    if (node->type == DOC_INT) return end - p <= 18 && !(negative && *p == '0');
    if (end - p > 16 || end[-1] == '0') return 0;
    if (end - p > 4 && memcmp(p, "0.000", 5) == 0) return 0;
    for (; p < end; p++)
        if (*p == 'e' || *p == 'E') return 0;
    return 1;
}

#endif
