"""The messageIds of the last hours, as 112-bit keyed fingerprints in open-addressing tables.

A slot is 16 bytes: 112 bits of fingerprint and the hour it was seen in. The set is 256 tables that
grow each for itself, so that growing one never takes long. Slots whose hour has left the window are
taken over by new ids, and left out when a table grows. About 32 bytes an id, 64 KiB when empty.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memcmp

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

import struct


cdef extern from "siphash.h" nogil:
    void siphash128(const uint64_t *key, const unsigned char *data, size_t length, uint64_t *out)


DEF TABLES = 256
DEF FIRST_SLOTS = 16
DEF TAGS = 65535
DEF STACK = 512

cdef uint64_t FINGER = 0x0000FFFFFFFFFFFF
"""The part of `high` that belongs to the fingerprint; the hour's tag is above it."""

cdef const unsigned char *PREFIX = b'{"messageId":"'


cdef inline uint16_t tag_of(unsigned int hour) noexcept nogil:
    """1 to 65535: 0 marks an empty slot."""
    return <uint16_t>(1 + hour % TAGS)


cdef class Seen:
    """A set of (source, messageId) that forgets after `hours` to `hours + 1` hours; 0 remembers
    nothing.

    `seed` is 16 secret bytes: fingerprints of one set mean nothing to another.
    """

    def __cinit__(self, bytes seed, unsigned int hours):
        if len(seed) != 16:
            raise ValueError("the seed has to have 16 bytes")
        if hours > 10_000:
            raise ValueError("hours has to be at most 10000")
        self.key[0], self.key[1] = struct.unpack("<QQ", seed)
        self.window = <uint16_t>hours
        self.count = 0
        cdef int i
        for i in range(TABLES):
            self.tables[i].slots = <Slot *>calloc(FIRST_SLOTS, sizeof(Slot))
            if self.tables[i].slots == NULL:
                raise MemoryError()
            self.tables[i].mask = FIRST_SLOTS - 1
            self.tables[i].used = 0

    def __dealloc__(self):
        cdef int i
        for i in range(TABLES):
            free(self.tables[i].slots)

    def __len__(self):
        """Slots in use, those that have expired but were not yet taken over included."""
        return self.count

    @property
    def hours(self):
        return self.window

    cdef void fingerprint(self, const unsigned char *source, Py_ssize_t source_len,
                          const unsigned char *message_id, Py_ssize_t id_len,
                          uint64_t *out) noexcept nogil:
        """Hash of the source and the id with its length between them, so that no pair of both
        can stand for another."""
        cdef unsigned char stack[STACK]
        cdef uint64_t inner[2]
        cdef uint32_t length = <uint32_t>source_len
        if 4 + source_len + id_len <= STACK:
            memcpy(stack, &length, 4)
            memcpy(stack + 4, source, source_len)
            memcpy(stack + 4 + source_len, message_id, id_len)
            siphash128(self.key, stack, 4 + source_len + id_len, out)
        else:
            siphash128(self.key, message_id, id_len, inner)
            siphash128(inner, source, source_len, out)

    cdef bint alive(self, uint64_t high, uint16_t tag) noexcept nogil:
        """Is the slot's hour within the window that ends at `tag`? A later hour counts as seen.

        The hour at the window's far end is within it: its last minutes are less than `window` ago.
        """
        cdef int age = (<int>tag - <int>(high >> 48)) % TAGS
        if age < 0:
            age += TAGS
        return age <= self.window or age > TAGS - 48

    cdef int check_add(self, const unsigned char *source, Py_ssize_t source_len,
                       const unsigned char *message_id, Py_ssize_t id_len,
                       unsigned int hour) except -1 nogil:
        """1 if the id was seen within the window; else 0, and it is remembered from now on."""
        cdef uint64_t print_[2]
        if self.window == 0:
            return 0
        self.fingerprint(source, source_len, message_id, id_len, print_)
        return self.insert(print_[0], print_[1] & FINGER, tag_of(hour))

    cdef int insert(self, uint64_t low, uint64_t high, uint16_t tag) except -1 nogil:
        cdef Table *table = &self.tables[low >> 56]
        cdef uint32_t place = <uint32_t>low & table.mask
        cdef Slot *slot
        cdef Slot *expired = NULL
        while True:
            slot = &table.slots[place]
            if slot.high == 0:
                break
            if slot.low == low and (slot.high & FINGER) == high:
                if self.alive(slot.high, tag):
                    return 1
                slot.high = high | (<uint64_t>tag << 48)
                return 0
            if expired == NULL and not self.alive(slot.high, tag):
                expired = slot
            place = (place + 1) & table.mask
        if expired != NULL:
            slot = expired
        else:
            table.used += 1
            self.count += 1
        slot.low = low
        slot.high = high | (<uint64_t>tag << 48)
        if table.used * 4 > (table.mask + 1) * 3:
            self.grow(table, tag)
        return 0

    cdef int grow(self, Table *table, uint16_t tag) except -1 nogil:
        """Twice the slots, or as many as now where most have expired."""
        cdef uint32_t size = table.mask + 1
        cdef uint32_t live = 0, i, place, mask
        cdef Slot *old = table.slots
        for i in range(size):
            if old[i].high != 0 and self.alive(old[i].high, tag):
                live += 1
        if live * 2 > size:
            mask = size * 2 - 1
        else:
            mask = size - 1
        cdef Slot *fresh = <Slot *>calloc(mask + 1, sizeof(Slot))
        if fresh == NULL:
            with gil:
                raise MemoryError()
        for i in range(size):
            if old[i].high != 0 and self.alive(old[i].high, tag):
                place = <uint32_t>old[i].low & mask
                while fresh[place].high != 0:
                    place = (place + 1) & mask
                fresh[place] = old[i]
        self.count -= table.used - live
        table.slots, table.mask, table.used = fresh, mask, live
        free(old)
        return 0

    cdef int remove(self, const unsigned char *source, Py_ssize_t source_len,
                    const unsigned char *message_id, Py_ssize_t id_len) noexcept nogil:
        """Forget an id whose event was not kept after all; 1 if it was there."""
        cdef uint64_t print_[2]
        self.fingerprint(source, source_len, message_id, id_len, print_)
        cdef uint64_t low = print_[0], high = print_[1] & FINGER
        cdef Table *table = &self.tables[low >> 56]
        cdef uint32_t mask = table.mask
        cdef uint32_t place = <uint32_t>low & mask
        while table.slots[place].high != 0:
            if table.slots[place].low == low and (table.slots[place].high & FINGER) == high:
                break
            place = (place + 1) & mask
        if table.slots[place].high == 0:
            return 0
        # Backward shift: whoever was pushed past this slot moves up, so no chain is broken.
        cdef uint32_t following = (place + 1) & mask
        cdef uint32_t home
        while table.slots[following].high != 0:
            home = <uint32_t>table.slots[following].low & mask
            if ((following - home) & mask) >= ((following - place) & mask):
                table.slots[place] = table.slots[following]
                place = following
            following = (following + 1) & mask
        table.slots[place].high = 0
        table.used -= 1
        self.count -= 1
        return 1

    def add(self, const unsigned char[::1] source not None,
            const unsigned char[::1] message_id not None, unsigned int hour):
        """True if the id is new; it is remembered from then on. Both have at least one byte."""
        if source.shape[0] == 0 or message_id.shape[0] == 0:
            raise ValueError("source and message_id must not be empty")
        return self.check_add(&source[0], source.shape[0],
                              &message_id[0], message_id.shape[0], hour) == 0

    def discard(self, const unsigned char[::1] source not None,
                const unsigned char[::1] message_id not None):
        """Forget an id; True if it was there."""
        if source.shape[0] == 0 or message_id.shape[0] == 0:
            raise ValueError("source and message_id must not be empty")
        return self.remove(&source[0], source.shape[0],
                           &message_id[0], message_id.shape[0]) == 1

    def discard_block(self, bytes payload not None):
        """Forget the ids of every event of a block that could not be appended."""
        cdef Walk walk
        begin(&walk, payload)
        while following(&walk):
            self.remove(walk.source, walk.source_length, walk.id, walk.id_length)

    def records(self, bytes payload not None, unsigned int hour):
        """The fingerprints of a block's events, 16 bytes each, for `load`.

        Raises `ValueError` where `payload` is no block. May run beside the loop: touches no table.
        """
        cdef Walk walk
        cdef uint64_t out[2]
        cdef Py_ssize_t found = 0
        begin(&walk, payload)
        cdef bytes records = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>walk.count * 16)
        cdef char *to = PyBytes_AS_STRING(records)
        while following(&walk):
            self.fingerprint(walk.source, walk.source_length, walk.id, walk.id_length, out)
            out[1] = (out[1] & FINGER) | (<uint64_t>tag_of(hour) << 48)
            memcpy(to + found * 16, out, 16)
            found += 1
        return records[:found * 16]

    def load(self, const unsigned char[::1] records not None):
        """Remember what `records` gave earlier."""
        cdef Py_ssize_t i
        cdef uint64_t slot[2]
        if records.shape[0] % 16:
            raise ValueError("records have 16 bytes each")
        if self.window == 0:
            return
        for i in range(0, records.shape[0], 16):
            memcpy(slot, &records[i], 16)
            if slot[1] >> 48:
                self.insert(slot[0], slot[1] & FINGER, <uint16_t>(slot[1] >> 48))


