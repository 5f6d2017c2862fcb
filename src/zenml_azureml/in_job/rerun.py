"""Runs the function of a failed step again, in the container of its held job: `python -m zenml_azureml.in_job.rerun`.

It has the inputs of the failed call, which are saved before the hold begins, and the variables and the folder of the
step's process. It publishes nothing and needs no server. The code is imported again, so that changes of it count.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

from zenml_azureml.in_job.rank import JOB_NAME

#: The command, for the log of a job.
COMMAND: Final = "python -m zenml_azureml.in_job.rerun"

_PREFIX: Final = "zenml-azureml-held-"

#: Set for the process that runs the function: it has the variables of the step's process.
_PREPARED: Final = "ZENML_AZUREML_RERUN"


class FailedCall:
    """The call of a step's function, to be repeated if it fails.

    Args:
        source: The step as ZenML names it, e.g. `training.train`.
        environment: Environment variables of the job.
    """

    def __init__(self, source: str, environment: Mapping[str, str]) -> None:
        self._source = source
        self._job = environment.get(JOB_NAME, "")
        self._call: tuple[tuple[Any, ...], dict[str, Any]] = (), {}

    def note(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Note the inputs."""
        self._call = args, kwargs

    @contextmanager
    def kept(self) -> Iterator[str]:
        """Save the call for the length of a `with`; yields a sentence about it for the job's log."""
        folder = ""
        try:
            import cloudpickle  # a dependency of ZenML

            folder = tempfile.mkdtemp(prefix=_PREFIX)  # only this user can read it
            with (Path(folder) / "inputs").open("wb") as file:
                cloudpickle.dump(self._call, file)
            facts = {
                "job": self._job,
                "source": self._source,
                "process": os.getpid(),
                "python": sys.executable,
                "path": sys.path,
            }
            (Path(folder) / "call.json").write_text(json.dumps(facts))
            said = f"To run the function of the step again, in the container: {COMMAND}"
        except Exception as error:  # noqa: BLE001 - the hold is of use without it
            said = f"The function of the step cannot be run again, because its inputs cannot be saved: {error}"
        try:
            yield said
        finally:
            if folder:
                shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str], environment: Mapping[str, str]) -> int:  # noqa: RET503 - the last call never returns
    """Run the function of a held job's step again.

    Args:
        arguments: The name of the job if several are held on this machine; otherwise none.
        environment: Environment variables of this process.

    Returns:
        The exit code; an exception of the function is raised.
    """
    prepared = environment.get(_PREPARED)
    if prepared:
        return _run(Path(prepared))
    job = arguments[0] if arguments else environment.get(JOB_NAME, "")
    held = [(folder, facts) for folder, facts in held_calls() if job in ("", facts["job"])]
    if len(held) != 1:
        names = ", ".join(facts["job"] for _, facts in held)
        return _tell(f"Several jobs are held here: {names}. Name one." if held else "No job is held here.")
    _become_rerun(*held[0])


def _become_rerun(folder: Path, facts: Mapping[str, Any]) -> NoReturn:
    """Replace this process by one with the variables and the folder of the step's process."""
    process = Path("/proc") / str(facts["process"])
    variables = dict(
        entry.split("=", 1)
        for entry in (process / "environ").read_bytes().decode(errors="surrogateescape").split("\0")
        if "=" in entry
    )
    os.chdir(process / "cwd")
    command = [facts["python"], "-m", "zenml_azureml.in_job.rerun"]
    os.execve(command[0], command, {**variables, _PREPARED: str(folder)})  # noqa: S606 - no shell is wanted


def held_calls() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the calls that are kept on this machine by processes of this user that still run."""
    for file in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/call.json"):
        try:
            folder = file.parent.lstat()
            if folder.st_uid != os.getuid() or folder.st_mode & 0o077:
                continue  # another user could have put it there, and what it holds is executed
            facts = json.loads(file.read_text())
            os.kill(facts["process"], 0)
        except (OSError, ValueError, KeyError):
            continue
        yield file.parent, facts


def _run(folder: Path) -> int:
    import cloudpickle
    from zenml.steps import BaseStep

    from zenml_azureml.in_job.rank_zero_only import disable_publishing_again

    facts = json.loads((folder / "call.json").read_text())
    sys.path[:] = facts["path"]
    sys.path_importer_cache.clear()
    disable_publishing_again()  # before the user's modules are imported, which may import these functions
    module, _, name = facts["source"].rpartition(".")
    step = getattr(import_module(module), name)
    with (folder / "inputs").open("rb") as file:
        args, kwargs = cloudpickle.load(file)
    instance = step() if isinstance(step, type) else step
    assert isinstance(instance, BaseStep)  # noqa: S101 - that is what ZenML has run
    result = instance.call_entrypoint(*args, **kwargs)
    return _tell(f"The function has returned: {result!r:.500}. Nothing was published.", 0)


def _tell(words: str, exit_code: int = 1) -> int:
    print(f"zenml-azureml: {words}", file=sys.stderr, flush=True)  # noqa: T201 - for the user
    return exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
