"""Code around a step handles its errors by their kind."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Project

PRELUDE = """
from zenml.enums import ExecutionMode
from zenml_azureml import AzureMLError, JobFailedError

@step(step_operator="azureml")
def divide() -> None:
    print("about to divide")
    1 / 0

def show(error):
    assert isinstance(error, AzureMLError)
    print("HANDLED", error.job_name[:6], error.cause, error.log_tail[-1])
"""

#: In ZenML's other modes, a static pipeline ends with an error that names the failed steps, and nothing else.
STATIC = """
@pipeline(enable_cache=False, settings=NO_BUILD, execution_mode=ExecutionMode.FAIL_FAST)
def training():
    divide()

if __name__ == "__main__":
    try:
        training()
    except JobFailedError as error:
        show(error)
"""

DYNAMIC = """
@pipeline(dynamic=True, enable_cache=False, settings=NO_BUILD, depends_on=[divide])
def training():
    try:
        divide()
    except JobFailedError as error:
        show(error)
        raise

if __name__ == "__main__":
    try:
        training()
    except JobFailedError:
        pass
"""


@pytest.mark.parametrize("script", [STATIC, DYNAMIC], ids=["static", "dynamic"])
def test_a_failed_job_is_caught_with_its_name_cause_and_log(script: str, project: Project) -> None:
    output = project.succeed(PRELUDE + script)

    assert "HANDLED zenml- user-error ZeroDivisionError: division by zero" in output
