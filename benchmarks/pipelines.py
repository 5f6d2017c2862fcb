"""The pipelines that are run. ZenML loads them by name, so they read what they are to do from `STEPS`."""

from __future__ import annotations

import time
from typing import Any

from zenml import CommandStep, pipeline
from zenml.config import DockerSettings

#: What costs time and is not looked at.
_OFF = {
    "enable_cache": False,
    "enable_step_logs": False,
    "enable_pipeline_logs": False,
    "enable_artifact_metadata": False,
}
_IMAGE = DockerSettings(
    skip_build=True, parent_image="example.azurecr.io/train:1", allow_download_from_artifact_store=False
)


class Work(CommandStep):
    """A command step whose source is not parsed.

    ZenML parses it for each step. CPython before 3.11.8 fails if several threads do that: of a thousand steps at once,
    one does not start, whatever the step operator (python/cpython#106905).
    """

    @property
    def source_code(self) -> str:
        return "work"


STEPS: list[CommandStep] = []
NUMBER = 0


def _static() -> None:
    for number in range(NUMBER):
        STEPS[0](id=f"step-{number}", after=[])


def _dynamic() -> None:
    for future in [STEPS[0].submit() for _ in range(NUMBER)]:
        future.wait()


#: The functions themselves: their names will stand for the pipelines made of them.
_FUNCTIONS = {False: _static, True: _dynamic}


def run_commands(number: int, *, dynamic: bool = False) -> tuple[Any, float]:
    """Run so many command steps in this process, on the active stack's step operator.

    Returns:
        The run, and how many seconds it took.
    """
    global NUMBER
    STEPS[:], NUMBER = [Work(["true"], name="work", step_operator=True)], number
    options: dict[str, Any] = {**_OFF, "settings": {"docker": _IMAGE}, "name": "bench"}
    if dynamic:
        options |= {"dynamic": True, "depends_on": STEPS}
    function = _FUNCTIONS[dynamic]
    made = pipeline(**options)(function)
    globals()[function.__name__] = made  # where ZenML looks for it
    began = time.monotonic()
    run = made()
    return run, time.monotonic() - began
