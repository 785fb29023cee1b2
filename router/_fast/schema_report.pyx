"""All violations of a schema by a decoded value: the slow lane beside schema_nodes.pyx."""

from router._fast.patterns cimport Pattern
from router._fast.schema_nodes cimport (
    AllOf, AnyOf, If, Items, Members, Node, Not, OneOf, Part,
)
from router._fast.schema_scalars cimport (
    BOOLEAN, FLOAT, INTEGER, LIST, NULL_KIND, OBJECT, TEXT, Choice, Number, Text, all_different,
    fits, kind_of, spend, start,
)

from router._fast.schema_formats import is_base64
from router._fast.schema_messages import Violation, brief, cut, found, pointer_of
from router._fast.schema_scalars import Beyond


class Full(Exception):
    """As many violations are noted as are wanted."""


cdef class Report:
    cdef list violations
    cdef Py_ssize_t limit

    cdef int add(self, Node node, object path, str keyword, str message) except -1:
        if len(self.violations) >= self.limit:
            raise Full
        where = f"{node.where}/{keyword}" if keyword else node.where
        self.violations.append(Violation(pointer_of(path), keyword, where, message))
        return 0


cdef list report_all(Node node, object value, Py_ssize_t limit):
    """Up to `limit` violations, in the order of the schema's kinds of keywords."""
    cdef Report report = Report()
    report.violations, report.limit = [], limit
    start()
    try:
        visit(report, node, value, None, 0)
    except Full:
        pass
    except Beyond as error:
        if len(report.violations) < limit:
            report.violations.append(Violation("", "", node.where, f"the value {error}"))
    return report.violations


cdef int visit(Report report, Node node, object value, object path, int depth) except -1:
    cdef int kind = kind_of(value)
    cdef Choice choice
    spend(depth)
    if node.never:
        report.add(node, path, "", f"nothing is allowed here, found {found(value)}")
        return 0
    if not fits(node.kinds, kind, value):
        report.add(node, path, "type", f"expected {kinds_text(node.kinds)}, found {found(value)}")
    if node.choices is not None:
        for each in node.choices:
            choice = <Choice>each
            if not choice.ok(value, depth):
                report.add(node, path, choice.keyword,
                           f"expected {choice_text(choice.values)}, found {found(value)}")
    if kind == TEXT and node.text is not None:
        visit_text(report, node, <str>value, path)
    elif kind == OBJECT and node.members is not None:
        visit_members(report, node, <dict>value, path, depth + 1)
    elif kind == LIST and node.items is not None:
        visit_items(report, node, <list>value, path, depth + 1)
    elif kind & (INTEGER | FLOAT) and node.number is not None:
        visit_number(report, node, value, path)
    if node.parts is not None:
        for part in node.parts:
            visit_part(report, node, <Part>part, value, path, depth + 1)
    return 0


cdef str kinds_text(int kinds):
    names = [
        name for bit, name in (
            (NULL_KIND, "null"), (BOOLEAN, "boolean"), (TEXT, "string"), (LIST, "array"),
            (OBJECT, "object"),
        ) if kinds & bit
    ]
    if kinds & FLOAT:
        names.append("number")
    elif kinds & INTEGER:
        names.append("integer")
    return " or ".join(names) or "nothing"


cdef str choice_text(list values):
    shown = ", ".join([brief(value) for value in values[:10]])
    more = f" and {len(values) - 10} more" if len(values) > 10 else ""
    return shown + more if len(values) == 1 else f"one of {shown}{more}"


cdef int visit_text(Report report, Node node, str value, object path) except -1:
    cdef Text text = node.text
    cdef Py_ssize_t n = len(value)
    if n < text.least:
        report.add(node, path, "minLength",
                   f"expected at least {text.least} characters, found {n}: {brief(value)}")
    if 0 <= text.most < n:
        report.add(node, path, "maxLength",
                   f"expected at most {text.most} characters, found {n}: {brief(value)}")
    if text.pattern is not None and not text.pattern.search_text(value):
        report.add(node, path, "pattern",
                   f"{brief(value)} does not match the pattern {cut(text.pattern.text)}")
    if text.format is not None and not text.format.ok(value):
        report.add(node, path, "format", f"{brief(value)} is no {text.format.name}")
    if text.base64 and not is_base64(value):
        report.add(node, path, "contentEncoding", f"{brief(value)} is not base64")
    elif not text.content_ok(value):
        report.add(node, path, "contentMediaType", f"{brief(value)} is not JSON")
    return 0


cdef int visit_number(Report report, Node node, object value, object path) except -1:
    cdef Number number = node.number
    if number.low is not None and not value >= number.low:
        report.add(node, path, "minimum",
                   f"expected at least {brief(number.low)}, found {brief(value)}")
    if number.high is not None and not value <= number.high:
        report.add(node, path, "maximum",
                   f"expected at most {brief(number.high)}, found {brief(value)}")
    if number.above is not None and not value > number.above:
        report.add(node, path, "exclusiveMinimum",
                   f"expected more than {brief(number.above)}, found {brief(value)}")
    if number.below is not None and not value < number.below:
        report.add(node, path, "exclusiveMaximum",
                   f"expected less than {brief(number.below)}, found {brief(value)}")
    if not number.multiple_ok(value):
        report.add(node, path, "multipleOf",
                   f"expected a multiple of {brief(number.multiple)}, found {brief(value)}")
    return 0


