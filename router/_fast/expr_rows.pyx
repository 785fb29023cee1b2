"""The nodes that give objects: what braces hold in an expression, and the rows of a mapping."""

from libc.stdint cimport uint64_t

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from router._fast.document cimport DOC_NULL, DOC_OBJECT, doc_node
from router._fast.expr_nodes cimport (
    Context, Node, Path, close_form, form_text, json_of, last_members, name_bit, put_form_member,
    put_node_member, utf8_of,
)
from router._fast.output cimport Output

from router._fast.output import form_of

import orjson


class MissingField(Exception):
    """A required field has no value for this event. `field` is its dotted name."""

    def __init__(self, field):
        super().__init__(f"{field} is required")
        self.field = field


cdef bytes json_name(str key):
    return orjson.dumps(key) + b":"


cdef bytes form_name(str key):
    """Empty for a name that no form can hold, one with a lone surrogate."""
    try:
        return form_of({key: ""})
    except UnicodeEncodeError:
        return b""


cdef set plain_names(list names):
    return {(<bytes>name).decode("utf-8", "surrogatepass") for name in names}


cdef int close_object(Output out) except -1:
    """In place of the comma behind the last member, or behind an opening brace alone."""
    if out.data[out.used - 1] == b",":
        out.used -= 1
    return out.put(b"}", 1)


cdef class Object(Node):
    """Members that are null are left out."""

    def __cinit__(self, tuple keys, tuple parts):
        self.keys, self.parts = keys, parts
        self.json = tuple([json_name(key) for key in keys])
        self.form = tuple([form_name(key) for key in keys])

    cdef bint write(self, Context c, Output out) except -1:
        cdef Py_ssize_t i
        cdef size_t before
        out.put(b"{", 1)
        for i in range(len(self.parts)):
            before = out.used
            out.put_bytes(<bytes>self.json[i])
            if (<Node>self.parts[i]).write(c, out):
                out.put(b",", 1)
            else:
                out.used = before
        close_object(out)
        return True

    cdef bint write_form(self, Context c, Output out) except -1:
        cdef Py_ssize_t i
        cdef size_t before, start = out.used
        for i in range(len(self.parts)):
            before = out.used
            out.put_bytes(<bytes>self.form[i])
            if (<Node>self.parts[i]).write_text(c, out):
                out.put(b"&", 1)
            else:
                out.used = before
        return close_form(out, start)

    cdef object value(self, Context c):
        cdef dict found = {}
        cdef Py_ssize_t i
        cdef object value
        for i in range(len(self.keys)):
            value = (<Node>self.parts[i]).value(c)
            if value is not None:
                found[self.keys[i]] = value
        return found


cdef void add_name(uint64_t *mask, bytes name) noexcept:
    cdef int word
    cdef uint64_t bit = name_bit(
        <const unsigned char *>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), &word)
    mask[word] |= bit


