"""Every failure explains itself: in the client's output, and in the step run on the server."""

from __future__ import annotations

import json
import re
import threading
from typing import Any

import pytest
from azure.ai.ml import MLClient
from azure.identity import ClientSecretCredential

from tests.conftest import point_clients_at
from tests.contract.waiting import eventually
from tests.e2e.conftest import Project
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.scenarios.armed import Armed
from zenml_azureml.emulator.scenarios.rules import ScenarioRule

FAILING = """
import json, os

@step(step_operator="azureml")
def raises() -> None:
    1 / 0

@step(step_operator="azureml")
def exits_with_3() -> None:
    print("the last words")
    os._exit(3)

@step(step_operator="azureml")
def exits_with_0() -> None:
    print("nothing wrong here")
    os._exit(0)

@pipeline(enable_cache=False, settings=NO_BUILD, execution_mode="continue_on_failure")
def failing():
    raises()
    exits_with_3()
    exits_with_0()
    CommandStep(["bash", "-c", "echo no such file >&2; exit 7"], name="command", step_operator="azureml")()

@pipeline(enable_cache=False, settings=NO_BUILD)
def cancelled_elsewhere():
    CommandStep(["sleep", "3600"], name="cancelled", step_operator="azureml")()

@pipeline(enable_cache=False, settings=NO_BUILD)
def cancelled_before_it_ran():
    CommandStep(["true"], name="waiting", step_operator="azureml")()

def told_by_the_server(run):
    for name, step_run in run.steps.items():
        info = step_run.exception_info
        told = {"message": info.message, "source": info.source, "line": info.user_code_line}
        yield name, {"status": step_run.status, **told}

if __name__ == "__main__":
    told = {}
    for run in (failing, cancelled_elsewhere, cancelled_before_it_ran):
        try:
            run()
        except RuntimeError as error:
            print("RAISED", error)
        told.update(told_by_the_server(last_run()))
    print(json.dumps(told))
"""


