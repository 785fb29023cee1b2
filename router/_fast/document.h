/* An event's JSON as a flat array of nodes, made in one validating pass (scan.h). Nothing is copied:
   every node points into the text, which has to outlive it. */
#ifndef ROUTER_DOCUMENT_H
#define ROUTER_DOCUMENT_H

#include "scan.h"

enum { DOC_NULL, DOC_FALSE, DOC_TRUE, DOC_INT, DOC_FLOAT, DOC_STRING, DOC_LIST, DOC_OBJECT };

typedef struct {
    cursor p;            /* the value's first byte: of a string, its quote */
    cursor key;          /* the name between its quotes; NULL where the value is no member */
    uint32_t n;          /* bytes of the value, of a string with both quotes */
    uint32_t key_n;
    uint32_t next;       /* index of the node behind this value and all that it holds */
    uint32_t count;      /* members or items */
    uint8_t type;
    uint8_t escaped;     /* a string with a backslash in it */
    uint8_t key_escaped;
} doc_node;

typedef struct {
    doc_node *nodes;
    uint32_t used, room;
} doc_tape;

#define DOC_TOP UINT32_MAX

static inline doc_node *doc_push(doc_tape *t) {
    if (__builtin_expect(t->used == t->room, 0)) {
        uint32_t room = t->room ? 2 * t->room : 64;
        doc_node *grown = realloc(t->nodes, room * sizeof(doc_node));
        if (!grown) return NULL;
        t->nodes = grown;
        t->room = room;
    }
    return &t->nodes[t->used++];
}

/* As scan_string, noting escapes. */
static inline cursor doc_string(scanner *s, cursor p, uint8_t *escaped) {
    p = scan_plain(p, s->end);
    if (__builtin_expect(*p == '"', 1)) return p;
    cursor from = p, end = scan_string(s, p);
    if (end) *escaped = memchr(from, '\\', end - from) != NULL;
    return end;
}

static inline uint8_t doc_number_type(cursor p, cursor end) {
    for (; p < end; p++)
        if (*p == '.' || *p == 'e' || *p == 'E') return DOC_FLOAT;
    return DOC_INT;
}

/* 1 done, 0 not valid (see s), -1 no memory. Depth is bounded by s->max_depth. */
static inline int doc_build(doc_tape *t, scanner *s, cursor p) {
    uint32_t parent = DOC_TOP, at;
    int depth = 0;
    cursor key = NULL;
    ptrdiff_t key_n = 0;
    uint8_t key_escaped = 0;
    doc_node *node;
    t->used = 0;
    p = scan_space(p);
value:
    at = t->used;
    node = doc_push(t);
    if (!node) return -1;
    node->p = p;
    node->key = key;
    node->key_n = (uint32_t)key_n;
    node->key_escaped = key_escaped;
    node->escaped = 0;
    node->count = 0;
    switch (*p) {
    case '"':
        node->type = DOC_STRING;
        p = doc_string(s, p + 1, &node->escaped);
        if (!p) return 0;
        p++;
        break;
    case '{':
    case '[':
        node->type = *p == '{' ? DOC_OBJECT : DOC_LIST;
        node->next = parent;
        parent = at;
        if (++depth > s->max_depth) return scan_fail(s, p, SCAN_DEEP), 0;
        p = scan_space(p + 1);
        if (*p == (node->type == DOC_OBJECT ? '}' : ']')) goto close;
        if (node->type == DOC_OBJECT) goto member;
        key = NULL;
        key_n = key_escaped = 0;
        goto value;
    case 't':
    case 'f':
    case 'n':
        node->type = *p == 't' ? DOC_TRUE : *p == 'f' ? DOC_FALSE : DOC_NULL;
        p = scan_value(s, p, depth);
        if (!p) return 0;
        break;
    default:
        p = scan_number(s, p);
        if (!p) return 0;
        node->type = doc_number_type(node->p, p);
    }
    node->n = (uint32_t)(p - node->p);
    node->next = t->used;
after:
    if (parent == DOC_TOP) {
        p = scan_space(p);
        return p == s->end ? 1 : (scan_fail(s, p, SCAN_SYNTAX), 0);
    }
    node = &t->nodes[parent];
    node->count++;
    p = scan_space(p);
    if (*p == ',') {
        p = scan_space(p + 1);
        if (node->type == DOC_OBJECT) goto member;
        key = NULL;
        key_n = key_escaped = 0;
        goto value;
    }
    if (*p != (node->type == DOC_OBJECT ? '}' : ']')) return scan_fail(s, p, SCAN_SYNTAX), 0;
close:
    node = &t->nodes[parent];
    p++;
    node->n = (uint32_t)(p - node->p);
    parent = node->next;
    node->next = t->used;
    depth--;
    goto after;
member:
    if (*p != '"') return scan_fail(s, p, SCAN_SYNTAX), 0;
    key = p + 1;
    key_escaped = 0;
    p = doc_string(s, key, &key_escaped);
    if (!p) return 0;
    key_n = p - key;
    p = scan_space(p + 1);
    if (*p != ':') return scan_fail(s, p, SCAN_SYNTAX), 0;
    p = scan_space(p + 1);
    goto value;
}

