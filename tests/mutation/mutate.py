"""Mutations of a module, made on its syntax tree. Pure.

Why not cosmic-ray or mutmut: neither removes statements, which is the kind of fault that tests here have missed;
cosmic-ray also mutates annotations; mutmut sees only tests that run the code in their own process, while a step's
life is decided in the processes of pipelines.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Change = Callable[[], None]
#: A node, what its change is, and what changes it.
Site = tuple[Any, str, Change]
#: The same, after the name of the function.
Found = tuple[str, Any, str, Change]

_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}

#: Calls whose only effect is a line for developers.
_DEBUG = ("logger.debug",)


@dataclass(frozen=True)
class Mutation:
    """One change of a module.

    Attributes:
        line: Where it is, from 1.
        function: The innermost function there.
        what: What is changed, for a report.
        lines: The lines that a test has to execute to notice it.
        number: Its number among the module's, from 0.
        original: The module without it.
    """

    line: int
    function: str
    what: str
    lines: range
    number: int
    original: str = field(repr=False)

    @property
    def source(self) -> str:
        """The whole module with it."""
        tree = ast.parse(self.original)
        *_, change = list(_sites(tree))[self.number]
        change()
        return ast.unparse(ast.fix_missing_locations(tree))


def mutations(source: str) -> Iterator[Mutation]:
    """Yield every mutation of a module, in the order of its lines.

    Args:
        source: The module.
    """
    for number, (function, node, what, _) in enumerate(_sites(ast.parse(source))):
        first, last = node.lineno, getattr(node, "end_lineno", node.lineno) or node.lineno
        yield Mutation(first, function, what, range(first, last + 1), number, source)


def _sites(tree: ast.Module) -> Iterator[Found]:
    """Yield a function's name, a node, what its change is, and the change, for everything that can be changed."""
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from ((function.name, *site) for site in _in_body(function, function.body))


def _in_body(owner: ast.AST, body: list[ast.stmt]) -> Iterator[Site]:
    for index, statement in enumerate(body):
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)):
            continue  # a function within is walked to by itself
        if _can_be_removed(statement):
            yield statement, f"removes `{_short(statement)}`", _removal(body, index)
        yield from _in_statement(statement)
        for name in ("body", "orelse", "finalbody"):
            yield from _in_body(statement, getattr(statement, name, []))
        for handler in getattr(statement, "handlers", []):
            yield from _in_body(handler, handler.body)


def _in_statement(statement: ast.stmt) -> Iterator[Site]:
    if isinstance(statement, (ast.If, ast.While)):
        yield statement.test, f"negates `{_short(statement.test)}`", _negation(statement, "test")
    if isinstance(statement, ast.Return) and statement.value is not None and not _is_false(statement.value):
        yield statement, f"returns None for `{_short(statement.value)}`", _none(statement)
    for node in _own_expressions(statement):
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _OPPOSITES:
            yield node, f"turns round `{_short(node)}`", _opposite(node)
        elif isinstance(node, ast.BoolOp):
            yield node, f"swaps and/or in `{_short(node)}`", _swap(node)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node, f"drops `not` of `{_short(node)}`", _without_not(statement, node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield node, f"turns `{node.value}` round", _other_bool(node)
        elif isinstance(node, ast.IfExp):
            yield node, f"negates `{_short(node.test)}`", _negation(node, "test")


def _own_expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a statement's expressions, not those of statements or functions within."""
    waiting: list[ast.AST] = [
        child for child in ast.iter_child_nodes(statement) if not isinstance(child, (ast.stmt, ast.ExceptHandler))
    ]
    if isinstance(statement, ast.AnnAssign):
        waiting = [statement.value] if statement.value is not None else []
    while waiting:
        node = waiting.pop(0)
        yield node
        waiting += ast.iter_child_nodes(node)


def _can_be_removed(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        is_text = isinstance(statement.value, ast.Constant)
        return not is_text and not ast.unparse(statement).startswith(_DEBUG)
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        # Without a local name, the next line would end in a NameError: no test worth its name.
        return all(isinstance(target, (ast.Attribute, ast.Subscript)) for target in targets)
    return isinstance(statement, (ast.AugAssign, ast.Delete, ast.Raise, ast.Break, ast.Continue))


def _removal(body: list[ast.stmt], index: int) -> Change:
    def change() -> None:
        body[index] = ast.copy_location(ast.Pass(), body[index])

    return change


def _negation(owner: ast.AST, name: str) -> Change:
    def change() -> None:
        setattr(owner, name, ast.UnaryOp(ast.Not(), getattr(owner, name)))

    return change


def _none(statement: ast.Return) -> Change:
    def change() -> None:
        statement.value = ast.Constant(None)

    return change


def _opposite(node: ast.Compare) -> Change:
    def change() -> None:
        node.ops = [_OPPOSITES[type(node.ops[0])]()]

    return change


def _swap(node: ast.BoolOp) -> Change:
    def change() -> None:
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()

    return change


def _without_not(statement: ast.stmt, node: ast.UnaryOp) -> Change:
    def change() -> None:
        for parent in ast.walk(statement):
            for name, value in ast.iter_fields(parent):
                if value is node:
                    setattr(parent, name, node.operand)
                elif isinstance(value, list) and node in value:
                    value[value.index(node)] = node.operand

    return change


def _other_bool(node: ast.Constant) -> Change:
    def change() -> None:
        node.value = not node.value

    return change


def _is_false(node: ast.expr) -> bool:
    """True for a constant that callers who ask only whether it is true cannot tell from None."""
    return isinstance(node, ast.Constant) and not node.value


def _short(node: ast.AST) -> str:
    words = " ".join(ast.unparse(node).split())
    return words if len(words) <= 80 else f"{words[:77]}..."
