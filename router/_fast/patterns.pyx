"""Regular expressions that take linear time, whatever the pattern and the text (patterns.h).

The language is ECMA-262's with the `u` flag, without lookaround and back references
(patterns_parse.py). That is RE2's bargain: https://swtch.com/~rsc/regexp/regexp1.html
"""

from libc.stdlib cimport calloc
from libc.string cimport memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND

from router._fast.patterns_program import compile_program


cdef extern from "patterns.h":
    void pattern_forget(pattern *p)
    void pattern_free(pattern *p)
    int pattern_search_1(pattern *p, const uint8_t *at, size_t length)
    int pattern_search_2(pattern *p, const uint16_t *at, size_t length)
    int pattern_search_4(pattern *p, const uint32_t *at, size_t length)
    int pattern_search_utf8(pattern *p, const unsigned char *at, size_t length)

cdef extern from "string.h":
    void *memmem(const void *text, size_t length, const void *part, size_t part_length)


cdef class Pattern:
    """A compiled pattern. Raises `PatternError` for what does not parse, has no linear-time form
    (lookaround, back references) or takes more than 5,000 steps.

    The DFA is built while it runs and kept to 1 MiB. Searching changes it: hold the interpreter's
    lock.
    """

    def __cinit__(self, str text not None):
        memset(&self.automaton, 0, sizeof(pattern))
        self.text = text
        program = compile_program(text)
        self.prefix, self.literal = program.prefix.encode(), program.literal
        load(&self.automaton, program)

    def __dealloc__(self):
        pattern_free(&self.automaton)

    def __repr__(self):
        return f"Pattern({self.text!r})"

    def search(self, text not None):
        """Whether the pattern matches anywhere in a str, or in bytes of UTF-8 (where what is not
        UTF-8 is U+FFFD)."""
        if type(text) is str:
            return self.search_text(<str>text)
        if type(text) is bytes:
            return self.search_utf8(
                <const unsigned char *>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)
            )
        raise TypeError(f"search takes str or bytes, not {type(text).__name__}")

    cdef bint search_utf8(self, const unsigned char *p, Py_ssize_t n) except -1:
        cdef const unsigned char *found = p
        cdef int answer
        if self.prefix:
            found = <const unsigned char *>memmem(
                p, n, PyBytes_AS_STRING(self.prefix), PyBytes_GET_SIZE(self.prefix)
            )
            if found == NULL or self.literal:
                return found != NULL
        answer = pattern_search_utf8(&self.automaton, found, n - (found - p))
        if answer < 0:
            raise MemoryError
        return answer

    cdef bint search_text(self, str text) except -1:
        cdef void *data = PyUnicode_DATA(text)
        cdef Py_ssize_t n = PyUnicode_GET_LENGTH(text)
        cdef int kind = PyUnicode_KIND(text)
        cdef int answer
        if kind == 1:
            answer = self.search_narrow(<const uint8_t *>data, n)
        elif kind == 2:
            answer = pattern_search_2(&self.automaton, <const uint16_t *>data, n)
        else:
            answer = pattern_search_4(&self.automaton, <const uint32_t *>data, n)
        if answer < 0:
            raise MemoryError
        return answer

    cdef int search_narrow(self, const uint8_t *p, Py_ssize_t n):
        cdef const uint8_t *found = p
        if self.prefix:
            found = <const uint8_t *>memmem(
                p, n, PyBytes_AS_STRING(self.prefix), PyBytes_GET_SIZE(self.prefix)
            )
            if found == NULL or self.literal:
                return found != NULL
        return pattern_search_1(&self.automaton, found, n - (found - p))


cdef void *room_for(Py_ssize_t count, size_t size) except NULL:
    cdef void *memory = calloc(count + 1, size)
    if memory == NULL:
        raise MemoryError
    return memory


cdef int load(pattern *p, object program) except -1:
    cdef Py_ssize_t i, total = 0
    cdef list steps = program.steps
    cdef list sets = program.sets
    p.count, p.start = len(steps), program.start
    p.intervals, p.width = len(program.bounds), len(program.samples) + 1
    p.steps = <pattern_step *>room_for(p.count, sizeof(pattern_step))
    for i in range(p.count):
        p.steps[i].op, p.steps[i].x, p.steps[i].y = steps[i]
    p.set_at = <int32_t *>room_for(len(sets), sizeof(int32_t))
    p.ranges = <uint32_t *>room_for(2 * sum(map(len, sets)), sizeof(uint32_t))
    for i in range(len(sets)):
        for first, last in sets[i]:
            p.ranges[2 * total], p.ranges[2 * total + 1] = first, last
            total += 1
        p.set_at[i + 1] = total
    p.bounds = <uint32_t *>room_for(p.intervals, sizeof(uint32_t))
    p.classes = <uint16_t *>room_for(p.intervals, sizeof(uint16_t))
    for i in range(p.intervals):
        p.bounds[i], p.classes[i] = program.bounds[i], program.classes[i]
    p.samples = <uint32_t *>room_for(p.width, sizeof(uint32_t))
    for i in range(p.width - 1):
        p.samples[i] = program.samples[i]
    total = 0
    for i in range(256):
        while total + 1 < p.intervals and p.bounds[total + 1] <= <uint32_t>i:
            total += 1
        p.low[i] = p.classes[total]
    p.marks = <int32_t *>room_for(p.count, sizeof(int32_t))
    p.stack = <int32_t *>room_for(2 * p.count + 2, sizeof(int32_t))
    p.closed = <int32_t *>room_for(p.count, sizeof(int32_t))
    p.found = <int32_t *>room_for(p.count, sizeof(int32_t))
    pattern_forget(p)
    return 0
