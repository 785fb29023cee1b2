"""Equality, enum, strings and numbers of JSON Schema, and how deep and how long a check may go.

`Beyond` is raised where a value is nested too deep or takes too long: the caller calls it invalid.
"""

cimport cython

from libc.math cimport floor, isfinite, rint

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.unicode cimport PyUnicode_GET_LENGTH

from router._fast.document cimport (
    DOC_FLOAT, DOC_STRING, doc_double, doc_int, doc_same, doc_unescape, text_at,
)

from base64 import b64decode
from fractions import Fraction

from router._fast.schema_formats import is_base64, is_json


cdef extern from "schema_formats.h":
    bint format_is_date(const unsigned char *p, Py_ssize_t n)
    bint format_is_time(const unsigned char *p, Py_ssize_t n)
    bint format_is_date_time(const unsigned char *p, Py_ssize_t n)

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size)
    bint PyUnicode_IS_ASCII(object text)


DEF MAX_DEPTH = 2048
DEF MAX_STEPS = 5_000_000
DEF MAX_EQUAL_DEPTH = 300
DEF EXACT = 9007199254740992

cdef double[23] POWERS
for _i in range(23):
    POWERS[_i] = 10.0 ** _i

cdef long steps_left = 0


class Beyond(Exception):
    """A value is nested deeper than a check goes, or a check takes more steps than it may."""


cdef int start() except -1:
    """Begin a check of a value. A thread that gets its turn while a format's function runs begins
    the count anew, no more."""
    global steps_left
    steps_left = MAX_STEPS
    return 0


cdef int spend(int depth) except -1:
    global steps_left
    steps_left -= 1
    if depth > MAX_DEPTH:
        raise Beyond("is nested too deep to be checked")
    if steps_left < 0:
        raise Beyond("takes too many steps to be checked")
    return 0


cdef int kind_of(object value) except -1:
    cdef object kind = type(value)
    if kind is str:
        return TEXT
    if kind is dict:
        return OBJECT
    if kind is int:
        return INTEGER
    if kind is float:
        return FLOAT
    if kind is list:
        return LIST
    if kind is bool:
        return BOOLEAN
    return NULL_KIND if value is None else OTHER


cdef bint fits(int kinds, int kind, object value) except -1:
    """Is a value of one of the kinds? A float without a fraction is an integer (draft-07)."""
    if kinds & kind:
        return True
    return kind == FLOAT and kinds & INTEGER and whole_number(PyFloat_AS_DOUBLE(value))


cdef bint whole_number(double value) noexcept:
    return isfinite(value) and floor(value) == value


cdef object key_of(object value, int depth):
    """What is equal, and hashes alike, exactly for values that JSON Schema calls equal."""
    cdef object kind = type(value)
    if kind is bool:
        return ("b", value)
    if kind is list or kind is dict:
        spend(depth)
        if depth > MAX_EQUAL_DEPTH:
            raise Beyond("is nested too deep to be compared")
        if kind is list:
            return ("l", tuple([key_of(item, depth + 1) for item in <list>value]))
        return ("d", frozenset([(k, key_of(v, depth + 1)) for k, v in (<dict>value).items()]))
    return value


cdef bint all_different(list items, int depth) except -1:
    for item in items:
        if type(item) is not str:
            break
    else:
        return len(set(items)) == len(items)
    return len({key_of(item, 0) for item in items}) == len(items)


@cython.final
cdef class Choice:
    cdef bint ok(self, object value, int depth) except -1:
        if type(value) is str:
            return value in self.texts
        return bool(self.rest) and key_of(value, 0) in self.rest

    cdef bint ok_doc(self, Document document, const doc_node *node) except -1:
        cdef bytes text
        if node.type != DOC_STRING:
            return bool(self.rest) and self.ok(document.load(node), 0)
        for text in self.encoded:
            if doc_same(node.p + 1, node.n - 2, node.escaped,
                        PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)):
                return True
        return False


@cython.final
cdef class Format:
    cdef bint ok(self, str text) except -1:
        cdef Py_ssize_t n = 0
        cdef const char *p
        if self.code:
            if not PyUnicode_IS_ASCII(text):
                return False
            p = PyUnicode_AsUTF8AndSize(text, &n)
            return self.ok_utf8(<const unsigned char *>p, n)
        if self.pattern is not None and not self.pattern.search_text(text):
            return False
        return self.check is None or self.check(text)

    cdef bint ok_utf8(self, const unsigned char *p, Py_ssize_t n) except -1:
        if self.code == 1:
            return format_is_date_time(p, n)
        if self.code == 2:
            return format_is_date(p, n)
        if self.code == 3:
            return format_is_time(p, n)
        if self.pattern is not None and not self.pattern.search_utf8(p, n):
            return False
        return self.check is None or self.check(text_at(p, n, False))


