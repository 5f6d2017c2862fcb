"""The texts that the package's code has in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.documents.markdown import ROOT

#: Stands for what is filled in when a text is used.
VALUE = "..."


def texts() -> list[str]:
    """Every string in the package's code, put together where the code does, without backticks."""
    found = []
    for path in sorted((ROOT / "src" / "zenml_azureml").rglob("*.py")):
        found += [text.replace("`", "") for text in _texts(ast.parse(path.read_text(encoding="utf-8")))]
    return found


def _texts(node: ast.AST) -> Iterator[str]:
    text = _text(node)
    if text:
        yield text
    else:
        for child in ast.iter_child_nodes(node):
            yield from _texts(child)


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("%s", VALUE)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else VALUE for part in node.values)
    return ""
