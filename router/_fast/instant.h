/* Points in time: ISO 8601 as SDKs and people write it, to milliseconds since 1970, and back. */
#ifndef ROUTER_INSTANT_H
#define ROUTER_INSTANT_H

#include <stddef.h>
#include <stdint.h>

#define INSTANT_NONE INT64_MIN

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar (Hinnant, 2013). */
static int64_t instant_days(int64_t y, int m, int d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static const unsigned char *instant_int(const unsigned char *p, const unsigned char *end, int most,
                                        int64_t *out) {
    const unsigned char *start = p;
    int64_t value = 0;
    while (p < end && p - start < most && *p >= '0' && *p <= '9') value = value * 10 + (*p++ - '0');
    *out = value;
    return p == start ? NULL : p;
}

static int instant_month_days(int64_t y, int64_t m) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return days[m - 1] + (m == 2 && leap);
}

/* Z, +hh, +hhmm or +hh:mm; nothing means UTC. Minutes east of UTC in *minutes. */
static const unsigned char *instant_zone(const unsigned char *p, const unsigned char *end,
                                         int64_t *minutes) {
    *minutes = 0;
    if (p == end) return p;
    if (*p == 'Z' || *p == 'z') return p + 1;
    if (*p != '+' && *p != '-') return NULL;
    int sign = *p++ == '-' ? -1 : 1;
    int64_t hours, rest = 0;
    if (!(p = instant_int(p, end, 2, &hours))) return NULL;
    if (p < end && *p == ':') p++;
    if (p < end && !(p = instant_int(p, end, 2, &rest))) return NULL;
    if (hours > 23 || rest > 59) return NULL;
    *minutes = sign * (hours * 60 + rest);
    return p;
}

/* A bare number: seconds below 1e11 (the year 5138), else milliseconds. */
static int64_t instant_epoch(const unsigned char *p, const unsigned char *end) {
    int negative = p < end && *p == '-';
    int64_t whole, milli = 0, scale = 100;
    p += negative;
    if (!(p = instant_int(p, end, 15, &whole))) return INSTANT_NONE;
    if (p < end && *p == '.')
        for (p++; p < end && *p >= '0' && *p <= '9'; p++, scale /= 10) milli += (*p - '0') * scale;
    if (p != end) return INSTANT_NONE;
    int64_t ms = whole < 100000000000LL ? whole * 1000 + milli : whole;
    return negative ? -ms : ms;
}

/* The text between two quotes (or a number) as milliseconds, or INSTANT_NONE. Digits past the
   millisecond are cut off; one-digit months, days and hours are taken. */
static inline int64_t instant_parse(const unsigned char *p, ptrdiff_t length) {
    const unsigned char *end = p + length, *start = p;
    int64_t y, m, d, h = 0, min = 0, s = 0, ms = 0, zone = 0;
    while (start < end && *start >= '0' && *start <= '9') start++;
    if (start - p != 4 || start == end || *start != '-') return instant_epoch(p, end);
    p = instant_int(p, end, 4, &y) + 1;
    if (!(p = instant_int(p, end, 2, &m)) || p == end || *p++ != '-') return INSTANT_NONE;
    if (!(p = instant_int(p, end, 2, &d))) return INSTANT_NONE;
    if (m < 1 || m > 12 || d < 1 || d > instant_month_days(y, m)) return INSTANT_NONE;
    if (p < end) {
        if (*p != 'T' && *p != 't' && *p != ' ') return INSTANT_NONE;
        if (!(p = instant_int(p + 1, end, 2, &h))) return INSTANT_NONE;
        if (p == end || *p != ':' || !(p = instant_int(p + 1, end, 2, &min))) return INSTANT_NONE;
        if (p < end && *p == ':' && !(p = instant_int(p + 1, end, 2, &s))) return INSTANT_NONE;
        if (p < end && (*p == '.' || *p == ',')) {
            int64_t scale = 100;
            const unsigned char *first = ++p;
            for (; p < end && *p >= '0' && *p <= '9'; p++, scale /= 10) ms += (*p - '0') * scale;
            if (p == first) return INSTANT_NONE;
        }
        if (p < end && *p == ' ') p++;
        if (!(p = instant_zone(p, end, &zone)) || p != end) return INSTANT_NONE;
        if (h > 24 || min > 59 || s > 60 || (h == 24 && (min || s))) return INSTANT_NONE;
    }
    return (((instant_days(y, (int)m, (int)d) * 24 + h) * 60 + min - zone) * 60 + s) * 1000 + ms;
}

static void instant_digits(unsigned char *out, int count, int64_t value) {
    while (count--) {
        out[count] = '0' + value % 10;
        value /= 10;
    }
}

/* 24 bytes: 2026-11-24T05:22:51.142Z. Years outside 0000 to 9999 are brought inside. */
static inline void instant_format(int64_t ms, unsigned char *out) {
    const int64_t low = -62167219200000LL, high = 253402300799999LL;
    if (ms < low) ms = low;
    if (ms > high) ms = high;
    int64_t days = (ms >= 0 ? ms : ms - 86399999) / 86400000, rest = ms - days * 86400000;
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int64_t day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = yoe + era * 400 + (month <= 2);
    instant_digits(out, 4, year);
    out[4] = '-';
    instant_digits(out + 5, 2, month);
    out[7] = '-';
    instant_digits(out + 8, 2, day);
    out[10] = 'T';
    instant_digits(out + 11, 2, rest / 3600000);
    out[13] = ':';
    instant_digits(out + 14, 2, rest / 60000 % 60);
    out[16] = ':';
    instant_digits(out + 17, 2, rest / 1000 % 60);
    out[19] = '.';
    instant_digits(out + 20, 3, rest % 1000);
    out[23] = 'Z';
}

#endif
