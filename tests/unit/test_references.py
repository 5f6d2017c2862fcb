"""References between objects point downwards only: read from the sources.

An object that is handed a function of the one that made it calls back up, and then nobody can tell from the layers who
calls whom. So constructors get values and objects of the layers below.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

from tests.unit.import_graph import PACKAGE, modules

#: The packages through which a step travels.
FOLDERS = ("lifecycle", "plugin", "submission", "run_store", "azure.jobs", "job_admin", "step_operator")

#: Functions that are handed to constructors, and why.
HANDED = {
    "azure.jobs.monitor: Thread(self._run)": "the entry of a thread",
    "azure.jobs.watch: LogFollower(time.monotonic)": "the clock that is injected",
    "azure.jobs.tunnel: Thread(self._work)": "the entry of a thread",
    "job_admin.launcher: StepRunInfo(lambda)": "ZenML's interface",
    "job_admin.workspaces: Workspace(lambda)": "a credential is made at the first request, if there is one",
    "lifecycle.canceller: Thread(work)": "the entry of a thread",
    "lifecycle.supervisor: Thread(self._run)": "the entry of a thread",
    "plugin.workspaces: Workspace(lambda)": "a credential is made at the first request, if there is one",
    "run_store.fork_gate: Thread(run)": "the entry of a thread",
    "step_operator: StackValidator(check)": "ZenML's interface",
}

#: Attributes and parameters of constructors that hold functions, and why.
HELD = {
    "azure.jobs.watch: WatchOptions.on_line": "where the lines of a log go as they come",
    "azure.jobs.watch: WatchOptions.on_progress": "as above",
    "lifecycle.latest_answers: LatestAnswers.request": "a function of the run store, which is below",
    "lifecycle.predecessor_search: Search.check": "raises to stop, as a token of cancellation does",
    "lifecycle.step_checks: SubmissionCheck.check_signals": "raises to stop, as a token of cancellation does",
    "lifecycle.submitter: Request.check": "raises to stop, as a token of cancellation does",
    "lifecycle.transitions: Row.guard": "a pure condition of the table",
    "run_store.server_retries: ServerRetries.check": "raises to stop, as a token of cancellation does",
    "run_store.server_retries: ServerRetries.check_stopped": "as above",
}

#: Protocols: an object of a class that a module cannot name may be one of a layer above.
PROTOCOLS: dict[str, str] = {}

EXAMPLE = """
class Above:
    def __init__(self, ready):
        self.ready = ready
        self.parts = [Below(self.method, 1), Below(check=lambda: None), Below(partial(self.method, 1))]
        def nested(): ...
        Below(nested if ready else other.method, self.ready, sorted([], key=lambda x: x), self.method())
    def method(self): ...
    @property
    def ready_too(self): ...
"""


def in_folders() -> Iterator[tuple[str, ast.Module]]:
    for name in modules():
        short = name.removeprefix(f"{PACKAGE}.")
        if any(short == folder or short.startswith(f"{folder}.") for folder in FOLDERS):
            yield short, parsed()[name]


@cache
def parsed() -> dict[str, ast.Module]:
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in modules().items()}


@cache
def method_names() -> frozenset[str]:
    return methods_in(list(parsed().values()))


def methods_in(trees: list[ast.Module]) -> frozenset[str]:
    """Names of methods that are not also names of attributes: of those, the source does not show which one is meant."""
    methods: set[str] = set()
    attributes: set[str] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                if isinstance(each, ast.FunctionDef):
                    (attributes if each.decorator_list else methods).add(each.name)
                elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                    attributes.add(each.target.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            attributes.add(node.attr)
    return frozenset(methods - attributes)


def handed(tree: ast.Module, methods: frozenset[str]) -> Iterator[str]:
    """The functions that are handed to constructors: `Class(function)`."""
    nested = {
        inner.name
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef)
        for inner in ast.walk(outer)
        if isinstance(inner, ast.FunctionDef) and inner is not outer
    }
    own = {f"self.{method}" for method in methods_in([tree])}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = _name(call.func)
        if name == "cls" or name[:1].isupper() or name[:2].strip("_").isupper():
            for value in [*call.args, *(keyword.value for keyword in call.keywords)]:
                yield from (f"{name}({what})" for what in _functions(value, nested, methods | own))


def _name(function: ast.AST) -> str:
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _functions(value: ast.AST, nested: set[str], methods: frozenset[str]) -> Iterator[str]:
    if isinstance(value, ast.Lambda):
        yield "lambda"
    elif isinstance(value, ast.Name) and value.id in nested:
        yield value.id
    elif isinstance(value, ast.Attribute) and {value.attr, ast.unparse(value)} & methods:
        yield ast.unparse(value)
    elif isinstance(value, ast.Call):
        if _name(value.func) == "partial":
            for argument in value.args:
                yield from _functions(argument, nested, methods)
    else:
        for each in ast.iter_child_nodes(value):
            yield from _functions(each, nested, methods)


def held(tree: ast.Module, aliases: set[str]) -> Iterator[str]:
    """The attributes and parameters of constructors whose type is a function."""

    def is_function(annotation: ast.expr | None) -> bool:
        return annotation is not None and any(_name(node) in aliases for node in ast.walk(annotation))

    for kind in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for each in kind.body:
            if isinstance(each, ast.AnnAssign) and is_function(each.annotation):
                yield f"{kind.name}.{ast.unparse(each.target)}"
            elif isinstance(each, ast.FunctionDef) and each.name == "__init__":
                arguments = [*each.args.args, *each.args.kwonlyargs]
                yield from (f"{kind.name}.{one.arg}" for one in arguments if is_function(one.annotation))


def aliases() -> set[str]:
    """`Callable`, and the names that the package gives to such types."""
    found = {"Callable"}
    for tree in parsed().values():
        for node in tree.body:
            if isinstance(node, ast.Assign) and any(_name(part) == "Callable" for part in ast.walk(node.value)):
                found |= {_name(target) for target in node.targets}
    return found


def test_functions_are_found_however_they_are_handed_over() -> None:
    tree = ast.parse(EXAMPLE)

    found = list(handed(tree, methods_in([tree])))
    assert sorted(found) == [
        "Below(lambda)",
        "Below(nested)",
        "Below(other.method)",
        "Below(self.method)",
        "Below(self.method)",
    ]


def test_no_constructor_gets_a_function_of_the_object_that_calls_it() -> None:
    found = {f"{name}: {what}" for name, tree in in_folders() for what in handed(tree, method_names())}

    assert found == set(HANDED)


def test_no_object_holds_a_function_of_another_one() -> None:
    names = aliases()
    found = {f"{name}: {what}" for name, tree in in_folders() for what in held(tree, names)}

    assert found == set(HELD)


def test_no_class_hides_the_type_of_an_object_of_a_layer_above() -> None:
    found = {
        f"{name}: {node.name}"
        for name, tree in in_folders()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(_name(base) == "Protocol" for base in node.bases)
    }

    assert found == set(PROTOCOLS)
