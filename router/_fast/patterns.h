/* A regular expression as a lazily built DFA: every character of a text is one table look-up, or,
   the first time its state meets it, one pass over the program. There is no backtracking.

   The DFA runs over classes of code points that no set of the pattern tells apart, not over bytes:
   so one program serves Python's three string widths and UTF-8 alike. */
#ifndef ROUTER_PATTERNS_H
#define ROUTER_PATTERNS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PATTERN_CACHE_BYTES (1 << 20)

enum { PATTERN_CHAR, PATTERN_SPLIT, PATTERN_ASSERT, PATTERN_MATCH };
enum { PATTERN_BEGIN, PATTERN_END, PATTERN_WORD, PATTERN_NOT_WORD };
enum { PATTERN_UNKNOWN = -1, PATTERN_DEAD = -2, PATTERN_ACCEPT = -3, PATTERN_NO_MEMORY = -4 };
enum { HERE_BEGIN = 1, HERE_END = 2, HERE_WORD_BEFORE = 4, HERE_WORD_AFTER = 8, HERE_KNOWN = 16 };

typedef struct {
    int32_t op;
    int32_t x; /* CHAR: the set, SPLIT: one way on, ASSERT: what has to hold */
    int32_t y; /* the way on */
} pattern_step;

typedef struct {
    int32_t at, length; /* its steps in the pool, ascending */
    int32_t flags;
    int32_t next; /* in the hash chain */
} pattern_state;

typedef struct {
    pattern_step *steps;
    int32_t count, start;
    uint32_t *ranges; /* pairs: first, last */
    int32_t *set_at;  /* set i is the pairs set_at[i] up to set_at[i + 1] */
    uint32_t *bounds; /* interval i begins at bounds[i] and is of class classes[i] */
    uint16_t *classes;
    int32_t intervals;
    uint32_t *samples; /* a code point of each class */
    int32_t width;     /* classes and, last, the text's end */
    uint16_t low[256];

    int32_t *table; /* rows of `width`: the next state's row, or one of the negatives */
    pattern_state *states;
    int32_t used, room, emptied;
    int32_t *pool;
    int32_t pool_used, pool_room;
    int32_t chains[1024];
    int32_t begin;

    int32_t *marks, generation;
    int32_t *stack, *closed, *found;
    int matched;
} pattern;

static inline void pattern_forget(pattern *p) {
    p->used = p->pool_used = 0;
    p->emptied++;
    p->begin = PATTERN_UNKNOWN;
    memset(p->chains, 0xFF, sizeof p->chains);
}

static inline int pattern_is_word(uint32_t c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static int pattern_holds(int assertion, int here) {
    int word = !(here & HERE_WORD_BEFORE) != !(here & HERE_WORD_AFTER);
    switch (assertion) {
    case PATTERN_BEGIN: return here & HERE_BEGIN;
    case PATTERN_END: return here & HERE_END;
    case PATTERN_WORD: return word;
    default: return !word;
    }
}

/* Follow what needs no character from step i on and append the rest to out. Assertions wait there
   until both of their sides are known (HERE_KNOWN). */
static int pattern_follow(pattern *p, int32_t i, int here, int32_t *out, int length) {
    int top = 0;
    p->stack[top++] = i;
    while (top) {
        i = p->stack[--top];
        if (p->marks[i] == p->generation) continue;
        p->marks[i] = p->generation;
        const pattern_step *step = &p->steps[i];
        switch (step->op) {
        case PATTERN_SPLIT:
            p->stack[top++] = step->y;
            p->stack[top++] = step->x;
            break;
        case PATTERN_ASSERT:
            if ((here & HERE_KNOWN) || step->x == PATTERN_BEGIN) {
                if (pattern_holds(step->x, here)) p->stack[top++] = step->y;
            } else {
                out[length++] = i;
            }
            break;
        case PATTERN_MATCH:
            p->matched = 1;
            break;
        default:
            out[length++] = i;
        }
    }
    return length;
}

static int pattern_in_set(const pattern *p, int32_t set, uint32_t c) {
    int32_t low = p->set_at[set], high = p->set_at[set + 1];
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (c > p->ranges[2 * middle + 1]) low = middle + 1;
        else if (c < p->ranges[2 * middle]) high = middle;
        else return 1;
    }
    return 0;
}