def test_each_way_to_fail_is_told_with_its_cause_in_the_output_and_on_the_server(
    project: Project, jobs: Emulator, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    point_clients_at(jobs, monkeypatch)
    jobs.context.scenarios.armed.append(Armed(ScenarioRule(name="never-started", jobs="zenml_step=waiting")))
    somebody = threading.Thread(target=cancel_in_studio, args=[jobs, {"cancelled": "Running", "waiting": "Queued"}])
    somebody.start()
    output = project.succeed(FAILING)
    somebody.join()

    told: dict[str, dict[str, Any]] = json.loads(output.splitlines()[-1])
    assert output.count("RAISED Pipeline run has failed due to failure in step(s)") == 3
    assert "\x1b" not in "".join(info["message"] for info in told.values())

    with subtests.test("the user's exception"):
        shown = shown_for("raises", output)
        assert "The Azure ML job of step `raises` failed: ZeroDivisionError: division by zero." in shown
        assert "Azure: Execution failed. User process '/bin/bash' exited with status code 1." in shown
        assert "Traceback" not in shown, "the log was streamed"
        assert studio_url(jobs, "raises") in shown
        assert "Next steps: Fix the error shown in the log" in shown
        # What the step itself has reported stays, with the line of the user's code; what Azure says comes after it.
        assert told["raises"]["status"] == "failed"
        assert told["raises"]["source"].endswith("ZeroDivisionError")
        assert told["raises"]["line"] is not None
        report = told["raises"]["message"]
        assert without_log(report).strip() == f"division by zero\n{shown.strip()}"
        assert report.count("\n  ZeroDivisionError: division by zero\n") == 1
        assert "zenml/" not in report, "frames of the user's code alone"

    with subtests.test("an end without a report"):
        shown = shown_for("exits_with_3", output)
        assert "`exits_with_3` failed: its process ended with exit code 3 and reported no error.\n" in shown
        assert "exited with status code 3" in shown
        assert "\n  the last words\n" in told["exits_with_3"]["message"]
        assert studio_url(jobs, "exits_with_3") in shown
        assert "could not report an error" in shown
        assert_server_was_told(told["exits_with_3"], shown)

    with subtests.test("an end that looks like success"):
        shown = shown_for("exits_with_0", output)
        assert "completed, but the step never reported its result to ZenML" in shown
        assert "\n  nothing wrong here\n" in told["exits_with_0"]["message"]
        assert "os._exit(0)" in shown
        assert_server_was_told(told["exits_with_0"], shown)

    with subtests.test("a command's exit code"):
        shown = shown_for("command", output)
        assert "The Azure ML job of step `command` failed: its command ended with exit code 7.\n" in shown
        assert "exited with status code 7" in shown
        assert "\n  no such file\n" in told["command"]["message"]
        assert "Next steps: Fix the error shown in the log" in shown
        assert_server_was_told(told["command"], shown)

    with subtests.test("cancelled in Studio"):
        shown = shown_for("cancelled", output)
        assert "The Azure ML job of step `cancelled` was cancelled." in shown
        assert studio_url(jobs, "cancelled") in shown
        assert "Studio shows which user cancelled it" in shown
        assert_server_was_told(told["cancelled"], shown, status="stopped")

    with subtests.test("cancelled before it ran"):
        shown = shown_for("waiting", output.partition(studio_url(jobs, "cancelled"))[2])
        assert "The Azure ML job of step `waiting` was cancelled before it started.\nStudio: " in shown
        assert_server_was_told(told["waiting"], shown, status="stopped")


RETRIED = """
from zenml.config.retry_config import StepRetryConfig
from zenml_azureml import JobCancelledError

@pipeline(enable_cache=False, settings=NO_BUILD, execution_mode="fail_fast")
def retried():
    CommandStep(
        ["sleep", "3600"], name="cancelled", step_operator="azureml", retry=StepRetryConfig(max_retries=2, delay=1)
    )()
    CommandStep(["true"], name="later", step_operator="azureml")()

if __name__ == "__main__":
    try:
        retried()
    except JobCancelledError as error:
        print("CAUGHT", str(error).partition("\\n")[0])
    (step_run,) = last_run().steps.values()
    print(step_run.status, step_run.version)
"""


def test_a_step_whose_job_a_user_cancels_is_not_retried(
    project: Project, jobs: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_clients_at(jobs, monkeypatch)
    user = threading.Thread(target=cancel_in_studio, args=[jobs, {"cancelled": "Running"}])
    user.start()
    output = project.succeed(RETRIED)
    user.join()

    *_, caught, step_run = output.splitlines()
    assert caught == "CAUGHT The Azure ML job of step `cancelled` was cancelled."
    assert step_run == "stopped 1"
    assert len(jobs_of(jobs, "cancelled")) == 1


def cancel_in_studio(emulator: Emulator, steps: dict[str, str]) -> None:
    """Cancel the job of each step as soon as it has a status, with a client of one's own."""
    workspace = emulator.context.store.workspaces[0]
    credential = ClientSecretCredential(
        emulator.tenant_id,
        emulator.client_id,
        emulator.client_secret,
        authority=emulator.base_url,
        disable_instance_discovery=True,
    )
    address = (workspace.subscription_id, workspace.resource_group, workspace.name)
    client = MLClient(credential, *address, cloud="AzureCloud")
    for step, status in steps.items():
        (job,) = eventually(lambda: [job for job in jobs_of(emulator, step) if job.status == status], seconds=120)  # noqa: B023
        client.jobs.begin_cancel(job.name)


def jobs_of(emulator: Emulator, step: str) -> list[Job]:
    jobs = list(emulator.context.store.workspaces[0].jobs.values())
    return [job for job in jobs if job.properties["tags"]["zenml_step"] == step]


def studio_url(emulator: Emulator, step: str) -> str:
    (job,) = jobs_of(emulator, step)
    return f"Studio: {emulator.base_url}/runs/{job.name}?"


def shown_for(step: str, output: str) -> str:
    """What the client shows of a step's failure, or of its stop, which ZenML shows as an exception alone."""
    _, found, shown = output.partition(f"Failed to run step `{step}`: ")
    if not found:
        _, _, shown = output.partition("StoppedStepError: ")
        assert f"step `{step}`" in shown.partition("\n")[0]
        before, _, after = shown.partition("\nNext steps: ")
        return f"{before}\nNext steps: {after.splitlines()[0]}"
    return shown.partition("\nTraceback")[0].partition("\nStep ")[0]


def without_log(report: str) -> str:
    """A report as the client shows it, which has streamed the log before."""
    return re.sub(r"Log:\n(?:  .*\n)+", "", report)


def assert_server_was_told(told: dict[str, Any], shown: str, status: str = "failed") -> None:
    assert told["status"] == status
    assert without_log(told["message"]).strip() == shown.strip()
    assert told["source"] == "zenml_azureml.exceptions.AzureMLError"
