"""JSON Schema draft-07 (https://json-schema.org/draft-07/json-schema-validation), compiled once to
a tree of nodes that judges every event of a tracking plan.

`compile` reads the schema and says what is wrong with it; the nodes are in schema_nodes.pyx, what
they tell of a violation in schema_report.pyx.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from cpython.bytes cimport PyBytes_AS_STRING

from router._fast.document cimport Document, doc_member, doc_node
from router._fast.patterns cimport Pattern
from router._fast.schema_nodes cimport AllOf, AnyOf, If, Items, Members, Node, Not, OneOf
from router._fast.schema_report cimport report_all
from router._fast.schema_scalars cimport (
    ANY, BOOLEAN, FLOAT, INTEGER, LIST, NULL_KIND, OBJECT, TEXT, Choice, Format, Number, Text,
    key_of, start,
)

from decimal import Decimal
from fractions import Fraction
from math import isfinite

from router._fast.schema_formats import find_format
from router._fast.schema_messages import Violation, brief
from router._fast.schema_scalars import Beyond
from router._fast.schema_refs import Registry, base_within, escape
from router.errors import PatternError, SchemaError


_KINDS = {
    "null": NULL_KIND, "boolean": BOOLEAN, "integer": INTEGER, "number": INTEGER | FLOAT,
    "string": TEXT, "array": LIST, "object": OBJECT,
}
_FORMAT_CODES = {"date-time": 1, "date": 2, "time": 3}
DEF MAX_COUNT = 1 << 60
DEF MAX_PLACES = 10_000


cdef class Schema:
    """A compiled schema. Values are what a JSON decoder gives; any number of threads may share it."""

    cdef Node root

    def valid(self, value):
        """Whether the value meets the schema. One nested too deep to be checked (about 1,000
        levels) or too costly (5 million steps) does not."""
        start()
        try:
            return self.root.ok(value, 0)
        except Beyond:
            return False

    def valid_doc(self, Document document not None, path=()):
        """As `valid`, of the event or of its member at `path`; False where that is not there."""
        cdef const doc_node *node = document.tape.nodes
        cdef bytes name
        for step in path:
            name = (<str?>step).encode()
            node = doc_member(&document.tape, node, PyBytes_AS_STRING(name), len(name))
        if node == NULL:
            return False
        return self.judge(document, node)

    def valid_many(self, list documents not None):
        """`valid_doc` of each: a byte 1 or 0."""
        cdef Py_ssize_t i
        cdef bytearray answers = bytearray(len(documents))
        for i in range(len(documents)):
            answers[i] = self.judge(documents[i], (<Document?>documents[i]).tape.nodes)
        return bytes(answers)

    cdef bint judge(self, Document document, const doc_node *node) except -1:
        start()
        try:
            return self.root.ok_doc(document, node, 0)
        except Beyond:
            return False

    def violations(self, value, Py_ssize_t limit=100):
        """Up to `limit` violations; none exactly where `valid` says so."""
        return report_all(self.root, value, limit)


def compile(schema, *, resolve=None, bint formats=True):
    """Compile a schema, a dict or a bool.

    `resolve` has the schemas of other documents by URI; the metaschema of draft-07 is known. Without
    `formats`, `format` and `contentEncoding` assert nothing. Raises `SchemaError` with the place of
    what is wrong: a keyword of the wrong type, a pattern that has no linear-time form, a `$ref` that
    leads nowhere or, without a step into the value, to itself.
    """
    cdef Schema compiled = Schema()
    cdef Builder builder = Builder()
    builder.registry = Registry(schema, {} if resolve is None else resolve)
    builder.formats = formats
    builder.nodes, builder.waiting, builder.patterns = {}, [], {}
    root = builder.registry.root
    compiled.root = builder.node(schema, "", root.where)
    while builder.waiting:
        node, inner, base = builder.waiting.pop()
        builder.fill(<Node>node, inner, base)
    refuse_loops([entry[0] for entry in builder.nodes.values()])
    return compiled


cdef class Builder:
    """Makes nodes. A schema becomes one node, filled in later: so it may refer to itself."""

    cdef object registry
    cdef bint formats
    cdef dict nodes
    cdef list waiting
    cdef dict patterns

    cdef Node node(self, object schema, str base, str where):
        cdef Node made
        followed = set()
        while type(schema) is dict and "$ref" in schema:
            reference = schema["$ref"]
            if type(reference) is not str:
                raise wrong("$ref", "a string", reference, where)
            if (id(schema), base) in followed:
                raise SchemaError("this $ref leads only to itself", pointer=f"{where}/$ref",
                                  hint="let it lead to a schema that says something")
            followed.add((id(schema), base))
            schema, base, where = self.registry.locate(reference, base, f"{where}/$ref")
        if type(schema) is not dict and type(schema) is not bool:
            raise SchemaError(f"a schema has to be an object or a boolean, not {brief(schema)}",
                              pointer=where)
        if not followed:
            base = base_within(schema, base, where)
        # A boolean is one object wherever it stands.
        key = (id(schema), base, where if type(schema) is bool else "")
        if key in self.nodes:
            return <Node>self.nodes[key][0]
        made = Node()
        made.where, made.kinds = where, ANY
        # The schema is kept with its node: its id is its name.
        self.nodes[key] = (made, schema)
        self.waiting.append((made, schema, base))
        return made

    cdef int fill(self, Node node, object schema, str base) except -1:
        if type(schema) is bool:
            node.never = not schema
            node.kinds = ANY if schema else 0
            return 0
        fill_kinds(node, schema)
        fill_choices(node, schema)
        node.text = self.text(schema, node.where)
        node.number = number_of(schema, node.where)
        node.items = self.items(schema, base, node.where)
        node.members = self.members(schema, base, node.where)
        node.parts = self.parts(schema, base, node.where)
        return 0

    cdef Node inner(self, dict schema, str keyword, str base, str where):
        """The schema that is the keyword's value; None without the keyword."""
        if keyword not in schema:
            return None
        return self.node(schema[keyword], base, f"{where}/{keyword}")

    cdef tuple several(self, dict schema, str keyword, str base, str where):
        value = schema.get(keyword)
        if keyword not in schema:
            return None
        if type(value) is not list or not value:
            raise wrong(keyword, "an array of schemas, not empty", value, where)
        return tuple([
            self.node(part, base, f"{where}/{keyword}/{i}") for i, part in enumerate(value)
        ])

    cdef Pattern pattern(self, str text, str where):
        if text not in self.patterns:
            try:
                self.patterns[text] = Pattern(text)
            except PatternError as error:
                column = f", column {error.column}" if error.column else ""
                raise SchemaError(f"the pattern {brief(text)}{column}: {error.message}",
                                  pointer=where, hint=error.hint) from None
        return self.patterns[text]

    cdef Text text(self, dict schema, str where):
        cdef Text text = Text()
        text.least, text.most = count_of(schema, "minLength", 0, where), (
            count_of(schema, "maxLength", -1, where))
        if "pattern" in schema:
            text.pattern = self.pattern(string_of(schema, "pattern", where), f"{where}/pattern")
        if "format" in schema:
            text.format = self.format(string_of(schema, "format", where))
        if self.formats:
            text.base64 = schema.get("contentEncoding") == "base64"
            text.json = schema.get("contentMediaType") == "application/json"
        if (text.least > 0 or text.most >= 0 or text.pattern is not None or text.format is not None
                or text.base64 or text.json):
            return text
        return None

    cdef Format format(self, str name):
        cdef Format made
        if not self.formats:
            return None
        found = find_format(name)
        if found is None and name not in _FORMAT_CODES:
            return None
        made = Format()
        made.name, made.code = name, _FORMAT_CODES.get(name, 0)
        if found is not None:
            made.pattern, made.check = found
        return made

    cdef Items items(self, dict schema, str base, str where):
        cdef Items items = Items()
        items.least, items.most = count_of(schema, "minItems", 0, where), (
            count_of(schema, "maxItems", -1, where))
        items.unique = bool_of(schema, "uniqueItems", where)
        items.contains = self.inner(schema, "contains", base, where)
        if type(schema.get("items")) is list:
            items.prefix = tuple([
                self.node(part, base, f"{where}/items/{i}")
                for i, part in enumerate(schema["items"])
            ])
            items.rest, items.rest_keyword = (
                self.inner(schema, "additionalItems", base, where), "additionalItems")
        else:
            items.rest, items.rest_keyword = self.inner(schema, "items", base, where), "items"
            self.inner(schema, "additionalItems", base, where)
        if (items.least > 0 or items.most >= 0 or items.unique or items.contains is not None
                or items.prefix is not None or items.rest is not None):
            return items
        return None

    cdef dict named(self, dict schema, str keyword, str base, str where):
        """The schemas of a keyword that has them by name."""
        value = schema.get(keyword, {})
        if type(value) is not dict:
            raise wrong(keyword, "an object of schemas", value, where)
        return {
            name: self.node(part, base, f"{where}/{keyword}/{escape(name)}")
            for name, part in value.items()
        }

    cdef Members members(self, dict schema, str base, str where):
        cdef Members members = Members()
        nodes = self.named(schema, "properties", base, where)
        required = strings_of(schema.get("required", []), "required", where)
        names = tuple(dict.fromkeys([*nodes, *required]))
        members.fill(names, tuple([nodes.get(name) for name in names]), frozenset(required))
        members.closed = schema.get("additionalProperties") is False
        members.additional = self.inner(schema, "additionalProperties", base, where)
        members.name_node = self.inner(schema, "propertyNames", base, where)
        members.patterns = tuple([
            (self.pattern(name, f"{where}/patternProperties/{escape(name)}"), node)
            for name, node in self.named(schema, "patternProperties", base, where).items()
        ]) or None
        members.dependencies = self.dependencies(schema, base, where)
        members.least, members.most = count_of(schema, "minProperties", 0, where), (
            count_of(schema, "maxProperties", -1, where))
        members.rare = (
            members.patterns is not None or members.name_node is not None
            or members.dependencies is not None or members.least > 0 or members.most >= 0
            or (members.additional is not None and not members.closed
                and schema.get("additionalProperties") is not True)
        )
        return members if names or members.closed or members.rare else None

    cdef tuple dependencies(self, dict schema, str base, str where):
        value = schema.get("dependencies", {})
        if type(value) is not dict:
            raise wrong("dependencies", "an object", value, where)
        found = []
        for name, part in value.items():
            place = f"{where}/dependencies"
            if type(part) is list:
                found.append((name, tuple(strings_of(part, escape(name), place)), None))
            else:
                found.append((name, None, self.node(part, base, f"{place}/{escape(name)}")))
        return tuple(found) or None

    cdef tuple parts(self, dict schema, str base, str where):
        cdef AllOf all_of = AllOf()
        cdef AnyOf any_of = AnyOf()
        cdef OneOf one_of = OneOf()
        cdef Not negation = Not()
        cdef If choice = If()
        found = []
        all_of.nodes = self.several(schema, "allOf", base, where)
        any_of.nodes = self.several(schema, "anyOf", base, where)
        one_of.nodes = self.several(schema, "oneOf", base, where)
        negation.node = self.inner(schema, "not", base, where)
        choice.condition = self.inner(schema, "if", base, where)
        choice.then = self.inner(schema, "then", base, where)
        choice.otherwise = self.inner(schema, "else", base, where)
        if all_of.nodes is not None:
            found.append(all_of)
        if any_of.nodes is not None:
            found.append(any_of)
        if one_of.nodes is not None:
            found.append(one_of)
        if negation.node is not None:
            found.append(negation)
        if choice.condition is not None and (
            choice.then is not None or choice.otherwise is not None
        ):
            found.append(choice)
        return tuple(found) or None


