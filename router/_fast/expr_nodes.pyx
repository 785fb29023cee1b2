"""What every part of a compiled expression is, and the two that most are made of: literals and paths.

A node reads an event's index (document.pyx) or, where there is none, its decoded form; a missing path
is null. Evaluation never raises for odd data: what makes no sense is null, or false in a condition.
Each node can give its value, tell whether that is true, and write it: as JSON, or as a form's text
and members. All but the first make no Python object where the event's bytes are enough.
"""

cimport cython

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from router._fast.document cimport (
    DOC_NULL, DOC_OBJECT, DOC_TRUE, Document, doc_item, doc_member, doc_node,
    doc_tape, text_at,
)
from router._fast.output cimport Output

from router._fast.output import form_of

import orjson


DEF EXACT = 9007199254740992
"""Up to here a double holds every whole number."""
DEF KEPT_NAMES = 100_000
DEF PAIRWISE = 32
"""Up to so many members all pairs of names are compared."""


@cython.freelist(8)
cdef class Context:
    """What an evaluation sees: the event as `doc`, or as `event` where `doc` is None."""

    def __cinit__(self, dict event, object settings, object item, object now_ms):
        self.event = event
        self.settings = settings
        self.item = item
        self.now_ms = now_ms


cdef class Node:
    cdef object value(self, Context c):
        return None

    cdef bint true(self, Context c):
        """Is the value exactly true? Conditions override it to make no object."""
        return self.value(c) is True

    cdef bint absent(self, Context c):
        """Is the value null?"""
        return self.value(c) is None

    cdef bint write(self, Context c, Output out) except -1:
        """Write the value as JSON; False, with nothing written, where it is null."""
        cdef object value = self.value(c)
        cdef bytes json = None if value is None else json_of(value)
        if json is None:
            return False
        out.put_bytes(json)
        return True

    cdef bint write_text(self, Context c, Output out) except -1:
        """Write the value as a form has it; False, with nothing written, where it is null."""
        cdef bytes text = form_text(self.value(c))
        if text is None:
            return False
        out.quote_bytes(text)
        return True

    cdef bint write_form(self, Context c, Output out) except -1:
        """Write an object's members as `name=text&…`, those that are null left out; False, with
        nothing written, where there is none."""
        cdef size_t start = out.used
        members = self.value(c)
        if type(members) is dict:
            for name, value in (<dict>members).items():
                put_form_member(utf8_of(name), form_text(value), out)
        return close_form(out, start)


cdef bytes json_of(object value):
    """None for what JSON is not written of: nested deeper than 254, a lone surrogate."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return None


cdef bytes utf8_of(str text):
    """None where it holds a lone surrogate."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None


cdef bytes form_text(object value):
    """A text in UTF-8, anything else as JSON, whole numbers without a point; None for null and for
    what JSON is not written of."""
    if type(value) is str:
        return utf8_of(<str>value)
    if value is None:
        return None
    if type(value) is float and value.is_integer() and abs(value) < 1e15:
        return b"%d" % int(value)
    json = json_of(value)
    return None if json == b"null" else json


cdef int put_form_member(bytes name, bytes text, Output out) except -1:
    if name is not None and text is not None:
        out.quote_bytes(name)
        out.put(b"=", 1)
        out.quote_bytes(text)
        out.put(b"&", 1)
    return 0


cdef bint close_form(Output out, size_t start):
    """Take the `&` behind the last member away. Is there a member?"""
    if out.used == start:
        return False
    out.used -= 1
    return True


cdef class Literal(Node):
    """A constant; `json` is how it is written, `form` the same in a form, `utf8` its text where it is
    one, `number` its value where it is a number that a double holds exactly."""

    def __cinit__(self, object constant=None):
        cdef bytes text = form_text(constant)
        self.constant = constant
        if type(constant) is str:
            self.utf8 = (<str>constant).encode("utf-8", "surrogatepass")
        self.is_number = type(constant) is float or (
            type(constant) is int and -EXACT <= constant <= EXACT)
        if self.is_number:
            self.number = constant
        self.json = json_of(constant) or b"null"
        self.form = None if text is None else form_of({"": text})[1:]

    cdef object value(self, Context c):
        return self.constant

    cdef bint write(self, Context c, Output out) except -1:
        if self.constant is None:
            return False
        out.put_bytes(self.json)
        return True

    cdef bint write_text(self, Context c, Output out) except -1:
        if self.form is None:
            return False
        out.put_bytes(self.form)
        return True


