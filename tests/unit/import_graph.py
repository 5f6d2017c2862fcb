"""Which module of the package imports which, read from the source: whatever hides an import from other tools counts.

Imports inside functions, under TYPE_CHECKING, and by `import_module("...")` are found, and so are the names that a
module gives its `__getattr__` to load.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = "zenml_azureml"
ROOT = Path(__file__).parents[2] / "src"


@dataclass(frozen=True)
class Import:
    """One module names another one; `lazily` if only its `__getattr__` loads it."""

    importer: str
    imported: str
    line: int
    lazily: bool = False

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} -> {self.imported}"


@cache
def modules() -> dict[str, Path]:
    """The package's modules by name."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    """All imports of modules of the package by modules of the package, without those of a module of itself."""
    known = modules()
    return tuple(
        each
        for name, path in known.items()
        for each in imports_of(name, path.read_text(encoding="utf-8"), frozenset(known))
        if each.imported != name
    )


def imports_of(name: str, source: str, known: frozenset[str]) -> Iterator[Import]:
    """The imports of one module.

    Args:
        name: Its name.
        source: Its source code.
        known: The names of all modules.
    """
    tree = ast.parse(source)
    loads_lazily = any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: a relative import"
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [target if target in known else str(node.module) for target in targets]
        elif isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = [node.value]  # a name that is imported as a string, wherever it stands
        else:
            continue
        for target in found:
            if target in known and not (target == PACKAGE and isinstance(node, ast.Constant)):
                yield Import(name, target, node.lineno, loads_lazily and isinstance(node, ast.Constant))


def circles(edges: Iterator[Import] | tuple[Import, ...]) -> list[list[str]]:
    """The groups of modules that import each other, in one step or several (strongly connected components)."""
    graph: dict[str, set[str]] = {}
    for edge in edges:
        graph.setdefault(edge.importer, set()).add(edge.imported)
    reached = {start: _reached(graph, start) for start in graph}
    groups = {
        frozenset({start, *(other for other in reached[start] if start in reached.get(other, ()))})
        for start in graph
        if start in reached[start]
    }
    return sorted(sorted(group) for group in groups)


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    to_do = list(graph.get(start, ()))
    while to_do:
        module = to_do.pop()
        if module not in found:
            found.add(module)
            to_do += graph.get(module, ())
    return found
