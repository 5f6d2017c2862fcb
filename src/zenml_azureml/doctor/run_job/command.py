"""The command of a job that checks itself. Pure, except that it reads one of this package's files."""

from __future__ import annotations

import ast
from functools import lru_cache
from importlib.resources import files
from typing import Final

from zenml_azureml.contract.checks import IMAGE, MARK

#: Result of an image in which no Python runs; the error of the last one that was tried is in `found`.
NO_PYTHON: Final = "no python"

#: With this package in the image, that has the checks; otherwise its first argument is a program with some of them.
_SCRIPT: Final = f"""\
say() {{ printf '%s\\n' '{MARK} {{"check": "{IMAGE}", "result": "'"$1"'", "found": "'"$2"'"}}'; }}
say ok "It starts on $(uname -m)"
for python in python python3; do
  if $python -c 'import zenml_azureml.in_job.checks.bare' >/dev/null 2>&1; then
    exec $python -m zenml_azureml.in_job.checks
  fi
done
error='there is none'
for python in python python3; do
  if command -v $python >/dev/null 2>&1; then
    if error=$($python -c 'import ssl, subprocess' 2>&1); then
      exec $python -c "$1"
    fi
  fi
done
say '{NO_PYTHON}' "$(printf %s "$error" | tr -d '"\\\\' | tr '\\n\\t' '  ' | cut -c 1-400)"
"""


def command() -> list[str]:
    """Return the command: the program and its arguments."""
    return ["sh", "-c", _SCRIPT, "sh", bare_program()]


@lru_cache(maxsize=1)
def bare_program() -> str:
    """Return the program for an image without this package, without its docstrings and comments."""
    # By its path: what runs in a job is not imported by what runs on a client.
    tree = ast.parse((files("zenml_azureml") / "in_job" / "checks" / "bare.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    # Guess: Azure ML takes commands of some KB; its own components have such.
    return ast.unparse(tree)
