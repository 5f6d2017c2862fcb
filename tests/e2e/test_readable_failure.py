"""A step that raises an exception leaves few lines in the terminal, and each fact once."""

from __future__ import annotations

from tests.e2e.conftest import Project

SCRIPT = """
@step(step_operator="azureml")
def divide() -> None:
    print("about to divide")
    1 / 0

@pipeline(enable_cache=False, settings=NO_BUILD)
def training():
    divide()

if __name__ == "__main__":
    training()
"""

#: Lines that may follow the streamed log, without the frames of ZenML's own tracebacks.
MOST = 25


def test_a_failing_step_is_explained_in_few_lines_after_its_log(project: Project) -> None:
    code, output = project.run(SCRIPT)

    lines = output.splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith("[divide] "))
    assert code == 1
    assert lines[last].endswith("ZeroDivisionError: division by zero")  # the streamed log is not cut
    after = lines[last + 1 :]
    assert not [line for line in after if ", in divide" in line]  # and is not repeated
    assert "During handling of the above exception" not in output
    assert "direct cause of the following exception" not in output
    ours = [line for line in after if "/zenml_azureml/" in line]
    assert len(ours) == 1
    assert len([line for line in after if not line.startswith("  ")]) + 3 * len(ours) <= MOST
    error = next(number for number, line in enumerate(after) if line.startswith("zenml_azureml.exceptions."))
    assert after[error].endswith("failed: ZeroDivisionError: division by zero.")
    assert [line.partition(":")[0] for line in after[error + 1 : error + 4]] == ["Azure", "Studio", "Next steps"]