cdef int visit_items(Report report, Node node, list value, object path, int depth) except -1:
    cdef Items items = node.items
    cdef Py_ssize_t n = len(value)
    cdef Py_ssize_t i
    cdef Py_ssize_t fixed = 0 if items.prefix is None else len(items.prefix)
    if n < items.least:
        report.add(node, path, "minItems", f"expected at least {items.least} items, found {n}")
    if 0 <= items.most < n:
        report.add(node, path, "maxItems", f"expected at most {items.most} items, found {n}")
    for i in range(n):
        if i < fixed:
            visit(report, <Node>items.prefix[i], value[i], (path, i), depth)
        elif items.rest is None:
            break
        elif items.rest.never:
            report.add(node, (path, i), items.rest_keyword,
                       f"expected no item here, found {found(value[i])}")
        else:
            visit(report, items.rest, value[i], (path, i), depth)
    if items.unique and not all_different(value, depth):
        report.add(node, path, "uniqueItems", f"two of the {n} items are equal")
    if items.contains is not None:
        for item in value:
            if items.contains.ok(item, depth):
                break
        else:
            report.add(node, path, "contains", f"none of the {n} items is as one has to be")
    return 0


cdef int visit_members(Report report, Node node, dict value, object path, int depth) except -1:
    cdef Members members = node.members
    cdef Py_ssize_t n = len(value)
    cdef int i
    for i in range(members.count):
        name = members.names[i]
        if name not in value:
            if members.table[i].required:
                report.add(node, path, "required", f"{brief(name)} is required")
        elif members.nodes[i] is not None:
            if (<Node>members.nodes[i]).never:
                report.add(node, (path, name), "properties",
                           f"{brief(name)} is not allowed, found {found(value[name])}")
            else:
                visit(report, <Node>members.nodes[i], value[name], (path, name), depth)
    if n < members.least:
        report.add(node, path, "minProperties",
                   f"expected at least {members.least} members, found {n}")
    if 0 <= members.most < n:
        report.add(node, path, "maxProperties",
                   f"expected at most {members.most} members, found {n}")
    if members.rare or members.closed:
        visit_names(report, node, value, path, depth)
    if members.dependencies is not None:
        visit_dependencies(report, node, value, path, depth)
    return 0


cdef int visit_names(Report report, Node node, dict value, object path, int depth) except -1:
    cdef Members members = node.members
    for name, item in value.items():
        i = members.index.get(name)
        planned = i is not None and members.nodes[i] is not None
        if members.patterns is not None:
            for pattern, inner in members.patterns:
                if (<Pattern>pattern).search_text(name):
                    planned = True
                    visit(report, <Node>inner, item, (path, name), depth)
        if not planned and members.closed:
            report.add(node, (path, name), "additionalProperties",
                       f"{brief(name)} is not one of the members the schema allows")
        elif not planned and members.additional is not None:
            visit(report, members.additional, item, (path, name), depth)
        if members.name_node is not None and not members.name_node.ok(name, depth):
            report.add(node, (path, name), "propertyNames",
                       f"the name {brief(name)} is not allowed: "
                       + first_reason(members.name_node, name, depth))
    return 0


cdef int visit_dependencies(Report report, Node node, dict value, object path,
                            int depth) except -1:
    for name, names, inner in node.members.dependencies:
        if name not in value:
            continue
        if inner is not None:
            visit(report, <Node>inner, value, path, depth)
            continue
        for other in <tuple>names:
            if other not in value:
                report.add(node, path, "dependencies",
                           f"{brief(other)} is required where there is {brief(name)}")
    return 0


cdef str first_reason(Node node, object value, int depth):
    cdef Report inner = Report()
    inner.violations, inner.limit = [], 1
    try:
        visit(inner, node, value, None, depth)
    except Full:
        pass
    if not inner.violations:
        return ""
    return (f"at {cut(inner.violations[0].pointer)} " if inner.violations[0].pointer else "") + (
        inner.violations[0].message)


cdef int visit_part(Report report, Node node, Part part, object value, object path,
                    int depth) except -1:
    if type(part) is AllOf:
        for inner in (<AllOf>part).nodes:
            visit(report, <Node>inner, value, path, depth)
    elif type(part) is AnyOf:
        if not part.ok(value, depth):
            nodes = (<AnyOf>part).nodes
            reason = first_reason(<Node>nodes[0], value, depth)
            report.add(node, path, "anyOf",
                       f"matches none of the {len(nodes)} alternatives, not the first as {reason}")
    elif type(part) is OneOf:
        visit_one_of(report, node, (<OneOf>part).nodes, value, path, depth)
    elif type(part) is Not:
        if not part.ok(value, depth):
            report.add(node, path, "not", f"is what it must not be, found {found(value)}")
    elif (<If>part).condition.ok(value, depth):
        if (<If>part).then is not None:
            visit(report, (<If>part).then, value, path, depth)
    elif (<If>part).otherwise is not None:
        visit(report, (<If>part).otherwise, value, path, depth)
    return 0


cdef int visit_one_of(Report report, Node node, tuple nodes, object value, object path,
                      int depth) except -1:
    fitting = [i for i in range(len(nodes)) if (<Node>nodes[i]).ok(value, depth)]
    if not fitting:
        reason = first_reason(<Node>nodes[0], value, depth)
        report.add(node, path, "oneOf",
                   f"matches none of the {len(nodes)} alternatives, not the first as {reason}")
    elif len(fitting) > 1:
        report.add(node, path, "oneOf",
                   f"matches {len(fitting)} of the {len(nodes)} alternatives, and may only one: "
                   + cut(", ".join(map(str, fitting))))
    return 0