static int pattern_ascending(const void *a, const void *b) {
    return *(const int32_t *)a < *(const int32_t *)b ? -1 : 1;
}

static int pattern_reserve(void **memory, int32_t *room, int32_t needed, size_t size) {
    if (needed <= *room) return 1;
    int32_t larger = *room ? *room : 8;
    while (larger < needed) larger *= 2;
    void *grown = realloc(*memory, larger * size);
    if (!grown) return 0;
    *memory = grown;
    *room = larger;
    return 1;
}

/* The row of the state that holds these steps. A full cache is emptied first: it only costs time. */
static int32_t pattern_intern(pattern *p, int32_t *steps, int32_t length, int32_t flags) {
    uint32_t hash = 2166136261u ^ (uint32_t)flags;
    int waits = 0;
    qsort(steps, length, sizeof *steps, pattern_ascending);
    for (int32_t i = 0; i < length; i++) waits |= p->steps[steps[i]].op == PATTERN_ASSERT;
    if (!waits) flags = 0;
    for (int32_t i = 0; i < length; i++) hash = (hash ^ (uint32_t)steps[i]) * 16777619u;
    hash = (hash ^ hash >> 15) & 1023;
    for (int32_t s = p->chains[hash]; s >= 0; s = p->states[s].next) {
        const pattern_state *state = &p->states[s];
        if (state->length == length && state->flags == flags &&
            !memcmp(p->pool + state->at, steps, length * sizeof *steps))
            return s * p->width;
    }
    size_t bytes = ((size_t)p->used + 1) * p->width * sizeof(int32_t) +
                   ((size_t)p->pool_used + length) * sizeof(int32_t);
    if (p->used && bytes > PATTERN_CACHE_BYTES) pattern_forget(p);
    int32_t room = p->room, table_room = p->room * p->width;
    if (!pattern_reserve((void **)&p->pool, &p->pool_room, p->pool_used + length, sizeof(int32_t)))
        return PATTERN_NO_MEMORY;
    if (p->used == room) {
        if (!pattern_reserve((void **)&p->states, &room, p->used + 1, sizeof *p->states))
            return PATTERN_NO_MEMORY;
        if (!pattern_reserve((void **)&p->table, &table_room, room * p->width, sizeof(int32_t)))
            return PATTERN_NO_MEMORY;
        p->room = room;
    }
    int32_t s = p->used++;
    p->states[s] = (pattern_state){p->pool_used, length, flags, p->chains[hash]};
    p->chains[hash] = s;
    memcpy(p->pool + p->pool_used, steps, length * sizeof *steps);
    p->pool_used += length;
    memset(p->table + (size_t)s * p->width, 0xFF, p->width * sizeof(int32_t));
    return s * p->width;
}

static int32_t pattern_first(pattern *p) {
    p->generation++;
    p->matched = 0;
    int32_t length = pattern_follow(p, p->start, HERE_BEGIN, p->found, 0);
    p->begin = PATTERN_ACCEPT;
    if (!p->matched) {
        int32_t row = pattern_intern(p, p->found, length, HERE_BEGIN);
        p->begin = row; /* after interning, which may have forgotten it */
    }
    return p->begin;
}

/* Where the state of this row goes on a class, and note it in the table. */
static int32_t pattern_go(pattern *p, int32_t row, int32_t class) {
    pattern_state state = p->states[row / p->width];
    int end = class == p->width - 1;
    uint32_t c = p->samples[class];
    int after = !end && pattern_is_word(c);
    int here = state.flags | HERE_KNOWN | (end ? HERE_END : 0) | (after ? HERE_WORD_AFTER : 0);
    int32_t closed = 0, length = 0;
    p->matched = 0;
    p->generation++;
    for (int32_t i = 0; i < state.length; i++)
        closed = pattern_follow(p, p->pool[state.at + i], here, p->closed, closed);
    p->generation++;
    if (!p->matched && !end) {
        for (int32_t i = 0; i < closed; i++) {
            const pattern_step *step = &p->steps[p->closed[i]];
            if (pattern_in_set(p, step->x, c))
                length = pattern_follow(p, step->y, 0, p->found, length);
        }
        length = pattern_follow(p, p->start, 0, p->found, length);
    }
    int32_t next = PATTERN_DEAD, before = p->emptied;
    if (p->matched) next = PATTERN_ACCEPT;
    else if (length) next = pattern_intern(p, p->found, length, after ? HERE_WORD_BEFORE : 0);
    if (next != PATTERN_NO_MEMORY && p->emptied == before) p->table[row + class] = next;
    return next;
}