cdef object wrong(str keyword, str wanted, object value, str where):
    return SchemaError(f"{keyword} has to be {wanted}, not {brief(value)}",
                       pointer=f"{where}/{keyword}")


cdef Py_ssize_t count_of(dict schema, str keyword, Py_ssize_t otherwise, str where) except? -2:
    value = schema.get(keyword)
    if keyword not in schema:
        return otherwise
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or value < 0:
        raise wrong(keyword, "a whole number from 0 on", value, where)
    return min(value, MAX_COUNT)


cdef bint bool_of(dict schema, str keyword, str where) except -1:
    value = schema.get(keyword, False)
    if type(value) is not bool:
        raise wrong(keyword, "a boolean", value, where)
    return value


cdef str string_of(dict schema, str keyword, str where):
    value = schema[keyword]
    if type(value) is not str:
        raise wrong(keyword, "a string", value, where)
    return value


cdef list strings_of(object value, str keyword, str where):
    if type(value) is not list or not all([type(name) is str for name in value]):
        raise wrong(keyword, "an array of strings", value, where)
    return value


cdef int fill_kinds(Node node, dict schema) except -1:
    names = schema.get("type")
    if "type" not in schema:
        return 0
    if type(names) is str:
        names = [names]
    if type(names) is not list or not names:
        raise wrong("type", "a type's name or an array of them", names, node.where)
    node.kinds = 0
    for name in names:
        if type(name) is not str or name not in _KINDS:
            raise SchemaError(f"there is no type {brief(name)}", pointer=f"{node.where}/type",
                              hint="types are " + ", ".join(_KINDS))
        node.kinds |= <int>_KINDS[name]
    return 0