/* UTF-8 of the code point in out; its bytes. */
static inline int doc_utf8(uint32_t c, unsigned char *out) {
    if (c < 0x80) {
        out[0] = c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = 0xC0 | c >> 6;
        out[1] = 0x80 | (c & 0x3F);
        return 2;
    }
    if (c < 0x10000) {
        out[0] = 0xE0 | c >> 12;
        out[1] = 0x80 | (c >> 6 & 0x3F);
        out[2] = 0x80 | (c & 0x3F);
        return 3;
    }
    out[0] = 0xF0 | c >> 18;
    out[1] = 0x80 | (c >> 12 & 0x3F);
    out[2] = 0x80 | (c >> 6 & 0x3F);
    out[3] = 0x80 | (c & 0x3F);
    return 4;
}

/* What the escape at *p (a backslash, valid) stands for, as UTF-8; *p moves behind it. */
static inline int doc_unescape_one(cursor *p, unsigned char *out) {
    cursor at = *p;
    *p += 2;
    switch (at[1]) {
    case 'b': out[0] = '\b'; return 1;
    case 'f': out[0] = '\f'; return 1;
    case 'n': out[0] = '\n'; return 1;
    case 'r': out[0] = '\r'; return 1;
    case 't': out[0] = '\t'; return 1;
    case 'u': {
        uint32_t unit = scan_hex4(at + 2);
        *p += 4;
        if (unit >= 0xD800 && unit <= 0xDBFF) {
            uint32_t low = scan_hex4(at + 8);
            *p += 6;
            unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        }
        return doc_utf8(unit, out);
    }
    default: out[0] = at[1]; return 1;
    }
}

/* The text of n bytes at p, free of escapes, into out (room for n bytes); its bytes. */
static inline size_t doc_unescape(cursor p, size_t n, unsigned char *out) {
    cursor end = p + n;
    unsigned char *to = out;
    while (p < end) {
        if (*p == '\\') to += doc_unescape_one(&p, to);
        else *to++ = *p++;
    }
    return to - out;
}

/* Is the text (between its quotes) the UTF-8 `other`? */
static inline int doc_same(cursor p, size_t n, int escaped, const void *other, size_t other_n) {
    if (__builtin_expect(!escaped, 1)) return n == other_n && memcmp(p, other, n) == 0;
    if (n < other_n) return 0;
    cursor end = p + n, o = other, o_end = o + other_n;
    unsigned char one[4];
    while (p < end) {
        int bytes = 1;
        if (*p == '\\') bytes = doc_unescape_one(&p, one);
        else one[0] = *p++;
        if (o_end - o < bytes || memcmp(o, one, bytes) != 0) return 0;
        o += bytes;
    }
    return o == o_end;
}

/* The member of an object by its name in UTF-8; of several the last, as decoders have it. NULL
   where there is none, or `of` is NULL or no object. */
static inline const doc_node *doc_member(
    const doc_tape *t, const doc_node *of, const void *key, size_t n) {
    const doc_node *found = NULL;
    if (!of || of->type != DOC_OBJECT) return NULL;
    const doc_node *node = of + 1, *end = t->nodes + of->next;
    const unsigned char first = n ? *(cursor)key : '"';  /* what a name of no bytes begins with */
    while (node < end) {
        if (__builtin_expect(node->key_escaped, 0)
                ? doc_same(node->key, node->key_n, 1, key, n)
                : node->key_n == n && *node->key == first && !memcmp(node->key, key, n))
            found = node;
        node = t->nodes + node->next;
    }
    return found;
}

/* An item of a list; NULL where there is none, or `of` is NULL or no list. */
static inline const doc_node *doc_item(const doc_tape *t, const doc_node *of, size_t index) {
    if (!of || of->type != DOC_LIST || index >= of->count) return NULL;
    const doc_node *node = of + 1;
    while (index--) node = t->nodes + node->next;
    return node;
}

/* A whole number that fits: 1, and *value; else 0. */
static inline int doc_int(const doc_node *node, int64_t *value) {
    cursor p = node->p, end = p + node->n;
    int negative = *p == '-';
    p += negative;
    if (node->type != DOC_INT || end - p > 18) return 0;
    int64_t found = 0;
    for (; p < end; p++) found = found * 10 + (*p - '0');
    *value = negative ? -found : found;
    return 1;
}

/* A number as the nearest double. Up to 15 digits and 22 of them behind the point, both parts are
   exact and so is the one rounding (Clinger 1990); strtod has the rest. */
static inline double doc_double(const doc_node *node) {
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    cursor p = node->p, end = p + node->n;
    int negative = *p == '-', digits = 0, places = -1;
    uint64_t mantissa = 0;
    if (node->n > 18) return strtod((const char *)node->p, NULL);
    for (p += negative; p < end; p++) {
        if (*p == '.') {
            places = 0;
            continue;
        }
        if (*p < '0' || *p > '9') return strtod((const char *)node->p, NULL);
        mantissa = mantissa * 10 + (*p - '0');
        digits += mantissa != 0;
        places += places >= 0;
    }
    if (digits > 15) return strtod((const char *)node->p, NULL);
    double found = (double)mantissa;
    if (places > 0) found /= powers[places];
    return negative ? -found : found;
}

#endif