cdef inline Py_ssize_t count_characters(const unsigned char *p, Py_ssize_t n):
    cdef Py_ssize_t i, count = 0
    for i in range(n):
        count += (p[i] & 0xC0) != 0x80
    return count


@cython.final
cdef class Text:
    cdef bint ok(self, str text) except -1:
        cdef Py_ssize_t n = PyUnicode_GET_LENGTH(text)
        if n < self.least or (self.most >= 0 and n > self.most):
            return False
        if self.pattern is not None and not self.pattern.search_text(text):
            return False
        if self.format is not None and not self.format.ok(text):
            return False
        return self.content_ok(text) if self.base64 or self.json else True

    cdef bint content_ok(self, str text) except -1:
        if self.base64 and not is_base64(text):
            return False
        if not self.json:
            return True
        return is_json(b64decode(text) if self.base64 else text)

    cdef bint ok_doc(self, Document document, const doc_node *node) except -1:
        cdef const unsigned char *p = node.p + 1
        cdef Py_ssize_t n = node.n - 2
        cdef Py_ssize_t characters
        cdef bytes plain
        if node.escaped:
            plain = bytes(n)
            n = doc_unescape(p, n, <unsigned char *>PyBytes_AS_STRING(plain))
            p = <const unsigned char *>PyBytes_AS_STRING(plain)
        if self.least > 0 or self.most >= 0:
            characters = count_characters(p, n)
            if characters < self.least or (self.most >= 0 and characters > self.most):
                return False
        if self.pattern is not None and not self.pattern.search_utf8(p, n):
            return False
        if self.format is not None and not self.format.ok_utf8(p, n):
            return False
        return self.content_ok(text_at(p, n, False)) if self.base64 or self.json else True


@cython.final
cdef class Number:
    cdef bint within(self, double value):
        """Only with `exact`; a limit not given is an infinity."""
        return (value >= self.limits[0] and value <= self.limits[1]
                and value > self.limits[2] and value < self.limits[3])

    cdef bint ok(self, object value) except -1:
        cdef int overflow = 0
        cdef long long number
        if self.exact:
            if type(value) is float:
                return self.within(PyFloat_AS_DOUBLE(value)) and self.multiple_ok(value)
            number = PyLong_AsLongLongAndOverflow(value, &overflow)
            if not overflow and -EXACT <= number <= EXACT:
                return self.within(<double>number) and self.multiple_ok(value)
        if (self.low is not None and not value >= self.low) or (
            self.high is not None and not value <= self.high
        ) or (self.above is not None and not value > self.above) or (
            self.below is not None and not value < self.below
        ):
            return False
        return self.multiple_ok(value)

    cdef bint ok_doc(self, Document document, const doc_node *node) except -1:
        cdef int64_t number
        if self.exact and self.multiple is None:
            if node.type == DOC_FLOAT:
                return self.within(doc_double(node))
            if doc_int(node, &number) and -EXACT <= number <= EXACT:
                return self.within(<double>number)
        return self.ok(document.load(node))

    cdef bint multiple_ok(self, object value) except -1:
        """Of the decimal numbers as they are written: 4.35 is a multiple of 0.01.

        A double that has a decimal form of up to 15 digits has no other, so that where the nearest
        such form is not the value, there is none.
        """
        cdef double scaled, nearest
        if self.multiple is None:
            return True
        if type(value) is int and self.decimals == 0:
            return value % self.fraction.numerator == 0
        if type(value) is float and not isfinite(PyFloat_AS_DOUBLE(value)):
            return False
        if self.mantissa and self.decimals <= 22 and (type(value) is float or abs(value) < 10**15):
            scaled = <double>value * POWERS[self.decimals]
            if -1e15 < scaled < 1e15:
                nearest = rint(scaled)
                if nearest / POWERS[self.decimals] != <double>value:
                    return False
                return <int64_t>nearest % self.mantissa == 0
        exact = Fraction(value) if type(value) is int else Fraction(repr(value))
        return exact % self.fraction == 0