cdef int fill_choices(Node node, dict schema) except -1:
    choices = []
    if "enum" in schema:
        if type(schema["enum"]) is not list:
            raise wrong("enum", "an array", schema["enum"], node.where)
        choices.append(choice_of("enum", schema["enum"], node.where))
    if "const" in schema:
        choices.append(choice_of("const", [schema["const"]], node.where))
    node.choices = tuple(choices) or None
    return 0


cdef Choice choice_of(str keyword, list values, str where):
    cdef Choice choice = Choice()
    choice.keyword, choice.values = keyword, values
    texts = [value for value in values if type(value) is str]
    choice.texts = frozenset(texts)
    choice.encoded = tuple([text.encode("utf-8", "surrogatepass") for text in choice.texts])
    start()
    try:
        choice.rest = frozenset([key_of(value, 0) for value in values if type(value) is not str])
    except Beyond as error:
        raise SchemaError(f"a value {error}", pointer=f"{where}/{keyword}") from None
    return choice


cdef object limit_of(dict schema, str keyword, str where):
    value = schema.get(keyword)
    if keyword not in schema:
        return None
    if type(value) is bool and keyword.startswith("exclusive"):
        raise SchemaError(f"{keyword} has to be a number, not {brief(value)}",
                          pointer=f"{where}/{keyword}",
                          hint=f"a boolean is draft-04's way: write the limit as {keyword}")
    if type(value) is not int and type(value) is not float or not isfinite_number(value):
        raise wrong(keyword, "a number", value, where)
    return value


