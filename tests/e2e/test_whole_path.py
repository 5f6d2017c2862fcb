"""A pipeline whose training step runs as an Azure ML job, from registration to the result."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.conftest import PRELUDE, Project, azure_variables, zenml_variables
from tests.e2e.requests_of import requests_of
from zenml_azureml.emulator import Emulator

TRAIN = """
@step
def load() -> list[int]:
    return [1, 2, 3]

@step(step_operator="azureml")
def train(numbers: list[int]) -> int:
    print("training on", len(numbers), "numbers")
    return sum(numbers)

@step
def report(total: int) -> None:
    print("the total is", total)

@pipeline(enable_cache=False, settings=NO_BUILD)
def training():
    report(train(load()))

if __name__ == "__main__":
    training()
    step_run = last_run().steps["train"]
    print("METADATA", dict(step_run.run_metadata))
    print("STATUS", last_run().status, step_run.status)
    print("IDS", Client().zen_store.get_store_info().id, last_run().id, step_run.id)
"""


def test_a_step_runs_as_a_job_and_its_result_comes_back(project: Project, jobs: Emulator) -> None:
    output = project.succeed(TRAIN)

    (job,) = jobs.context.store.workspaces[0].jobs.values()
    assert "[train] training on 3 numbers" in output  # the job's log, while it runs
    assert "the total is 6" in output  # its result, back in the orchestrator
    assert "STATUS completed completed" in output
    assert job.status == "Completed"
    assert f"'azureml_job_name': '{job.name}'" in output
    assert f"'azureml_studio_url': '{jobs.base_url}/runs/" in output
    assert stored_type(project, "azureml_studio_url") == "Uri"  # which the dashboard shows as a link
    tags = job.properties["tags"]
    assert (tags["zenml_step"], tags["zenml_step_operator"]) == ("train", "azureml")
    assert f"IDS {tags['zenml_server_id']} {tags['zenml_run_id']} {tags['zenml_step_run_id']}" in output
    assert job.properties["experimentName"] == "training"


UNUSUAL = """
@step(step_operator="azureml")
def größer() -> None:
    print("50 % \u2588\u2588 done")
    raise ValueError("\u2588\u2588 is missing")

@pipeline(enable_cache=False, settings=NO_BUILD)
def training():
    größer()

if __name__ == "__main__":
    training()
"""


@pytest.mark.long
def test_what_the_console_cannot_encode_is_shown_with_replacements(project: Project) -> None:
    script = project.folder / "script.py"
    script.write_text(PRELUDE + UNUSUAL, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, str(script)],
        env={**project.environment, "PYTHONIOENCODING": "ascii"},
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=240,
        check=False,
    )

    output = done.stdout.decode("ascii")
    assert "[gr??er] 50 % ?? done" in output
    assert "Logging error" not in output
    assert "UnicodeEncodeError" not in output


def stored_type(project: Project, key: str) -> str:
    """The type under which ZenML's database keeps a metadata value."""
    (database,) = Path(project.environment["ZENML_CONFIG_PATH"]).rglob("zenml.db")
    with closing(sqlite3.connect(database)) as connection:
        ((kind,),) = connection.execute("SELECT DISTINCT type FROM run_metadata WHERE key = ?", [key])
    return str(kind)


def test_a_second_submission_of_an_image_is_one_request(project: Project, jobs: Emulator) -> None:
    project.succeed(
        """
        @pipeline(enable_cache=False, settings=NO_BUILD)
        def commands():
            for number in range(3):
                CommandStep(["true"], name=f"command_{number}", step_operator="azureml")()

        if __name__ == "__main__":
            commands()
        """
    )

    writes = [r for r in requests_of(jobs) if r["method"] == "PUT"]
    kinds = Counter(r["path"].split("/workspaces/")[1].split("/")[1] for r in writes)
    assert kinds == {"environments": 1, "jobs": 3}
    before_second = [r for r in requests_of(jobs) if "/environments/" in r["path"]]
    assert len(before_second) == 2  # one look, one registration; later submits ask nothing


@pytest.mark.long
def test_registration_works_with_the_documented_commands(tmp_path: Path, jobs: Emulator) -> None:
    """The commands of the user's document, one after the other, in a ZenML that knows nothing yet."""
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder, {**zenml_variables(tmp_path), **azure_variables(jobs)})
    workspace = jobs.context.store.workspaces[0]
    for command in (
        f"artifact-store register files --flavor=local --path={tmp_path}/artifacts",
        "image-builder register builder --flavor=local",
        "container-registry register registry --flavor=default --uri=example.azurecr.io",
        f"step-operator register azureml --flavor=azureml --subscription_id={workspace.subscription_id} "
        f"--resource_group={workspace.resource_group} --workspace_name={workspace.name}",
        "stack register stack -o default -a files -i builder -c registry -s azureml --set",
    ):
        result = project.zenml(*command.split())
        assert result.returncode == 0, result.stdout + result.stderr

    output = project.succeed(
        """
        # As it stands in ZenML's documentation, but for the operator's name in the decorator and a size that exists.
        from zenml.integrations.azure.flavors import AzureMLStepOperatorSettings

        azureml_settings = AzureMLStepOperatorSettings(
            mode="compute-instance",
            compute_name="MyComputeInstance",
            compute_size="Standard_NC8as_T4_v3",
        )

        @step(
           step_operator="azureml",
           settings={
               "step_operator": azureml_settings
           }
        )
        def my_azureml_step():
            # YOUR STEP CODE
            ...

        @step(settings={"step_operator": azureml_settings})
        def forgotten():
            ...

        @pipeline(settings=NO_BUILD)
        def documented():
            my_azureml_step()
            forgotten()

        if __name__ == "__main__":
            documented()
        """
    )

    instance = jobs.context.store.workspaces[0].computes["MyComputeInstance"]
    assert instance.kind == "ComputeInstance"
    assert instance.inner["vmSize"] == "STANDARD_NC8AS_T4_V3"
    assert "The step `forgotten` has Azure ML settings but no `step_operator`" in output
    assert "`my_azureml_step` has Azure ML settings but no" not in output