static inline int32_t pattern_class(const pattern *p, uint32_t c) {
    if (c < 256) return p->low[c];
    int32_t low = 0, high = p->intervals - 1;
    while (low < high) {
        int32_t middle = (low + high + 1) / 2;
        if (p->bounds[middle] <= c) low = middle;
        else high = middle - 1;
    }
    return p->classes[low];
}

/* A code point of UTF-8; what is none is U+FFFD, a byte long. */
static inline uint32_t pattern_decode(const unsigned char **at, const unsigned char *end) {
    const unsigned char *p = *at;
    ptrdiff_t left = end - p;
    uint32_t c = 0xFFFD;
    int length = 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF && left > 1 && (p[1] & 0xC0) == 0x80) {
        c = (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
        length = 2;
    } else if (p[0] >= 0xE0 && p[0] <= 0xEF && left > 2 && (p[1] & 0xC0) == 0x80 &&
               (p[2] & 0xC0) == 0x80) {
        uint32_t d = (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
        if (d >= 0x800 && (d < 0xD800 || d > 0xDFFF)) c = d, length = 3;
    } else if (p[0] >= 0xF0 && p[0] <= 0xF4 && left > 3 && (p[1] & 0xC0) == 0x80 &&
               (p[2] & 0xC0) == 0x80 && (p[3] & 0xC0) == 0x80) {
        uint32_t d = (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 |
                     (p[3] & 0x3Fu);
        if (d >= 0x10000 && d <= 0x10FFFF) c = d, length = 4;
    }
    *at = p + length;
    return c;
}

/* 1, 0, or -1 without memory. NEXT takes a class off the text. */
#define PATTERN_SEARCH(NAME, TYPE, NEXT)                                         \
    static inline int NAME(pattern *p, const TYPE *at, size_t length) {          \
        const TYPE *end = at + length;                                           \
        int32_t row = p->begin == PATTERN_UNKNOWN ? pattern_first(p) : p->begin; \
        while (row >= 0) {                                                       \
            if (at == end) {                                                     \
                int32_t last = p->table[row + p->width - 1];                     \
                row = last == PATTERN_UNKNOWN ? pattern_go(p, row, p->width - 1) : last; \
                break;                                                           \
            }                                                                    \
            int32_t class = NEXT;                                                \
            int32_t next = p->table[row + class];                                \
            row = next == PATTERN_UNKNOWN ? pattern_go(p, row, class) : next;    \
        }                                                                        \
        return row == PATTERN_NO_MEMORY ? -1 : row == PATTERN_ACCEPT;            \
    }

static inline int32_t pattern_utf8_class(const pattern *p, const unsigned char **at,
                                         const unsigned char *end) {
    if (**at < 0x80) return p->low[*(*at)++];
    return pattern_class(p, pattern_decode(at, end));
}

PATTERN_SEARCH(pattern_search_1, uint8_t, p->low[*at++])
PATTERN_SEARCH(pattern_search_2, uint16_t, pattern_class(p, *at++))
PATTERN_SEARCH(pattern_search_4, uint32_t, pattern_class(p, *at++))
PATTERN_SEARCH(pattern_search_utf8, unsigned char, pattern_utf8_class(p, &at, end))

static inline void pattern_free(pattern *p) {
    free(p->steps), free(p->ranges), free(p->set_at), free(p->bounds), free(p->classes);
    free(p->samples), free(p->table), free(p->states), free(p->pool), free(p->marks);
    free(p->stack), free(p->closed), free(p->found);
}

#endif