cdef bint isfinite_number(object value) except -1:
    return type(value) is int or isfinite(value)


cdef Number number_of(dict schema, str where):
    cdef Number number = Number()
    number.low = limit_of(schema, "minimum", where)
    number.high = limit_of(schema, "maximum", where)
    number.above = limit_of(schema, "exclusiveMinimum", where)
    number.below = limit_of(schema, "exclusiveMaximum", where)
    number.multiple = limit_of(schema, "multipleOf", where)
    number.exact = True
    limits = (number.low, number.high, number.above, number.below)
    for i in range(4):
        number.limits[i] = -INFINITY if i % 2 == 0 else INFINITY
        if limits[i] is None:
            continue
        try:
            number.limits[i] = float(limits[i])
        except OverflowError:
            number.exact = False
        else:
            number.exact = number.exact and number.limits[i] == limits[i]
    if number.multiple is not None:
        fill_multiple(number, where)
    elif limits == (None, None, None, None):
        return None
    return number


cdef int fill_multiple(Number number, str where) except -1:
    if not number.multiple > 0:
        raise wrong("multipleOf", "a number above 0", number.multiple, where)
    decimal = Decimal(repr(number.multiple)).normalize() if type(number.multiple) is float else (
        Decimal(number.multiple))
    number.fraction = Fraction(decimal)
    number.decimals = max(-<int>decimal.as_tuple().exponent, 0)
    mantissa = number.fraction * 10 ** number.decimals
    number.mantissa = <int64_t>int(mantissa) if mantissa < 1 << 62 else 0
    return 0


cdef list in_place(Node node):
    """The nodes that judge the same value as this one."""
    found = []
    for part in node.parts or ():
        if type(part) is AllOf:
            found += (<AllOf>part).nodes
        elif type(part) is AnyOf:
            found += (<AnyOf>part).nodes
        elif type(part) is OneOf:
            found += (<OneOf>part).nodes
        elif type(part) is Not:
            found.append((<Not>part).node)
        else:
            found += [(<If>part).condition, (<If>part).then, (<If>part).otherwise]
    if node.members is not None:
        found += [inner for _, _, inner in node.members.dependencies or ()]
    return [inner for inner in found if inner is not None]


def refuse_loops(nodes):
    """Raise `SchemaError` where a schema applies itself to the very same value."""
    done = set()
    for root in nodes:
        open_ = {}
        path = [(root, iter(in_place(<Node>root)))] if root not in done else []
        if path:
            open_[root] = True
        while path:
            node, rest = path[len(path) - 1]
            inner = next(rest, None)
            if inner is None:
                path.pop()
                open_.pop(node)
                done.add(node)
            elif inner in open_:
                raise SchemaError("the schema applies itself to the same value, without end",
                                  pointer=(<Node>inner).where, hint="drop the $ref back to it")
            elif inner not in done:
                open_[inner] = True
                path.append((inner, iter(in_place(<Node>inner))))
