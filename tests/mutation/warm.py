"""A Python that has imported pytest, ZenML and the SDK, and forks a run of pytest for each mutant.

Importing them takes longer than most of the tests do. Nothing that is mutated has been imported before the fork.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path

import pytest

from tests.e2e.warm_server import import_with_zenml
from tests.mutation.targets import PACKAGE, TARGETS

#: What tests of a step's life import, apart from this package.
_MODULES = (
    "aiohttp.web",
    "azure.ai.ml",
    "azure.ai.ml.entities",
    "azure.core.rest._requests_basic",
    "azure.identity",
    "azure.keyvault.secrets",
    "docker",
    "hypothesis",
    "jsonschema",
    "zenml.cli.cli",
    "zenml.execution.pipeline.dynamic.runner",
    "zenml.zen_stores.sql_zen_store",
)


def main() -> int:
    """Run pytest with the arguments of each line, in a process of its own; print that process's id and exit code."""
    import_with_zenml(_MODULES)
    for path in TARGETS:
        assert not _is_imported(PACKAGE / path), path
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        process = os.fork()
        if process == 0:
            _take_over(Path(asked["printed"]))
            return int(pytest.main(asked["arguments"]))
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return 0


def _is_imported(path: Path) -> bool:
    return any(getattr(module, "__file__", None) == str(path) for module in list(sys.modules.values()))


def _take_over(printed: Path) -> None:
    """Be a process of one's own that prints to a file."""
    os.setsid()
    with printed.open("wb") as output, Path(os.devnull).open("rb") as nothing:
        for target, source in enumerate((nothing, output, output)):
            os.dup2(source.fileno(), target)
    sys.stdin = open(0)  # noqa: SIM115 - what the parent has read ahead is no input of the tests


if __name__ == "__main__":
    sys.exit(main())
