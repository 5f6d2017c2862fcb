"""Next steps for a pipeline in the user's code that cannot be imported or compiled. Pure."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError
from zenml.exceptions import StackComponentInterfaceError, StackValidationError
from zenml.pipelines.pipeline_definition import Pipeline

from zenml_azureml.azure.logs.frames import is_foreign_file
from zenml_azureml.exceptions import AzureMLError

_PACKAGE = str(Path(__file__).parents[1])


def import_advice(error: BaseException, module: str) -> str:
    """Return the next steps after an import that failed.

    Args:
        error: The error.
        module: Name of the module that was imported.
    """
    if isinstance(error, ModuleNotFoundError) and error.name:
        if module == error.name or module.startswith(f"{error.name}."):
            return "Run this command in the folder in which you run the pipeline."
        return f"Install what has the module `{error.name}` in the environment of this command: {_place(error)}"
    if own := _own_hint(error):
        return own
    if isinstance(error, SyntaxError) and error.filename:
        return f"Fix the code: `{error.filename}`, line {error.lineno}."
    return f"Fix the code: {_place(error)}"


def config_advice(config: Path) -> str:
    """Return the next steps after a run configuration file that cannot be used."""
    return f"Fix the file `{config}`: it has the format of `with_options(config_path=...)`."


def prepare_advice(error: BaseException, config: Path | None, pipeline: Pipeline) -> str:
    """Return the next steps after a pipeline whose function cannot be called.

    Args:
        error: The error.
        config: The run configuration file; None for none.
        pipeline: The pipeline.
    """
    invalid = any(isinstance(one, ValidationError) for one in _chain(error))
    if invalid and _users_frame(error) is None and not _own_hint(error):
        if config is not None:
            return f"Set the parameters of the pipeline in `{config}`, below `parameters`."
        return "Set the parameters of the pipeline in a file as for `with_options(config_path=...)`: `--config FILE`."
    return _own_hint(error) or f"Fix the code of the pipeline: {_place(error, pipeline)}"


def compile_advice(error: BaseException, pipeline: Pipeline) -> str:
    """Return the next steps after a pipeline that cannot be compiled for the active stack.

    Args:
        error: The error.
        pipeline: The pipeline.
    """
    if own := _own_hint(error):
        return own
    if isinstance(error, (StackValidationError, StackComponentInterfaceError)) or "the stack" in str(error):
        return "Activate the stack of the pipeline with `zenml stack set NAME`, or add the component to the active one."
    if isinstance(error, OSError) and _users_frame(error) is None:  # those of requests too
        return "Check the connection to the ZenML server: `zenml status`."
    if isinstance(error, ImportError) and _users_frame(error) is None:
        return "Install the packages of the active stack's components: `zenml stack describe` lists them."
    if any(isinstance(one, ValidationError) for one in _chain(error)):
        return "Fix the setting that the message names, in the code or in the run configuration file."
    return f"Fix the code of the pipeline: {_place(error, pipeline)}"


def _own_hint(error: BaseException) -> str:
    return next((one.hint for one in _chain(error) if isinstance(one, AzureMLError)), "")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _place(error: BaseException, pipeline: Pipeline | None = None) -> str:
    frame = _users_frame(error)
    if frame is not None:
        return f"`{frame.filename}`, line {frame.lineno}."
    if pipeline is None:
        return "the message above names the problem."
    # ZenML has removed the traceback.
    code = pipeline.entrypoint.__code__
    return f"`{code.co_filename}`, from line {code.co_firstlineno}."


def _users_frame(error: BaseException) -> traceback.FrameSummary | None:
    """Return the innermost frame of the user's own code; None if there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if not is_foreign_file(one.filename) and not one.filename.startswith(_PACKAGE)]
    return own[-1] if own else None
