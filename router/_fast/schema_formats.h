/* date, time and date-time of RFC 3339, as JSON Schema's formats have them. */
#ifndef ROUTER_SCHEMA_FORMATS_H
#define ROUTER_SCHEMA_FORMATS_H

#include <stddef.h>

/* The number of `count` digits, or -1. */
static inline int format_digits(const unsigned char *p, int count) {
    int value = 0;
    for (; count--; p++) {
        if (*p < '0' || *p > '9') return -1;
        value = value * 10 + (*p - '0');
    }
    return value;
}

static int format_is_date(const unsigned char *p, ptrdiff_t n) {
    static const char days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (n != 10 || p[4] != '-' || p[7] != '-') return 0;
    int year = format_digits(p, 4), month = format_digits(p + 5, 2), day = format_digits(p + 8, 2);
    if (year < 0 || month < 1 || month > 12 || day < 1 || day > days[month - 1]) return 0;
    return month != 2 || day != 29 || (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

static int format_is_time(const unsigned char *p, ptrdiff_t n) {
    if (n < 9 || p[2] != ':' || p[5] != ':') return 0;
    const unsigned char *end = p + n;
    int hour = format_digits(p, 2), minute = format_digits(p + 3, 2);
    int second = format_digits(p + 6, 2), offset = 0;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return 0;
    p += 8;
    if (*p == '.') {
        if (++p == end || *p < '0' || *p > '9') return 0;
        while (p < end && *p >= '0' && *p <= '9') p++;
    }
    if (end - p == 1) {
        if (*p != 'Z' && *p != 'z') return 0;
    } else {
        if (end - p != 6 || (*p != '+' && *p != '-') || p[3] != ':') return 0;
        int hours = format_digits(p + 1, 2), minutes = format_digits(p + 4, 2);
        if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return 0;
        offset = (*p == '+' ? -1 : 1) * (hours * 60 + minutes);
    }
    /* A leap second is the last one of a UTC day. */
    return second < 60 || (hour * 60 + minute + offset + 2880) % 1440 == 1439;
}

static int format_is_date_time(const unsigned char *p, ptrdiff_t n) {
    return n > 11 && (p[10] == 'T' || p[10] == 't') && format_is_date(p, 10) &&
           format_is_time(p + 11, n - 11);
}

#endif