def ids_of(bytes payload not None):
    """(source, messageId) of every event of a block (router/event.py), the id as it is escaped."""
    cdef Walk walk
    found = []
    begin(&walk, payload)
    while following(&walk):
        found.append((walk.source[:walk.source_length], walk.id[:walk.id_length]))
    return found


cdef struct Walk:
    # From one event of a block to the next, and the id in each.
    const unsigned char *source
    Py_ssize_t source_length
    const unsigned char *id
    Py_ssize_t id_length
    const unsigned char *entry
    const unsigned char *event
    uint32_t count
    uint32_t left


cdef int begin(Walk *walk, bytes payload) except -1:
    """Checks once that the block's lengths stay inside it."""
    cdef const unsigned char *data = payload
    cdef Py_ssize_t length = len(payload)
    cdef uint32_t size, i
    if length < 8:
        raise ValueError("an event block needs at least 8 bytes")
    memcpy(&walk.count, data + 4, 4)
    walk.left = walk.count
    walk.entry = data + 8
    walk.source_length = data[1]
    cdef Py_ssize_t at = 8 + <Py_ssize_t>walk.count * 8
    if at + walk.source_length > length:
        raise ValueError("an event block ends inside its own table")
    walk.source = data + at
    at += walk.source_length
    walk.event = data + at
    for i in range(walk.count):
        memcpy(&size, walk.entry + <Py_ssize_t>i * 8, 4)
        at += size
    if at > length:
        raise ValueError("an event block's lengths exceed its size")
    return 0


cdef bint following(Walk *walk) noexcept nogil:
    """Go on to the next event that has an id."""
    cdef uint32_t size
    cdef const unsigned char *at
    cdef const unsigned char *end
    while walk.left:
        walk.left -= 1
        memcpy(&size, walk.entry, 4)
        walk.entry += 8
        at = walk.event
        end = at + size
        walk.event = end
        if size <= 14 or memcmp(at, PREFIX, 14) != 0:
            continue
        at += 14
        walk.id = at
        while at < end and at[0] != 34:
            at += 2 if at[0] == 92 else 1
        if walk.id < at < end:
            walk.id_length = at - walk.id
            return True
    return False
