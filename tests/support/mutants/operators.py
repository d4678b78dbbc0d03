"""Small wrong changes of a module, each a piece of its text put in another's place.

Changed is what computes: operators, numbers, truth values, arguments, statements. Left out is what people read or
checkers do (docstrings and every other string, what is raised, warned of or logged, annotations, assertions and the
``strict`` of ``zip``), since no number can come out wrong by it.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
"""The bound moved by one, and the opposite."""
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
PAIRS = (
    ("min", "max"), ("minimum", "maximum"), ("amin", "amax"), ("argmin", "argmax"), ("nanmin", "nanmax"),
    ("sum", "mean"), ("nansum", "nanmean"), ("any", "all"), ("floor", "ceil"), ("ones", "zeros"),
    ("ones_like", "zeros_like"), ("clamp_min", "clamp_max"), ("train", "eval"), ("startswith", "endswith"),
    ("cumsum", "cumprod"), ("isfinite", "isnan"),
)  # fmt: skip
"""Names of functions and methods that are taken for each other."""
OTHERS = {**dict(PAIRS), **{second: first for first, second in PAIRS}, "median": "max", "softmax": "sigmoid"}
MESSAGES = {
    "print", "warn", "warning", "info", "debug", "error", "getLogger", "progress", "advance", "cast", "TypeVar",
    "NewType",
}  # fmt: skip
"""Calls that are for people, or for checkers of types."""

Place = ast.expr | ast.stmt
"""What a change takes the place of."""


@dataclass(frozen=True)
class Mutation:
    """One change: the bytes from ``start`` to ``end`` of the module become ``text``."""

    operator: str
    line: int
    """The first one that is changed, counted from 1."""
    statement: range
    """Lines of the statement that it is in, of which one runs where it does; of a compound one, those of its head."""
    start: int
    end: int
    text: str

    def apply(self, source: str) -> str:
        encoded = source.encode()
        return (encoded[: self.start] + self.text.encode() + encoded[self.end :]).decode()


def mutations(source: str) -> list[Mutation]:
    """All of a module, in the order of its text."""
    encoded, offsets, different = source.encode(), [0], dict[tuple[int, int, str], Mutation]()
    for line in encoded.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    for node, statement in _computing(ast.parse(source), range(0)):
        for operator, old, new in _changes(node):
            start = offsets[old.lineno - 1] + old.col_offset
            end = offsets[(old.end_lineno or 0) - 1] + (old.end_col_offset or 0)
            text = ast.unparse(new)
            if not isinstance(new, ast.stmt | ast.Slice | ast.Constant | ast.Name | ast.Call):
                text = f"({text})"
            if ast.unparse(old) != ast.unparse(new):
                different.setdefault((start, end, text), Mutation(operator, old.lineno, statement, start, end, text))
    return sorted(different.values(), key=lambda one: (one.start, one.end, one.text))


def _computing(node: ast.AST, statement: range) -> Iterator[tuple[Place, range]]:
    """Below a node, what computes, each with the lines of its statement."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _for_people(child):
                continue
            within = _lines(child) if isinstance(child, ast.stmt) else statement
            if isinstance(child, Place):
                yield child, within
            yield from _computing(child, within)


def _lines(node: ast.stmt) -> range:
    body = getattr(node, "body", None)
    end = max(body[0].lineno, node.lineno + 1) if body else (node.end_lineno or node.lineno) + 1
    return range(node.lineno, end)


def _for_people(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise | ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr):
        return True
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return True
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return True
    if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test):
        return True
    if isinstance(node, ast.Assign) and any(_name(target) == "__all__" for target in node.targets):
        return True
    if isinstance(node, ast.Subscript) and _name(node.value) in ("Literal", "Callable", "Annotated"):
        return True
    if isinstance(node, ast.Expr):
        return _for_people(node.value)
    return isinstance(node, ast.Call) and (_name(node.func) in MESSAGES or _name(node.func).endswith("Error"))


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _with(node: Place, **fields: object) -> Place:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _changes(node: Place) -> Iterator[tuple[str, Place, Place]]:
    """The operator, what it changes, and what that becomes."""
    match node:
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                for other in COMPARISONS[type(operator)]:
                    yield "comparison", node, _with(node, ops=[*node.ops[:place], other(), *node.ops[place + 1 :]])
        case ast.BinOp() if type(node.op) in ARITHMETIC:
            yield "arithmetic", node, _with(node, op=ARITHMETIC[type(node.op)]())
        case ast.BoolOp():
            yield "and, or", node, _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()):
            yield "sign or not", node, node.operand
        case ast.Constant():
            for value in _other_values(node.value):
                yield "value", node, ast.Constant(value)
        case ast.Call():
            yield from _calls(node)
        case ast.IfExp():
            yield "branches", node, _with(node, body=node.orelse, orelse=node.body)
        case ast.Slice():
            for bound in ("lower", "upper"):
                value = getattr(node, bound)
                if value is not None and not isinstance(value, ast.Constant):
                    yield "slice", value, ast.BinOp(value, ast.Add(), ast.Constant(1))
        case ast.If(test=ast.Name() | ast.Attribute() | ast.Call()):
            yield "condition", node.test, ast.UnaryOp(ast.Not(), node.test)
        case ast.AugAssign():
            yield "dropped statement", node, ast.Pass()
            if type(node.op) in ARITHMETIC:
                yield "arithmetic", node, _with(node, op=ARITHMETIC[type(node.op)]())
        case ast.Expr(value=ast.Call()) | ast.Break() | ast.Continue():
            yield "dropped statement", node, ast.Pass()
        case ast.Assign() if all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            yield "dropped statement", node, ast.Pass()


def _other_values(value: object) -> list[bool] | list[int] | list[float]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    return [value * 2, value / 2] if isinstance(value, float) else []


def _calls(node: ast.Call) -> Iterator[tuple[str, Place, Place]]:
    name = _name(node.func)
    if name in OTHERS and (name != "sum" or isinstance(node.func, ast.Attribute)):  # Python has no other for its sum
        func = _with(node.func, **{"id" if isinstance(node.func, ast.Name) else "attr": OTHERS[name]})
        yield "function", node, _with(node, func=func)
    first = [one for one in node.args[:2] if not isinstance(one, ast.Starred) and not _text(one)]
    if len(first) == 2 and name != "isinstance":
        yield "arguments swapped", node, _with(node, args=[first[1], first[0], *node.args[2:]])
    for place, keyword in enumerate(node.keywords):
        if keyword.arg not in (None, "strict") and not _text(keyword.value):
            yield "keyword dropped", node, _with(node, keywords=node.keywords[:place] + node.keywords[place + 1 :])


def _text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