cdef class Fields(Node):
    """The members of a mapped row: nulls and empty objects are left out, required ones insisted on,
    and `rest` gives what the members do not name themselves. Where that is the members of an object
    of the event, `plain` leads to it, and `without` are the names it leaves out."""

    def __cinit__(self, tuple keys, tuple parts, tuple required, Node rest, Path plain, list without):
        self.keys, self.parts, self.required, self.rest = keys, parts, required, rest
        self.plain, self.without = plain, without
        self.names = tuple([key.encode("utf-8", "surrogatepass") for key in keys])
        self.mask = [0, 0, 0, 0]
        for name in [*self.names, *without]:
            add_name(self.mask, name)
        self.json = tuple([json_name(key) for key in keys])
        self.form = tuple([form_name(key) for key in keys])

    cdef bint write(self, Context c, Output out) except -1:
        """As `value`; False where there would be no member."""
        cdef Py_ssize_t i
        cdef size_t before, start = out.used
        cdef list written = None if self.rest is None else []
        out.put(b"{", 1)
        for i in range(len(self.parts)):
            before = out.used
            out.put_bytes(<bytes>self.json[i])
            if (<Node>self.parts[i]).write(c, out):
                out.put(b",", 1)
                if written is not None:
                    written.append(self.names[i])
            else:
                out.used = before
                if self.required[i] is not None:
                    raise MissingField(self.required[i])
        if self.rest is not None:
            self.write_rest(c, out, written)
        if out.used == start + 1:
            out.used = start
            return False
        close_object(out)
        return True

    cdef int write_rest(self, Context c, Output out, list written) except -1:
        cdef const doc_node *node
        if self.plain is None or not self.plain.indexed(c):
            return self.write_members(self.rest.value(c), out, written)
        node = self.plain.find(c)
        if node == NULL or node.type != DOC_OBJECT:
            return 0
        for place in last_members(c.doc, node, written + self.without, self.mask):
            node = c.doc.tape.nodes + <Py_ssize_t>place
            if node.type != DOC_NULL:
                out.put(b'"', 1)
                out.put(node.key, node.key_n)
                out.put(b'":', 2)
                out.put(node.p, node.n)
                out.put(b",", 1)
        return 0

    cdef int write_members(self, object more, Output out, list written) except -1:
        if type(more) is dict:
            names = plain_names(written)
            for key, value in (<dict>more).items():
                json = None if key in names or value is None else json_of(value)
                if json is not None:
                    out.put_bytes(json_name(key))
                    out.put_bytes(json)
                    out.put(b",", 1)
        return 0

    cdef bint write_text(self, Context c, Output out) except -1:
        """An object within a form is its JSON."""
        cdef dict value = self.value(c)
        cdef bytes text = form_text(value) if value else None
        if text is None:
            return False
        out.quote_bytes(text)
        return True

    cdef bint write_form(self, Context c, Output out) except -1:
        cdef Py_ssize_t i
        cdef size_t before, start = out.used
        cdef list written = None if self.rest is None else []
        for i in range(len(self.parts)):
            before = out.used
            out.put_bytes(<bytes>self.form[i])
            if (<Node>self.parts[i]).write_text(c, out):
                out.put(b"&", 1)
                if written is not None:
                    written.append(self.names[i])
            else:
                out.used = before
                if self.required[i] is not None:
                    raise MissingField(self.required[i])
        if self.rest is not None:
            self.write_rest_form(c, out, written)
        return close_form(out, start)

    cdef int write_rest_form(self, Context c, Output out, list written) except -1:
        cdef const doc_node *node
        if self.plain is not None and self.plain.indexed(c):
            node = self.plain.find(c)
            if node != NULL and node.type == DOC_OBJECT:
                for place in last_members(c.doc, node, written + self.without, self.mask):
                    put_node_member(c.doc, c.doc.tape.nodes + <Py_ssize_t>place, out)
            return 0
        more = self.rest.value(c)
        if type(more) is dict:
            names = plain_names(written)
            for name, value in (<dict>more).items():
                if name not in names:
                    put_form_member(utf8_of(name), form_text(value), out)
        return 0

    cdef object value(self, Context c):
        cdef dict found = {}
        cdef Py_ssize_t i
        cdef Node part
        cdef object value, key, more
        for i in range(len(self.keys)):
            part = <Node>self.parts[i]
            value = part.value(c)
            if value is None or (type(value) is dict and not <dict>value and type(part) is Fields):
                if self.required[i] is not None:
                    raise MissingField(self.required[i])
            else:
                found[self.keys[i]] = value
        if self.rest is not None:
            more = self.rest.value(c)
            if type(more) is dict:
                for key, value in (<dict>more).items():
                    if key not in found and value is not None:
                        found[key] = value
        return found


cdef class Filled(Fields):
    """`filled` of an object: null where it has no member."""

    cdef object value(self, Context c):
        cdef dict found = Fields.value(self, c)
        return found if found else None