cdef Py_ssize_t index_of(str text):
    """The number of a list's item that a step names: up to nine digits of ASCII; else -1."""
    return int(text) if len(text) < 10 and text.isdecimal() and text.isascii() else -1


_NAMES = {}


cdef bytes name_of(str text):
    """UTF-8, the same object for the same name, by which the beginnings of paths are compared."""
    cdef bytes name = text.encode("utf-8", "surrogatepass")
    return <bytes>_NAMES.setdefault(name, name) if len(_NAMES) < KEPT_NAMES else name


cdef const doc_node *one_step(const doc_tape *tape, const doc_node *node, const Step *step) noexcept:
    """The member of that name, or the item of that number; NULL where there is none."""
    if node.type == DOC_OBJECT:
        return doc_member(tape, node, step.name, step.n)
    return doc_item(tape, node, step.index) if step.index >= 0 else NULL


cdef class Path(Node):
    """Members below one of the roots: 0 the event, 1 the settings, 2 the item."""

    def __cinit__(self, int root, tuple keys):
        cdef Py_ssize_t i
        cdef bytes name
        self.root, self.keys, self.count = root, keys, len(keys)
        self.names = tuple([name_of(str(key)) for key in keys])
        self.steps = <Step *>malloc((self.count + 1) * sizeof(Step))
        if self.steps == NULL:
            raise MemoryError()
        for i in range(self.count):
            name = self.names[i]
            self.steps[i].name, self.steps[i].n = PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)
            self.steps[i].index = index_of(str(keys[i]))

    def __dealloc__(self):
        free(self.steps)

    cdef bint indexed(self, Context c):
        """Is it found by `find`, in the event's index?"""
        return self.root == 0 and c.doc is not None

    cdef const doc_node *find(self, Context c):
        cdef const doc_node *node = c.doc.tape.nodes
        cdef const Step *step = self.steps
        cdef const Step *end = step + self.count
        if self.count > 1:
            node = self.begin(c)
            step += 2 if self.count > 2 else 1
        while node != NULL and step < end:
            node = one_step(&c.doc.tape, node, step)
            step += 1
        return node

    cdef const doc_node *begin(self, Context c):
        """What the first step of a path of two leads to, and the first two of a longer one. The last
        ones are remembered: the paths of a mapping begin alike, and often with what is not there."""
        cdef const Step *step = self.steps
        if c.walked is not c.doc or c.first != step.name:
            c.walked, c.first, c.second = c.doc, step.name, NULL
            c.first_node = one_step(&c.doc.tape, c.doc.tape.nodes, step)
        if self.count == 2 or c.first_node == NULL:
            return c.first_node
        if c.second != step[1].name:
            c.second = step[1].name
            c.second_node = one_step(&c.doc.tape, c.first_node, step + 1)
        return c.second_node

    cdef object value(self, Context c):
        if self.root == 1:
            return walk(c.settings, self.keys)
        if self.root == 2:
            return walk(c.item, self.keys)
        if c.doc is None:
            return walk(c.event, self.keys)
        if self.count == 0:
            return c.doc.data()
        return c.doc.load(self.find(c))

    cdef bint absent(self, Context c):
        cdef const doc_node *node
        if not self.indexed(c):
            return self.value(c) is None
        node = self.find(c)
        return node == NULL or node.type == DOC_NULL

    cdef bint true(self, Context c):
        cdef const doc_node *node
        if not self.indexed(c):
            return self.value(c) is True
        node = self.find(c)
        return node != NULL and node.type == DOC_TRUE

    cdef bint write(self, Context c, Output out) except -1:
        """The value's own bytes."""
        cdef const doc_node *node
        if not self.indexed(c):
            return Node.write(self, c, out)
        node = self.find(c)
        if node == NULL or node.type == DOC_NULL:
            return False
        out.put(node.p, node.n)
        return True

    cdef bint write_text(self, Context c, Output out) except -1:
        cdef const doc_node *node
        if not self.indexed(c):
            return Node.write_text(self, c, out)
        node = self.find(c)
        if node == NULL or node.type == DOC_NULL:
            return False
        return out.quote_scalar(node) or put_loaded(c.doc, node, out)

    cdef bint write_form(self, Context c, Output out) except -1:
        cdef const doc_node *node
        cdef size_t start = out.used
        if not self.indexed(c):
            return Node.write_form(self, c, out)
        node = self.find(c)
        if node != NULL and node.type == DOC_OBJECT:
            for place in last_members(c.doc, node, [], NULL):
                put_node_member(c.doc, c.doc.tape.nodes + <Py_ssize_t>place, out)
        return close_form(out, start)


cdef bint put_loaded(Document doc, const doc_node *node, Output out) except -1:
    """Quote a value of which the bytes alone do not tell the text: an object, `1.50`, `1e5`."""
    cdef bytes text = form_text(doc.load(node))
    if text is None:
        return False
    out.quote_bytes(text)
    return True


cdef uint64_t name_bit(const unsigned char *name, size_t n, int *word) noexcept:
    """A name's bit in a mask of 256: names of different bits differ."""
    cdef size_t mixed = n * 7
    if n:
        mixed += name[0] * 13 + name[n - 1] * 3
    word[0] = (mixed >> 6) & 3
    return (<uint64_t>1) << (mixed & 63)


cdef list last_members(Document doc, const doc_node *of, list without, const uint64_t *mask):
    """An object's members, as their nodes' places: of those with one name the last, and none of the
    names (in UTF-8) in `without`, whose bits `mask` has, and may have more, or is NULL."""
    cdef const doc_node *node = of + 1
    cdef const doc_node *end = doc.tape.nodes + of.next
    cdef list found = []
    if of.count > PAIRWISE:
        return last_of_many(doc, of, without)
    while node < end:
        if node.key_escaped:
            return last_of_many(doc, of, without)
        if not named_later(&doc.tape, node, end) and not (
                (mask == NULL or masked(mask, node)) and is_among(node, without)):
            found.append(node - doc.tape.nodes)
        node = doc.tape.nodes + node.next
    return found


cdef bint masked(const uint64_t *mask, const doc_node *node) noexcept:
    """May the member's name be among those that the mask was made of?"""
    cdef int word
    cdef uint64_t bit = name_bit(node.key, node.key_n, &word)
    return (mask[word] & bit) != 0


cdef bint named_later(const doc_tape *tape, const doc_node *node, const doc_node *end) noexcept:
    """Does another member of the same name follow?"""
    cdef const doc_node *later = tape.nodes + node.next
    while later < end:
        if later.key_n == node.key_n and memcmp(later.key, node.key, node.key_n) == 0:
            return True
        later = tape.nodes + later.next
    return False


cdef bint is_among(const doc_node *node, list names):
    cdef bytes name
    for name in names:
        if PyBytes_GET_SIZE(name) == node.key_n and memcmp(
                PyBytes_AS_STRING(name), node.key, node.key_n) == 0:
            return True
    return False


cdef list last_of_many(Document doc, const doc_node *of, list without):
    """The same for names with escapes, and for so many that comparing all pairs would take long."""
    cdef const doc_node *node = of + 1
    cdef const doc_node *end = doc.tape.nodes + of.next
    cdef dict found = {}
    cdef set left_out = set(without)
    while node < end:
        name = text_at(node.key, node.key_n, node.key_escaped).encode()
        if name not in left_out:
            found.pop(name, None)
            found[name] = node - doc.tape.nodes
        node = doc.tape.nodes + node.next
    return list(found.values())


cdef int put_node_member(Document doc, const doc_node *node, Output out) except -1:
    """A member as a form has it, and `&`; nothing where it is null."""
    cdef size_t before = out.used
    if node.type == DOC_NULL:
        return 0
    out.quote(node.key, node.key_n, node.key_escaped, True)
    out.put(b"=", 1)
    if out.quote_scalar(node) or put_loaded(doc, node, out):
        out.put(b"&", 1)
    else:
        out.used = before
    return 0


cdef object walk(object found, tuple keys):
    cdef object key
    cdef Py_ssize_t index
    for key in keys:
        if type(found) is dict:
            found = (<dict>found).get(key if type(key) is str else str(key))
        elif type(found) is list:
            index = index_of(key if type(key) is str else str(key))
            if index < 0 or index >= len(<list>found):
                return None
            found = (<list>found)[index]
        else:
            return None
        if found is None:
            return None
    return found
