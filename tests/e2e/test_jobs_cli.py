"""`zenml-azureml jobs`: what was left is found by its tags, and ended or waited for."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Environment
from click.testing import CliRunner

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.conftest import Project
from tests.e2e.killed import (
    DYNAMIC,
    RUNNING,
    STATIC,
    ask,
    azureml,
    database,
    jobs_of,
    killed,
    read_until,
    server_id,
    statuses,
)
from tests.e2e.requests_of import requests_of
from tests.e2e.warm import Process, WarmProcess
from zenml_azureml.cli import main
from zenml_azureml.emulator import Emulator, WorkspaceName


@pytest.fixture(autouse=True)
def _jobs_of_an_hour(emulator: Emulator) -> None:
    emulator.context.settings.simulated_seconds = 3600


def listed(project: Project, *arguments: str) -> list[dict[str, Any]]:
    """What `jobs list --json` prints: nothing else is on stdout."""
    done = azureml(project, "jobs", "list", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    jobs: list[dict[str, Any]] = json.loads(done.stdout)
    return jobs


def states(emulator: Emulator) -> dict[str, str]:
    return {job.name: job.status for job in jobs_of(emulator)}


def submit(ml_client: MLClient, name: str, tags: Mapping[str, str], *, seconds: int = 3600) -> None:
    """A job as another process, another version or another ZenML server may have left it."""
    ml_client.jobs.create_or_update(
        command(
            name=name,
            command="true",
            environment=Environment(image="any"),
            environment_variables={"SIMULATE_SECONDS": str(seconds)},
            tags=dict(tags),
        )
    )


def orphan(server: str) -> dict[str, str]:
    """The tags of a job whose step run is gone."""
    return {"zenml_server_id": server, "zenml_step_run_id": str(uuid4())}


def test_the_job_of_a_killed_process_is_an_orphan_once_its_step_run_is_over(
    simulated_project: Project, emulator: Emulator
) -> None:
    killed(simulated_project, STATIC)

    (left,) = listed(simulated_project)

    assert left.keys() == {
        *("job", "status", "ended", "created_at", "started_at", "ended_at", "compute", "studio_url"),
        *("subscription_id", "resource_group", "workspace", "operator"),
        *("pipeline", "run", "run_id", "step", "step_run_id", "server_id", "step_run_status"),
        *("usd", "reserved_usd", "orphan", "reason", "held_until"),
    }
    (job,) = jobs_of(emulator)
    assert (left["job"], left["status"], left["ended"], left["operator"]) == (job.name, "Running", False, "azureml")
    assert left["run"].startswith("static-")
    # Its orchestrator is gone, but the server cannot know: its step run is running there.
    assert (left["step_run_status"], left["orphan"], left["reason"]) == ("running", False, None)

    ask(
        simulated_project,
        "from zenml.orchestrators.publish_utils import publish_stopped_step_run\n"
        "publish_stopped_step_run(last_run().steps['sleeper'].id)",
    )
    done = azureml(simulated_project, "jobs", "cancel", "--orphans", "--yes")

    assert (done.returncode, done.stdout) == (0, f"The Azure ML job `{job.name}` has ended: Canceled.\n")
    assert job.status == "Canceled"


def test_orphans_of_this_server_are_ended_and_what_cannot_be_told_from_here_is_left_alone(
    simulated_project: Project, emulator: Emulator, ml_client: MLClient
) -> None:
    mine = server_id(simulated_project)
    submit(ml_client, "gone", orphan(mine))
    submit(ml_client, "elsewhere", orphan(str(uuid4())))
    submit(ml_client, "of-an-old-version", {"zenml_step_run_id": str(uuid4())})
    submit(ml_client, "of-nobody", {})
    submit(ml_client, "finished", orphan(mine), seconds=0)
    eventually(lambda: states(emulator)["finished"] == "Completed")

    told = {entry["job"]: (entry["orphan"], entry["reason"]) for entry in listed(simulated_project, "--orphans")}
    done = azureml(simulated_project, "jobs", "cancel", "--orphans", "--yes")

    assert told == {
        "gone": (True, "its step run is gone"),
        "elsewhere": (None, "another ZenML server"),
        "of-an-old-version": (None, "no ZenML server in its tags"),
    }
    assert (done.returncode, done.stdout) == (0, "The Azure ML job `gone` has ended: Canceled.\n")
    assert "Skipped 2 jobs, because it is unknown whether they are orphans (" in done.stderr
    assert states(emulator) == {
        "gone": "Canceled",
        "elsewhere": "Running",
        "of-an-old-version": "Running",
        "of-nobody": "Running",
        "finished": "Completed",
    }


def test_where_the_server_does_not_tell_jobs_are_listed_and_left_alone(
    simulated_project: Project, emulator: Emulator, ml_client: MLClient
) -> None:
    submit(ml_client, "left", orphan(server_id(simulated_project)))
    with database(simulated_project) as connection:
        connection.execute("ALTER TABLE step_run RENAME TO out_of_reach")

    (told,) = listed(simulated_project, "--orphans")
    done = azureml(simulated_project, "jobs", "cancel", "--orphans", "--yes")

    assert (told["orphan"], told["reason"]) == (None, "server cannot be reached")
    assert (done.returncode, done.stdout) == (0, "No orphans.\n")
    assert states(emulator) == {"left": "Running"}


def test_without_a_server_jobs_are_found_by_the_workspace_and_ended_by_name(
    simulated_project: Project, emulator: Emulator, ml_client: MLClient
) -> None:
    submit(ml_client, "left", orphan(str(uuid4())))
    address = WorkspaceName()
    workspace = ["--subscription", address.subscription_id, "--resource-group", address.resource_group]
    workspace += ["--workspace", address.name]
    # Not the address of a server that is away: ZenML's client would ask it again for half a minute, each time.
    simulated_project.environment["ZENML_STORE_URL"] = "nonsense://"

    refused = azureml(simulated_project, "jobs", "list")
    (told,) = listed(simulated_project, *workspace)
    done = azureml(simulated_project, "jobs", "cancel", "left", "--yes", *workspace)

    assert refused.returncode == 1
    assert "Failed to read the step operators from ZenML: " in refused.stderr
    assert "`--subscription ID --resource-group NAME --workspace NAME`" in refused.stderr
    assert (told["orphan"], told["reason"]) == (None, "server cannot be reached")
    assert (done.returncode, done.stdout) == (0, "The Azure ML job `left` has ended: Canceled.\n")


@pytest.mark.parametrize("script", [STATIC, pytest.param(DYNAMIC, marks=pytest.mark.long)], ids=["static", "dynamic"])
def test_the_run_of_a_killed_orchestrator_is_ended_with_its_jobs(
    script: str, simulated_project: Project, emulator: Emulator, ml_client: MLClient
) -> None:
    killed(simulated_project, script)
    (job,) = jobs_of(emulator)
    submit(ml_client, "of-another-run", {**orphan(str(uuid4())), "zenml_run_id": str(uuid4())})
    run = job.properties["tags"]["zenml_run"]

    done = azureml(simulated_project, "jobs", "cancel", "--run", run, "--yes")

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"The Azure ML job `{job.name}` has ended: Canceled.\nThe run `{run}` is stopped.\n"
    assert statuses(simulated_project) == "stopped stopped"
    assert states(emulator) == {job.name: "Canceled", "of-another-run": "Running"}


@pytest.mark.parametrize(("exit_code", "status"), [(0, "completed"), (1, "failed")])
def test_a_step_whose_job_has_ended_by_itself_since_its_process_was_killed_is_told_of_too(
    exit_code: int, status: str, simulated_project: Project, emulator: Emulator
) -> None:
    emulator.context.settings.simulated_seconds = 3
    emulator.context.settings.simulated_exit_code = exit_code
    killed(simulated_project, STATIC)
    (job,) = jobs_of(emulator)
    eventually(lambda: job.status in ("Completed", "Failed"), seconds=60)
    assert statuses(simulated_project) == "running running"

    done = azureml(simulated_project, "jobs", "cancel", "--run", job.properties["tags"]["zenml_run"], "--yes")

    assert done.returncode == 0, done.stderr
    assert statuses(simulated_project).split()[1] == status
    assert statuses(simulated_project).split()[0] in ("stopped", status)


def test_cancelling_the_jobs_of_a_run_whose_orchestrator_lives_stops_that_too(
    simulated_project: Project, emulator: Emulator
) -> None:
    client = simulated_project.start(STATIC)
    read_until(client, RUNNING)
    (job,) = jobs_of(emulator)

    done = azureml(simulated_project, "jobs", "cancel", "--run", job.properties["tags"]["zenml_run_id"], "--yes")

    assert done.returncode == 0, done.stderr
    client.communicate(timeout=60)
    assert states(emulator) == {job.name: "Canceled"}  # its step had retries left
    assert statuses(simulated_project) == "stopped stopped"


def test_it_asks_before_it_cancels(simulated_project: Project, emulator: Emulator, ml_client: MLClient) -> None:
    submit(ml_client, "left", orphan(server_id(simulated_project)))

    done = azureml(simulated_project, "jobs", "cancel", "left")  # nobody is there to answer

    assert done.returncode == 1
    assert "Cancel 1 job? [y/N]" in done.stdout
    assert "unknown" not in done.stdout
    assert "yes: its step run is gone" in done.stdout
    assert states(emulator) == {"left": "Running"}


def test_what_cannot_be_cancelled_is_named_in_one_line_with_the_command_to_do_it(
    simulated_project: Project, emulator: Emulator, ml_client: MLClient
) -> None:
    for name in ("refused", "slow", "ended"):
        submit(ml_client, name, orphan(str(uuid4())))
    eventually(lambda: set(states(emulator).values()) == {"Running"})
    body = {"error": {"code": "AuthorizationFailed", "message": "The client may not do that."}}
    arm = Arm(emulator)
    arm.call(
        "POST", "/_emulator/faults", {"method": "POST", "path": "/jobs/refused/cancel", "status": 403, "body": body}
    )
    arm.call("POST", "jobs/ended/cancel")
    eventually(lambda: states(emulator)["ended"] == "Canceled")
    emulator.context.settings.job_finalization = 3600

    arguments = ("refused", "slow", "ended", "missing", "--yes", "--timeout", "2")
    done = azureml(simulated_project, "jobs", "cancel", *arguments)

    assert done.returncode == 1
    assert done.stdout == "The Azure ML job `ended` has ended: Canceled.\n"
    missing, refused, slow = done.stderr.splitlines()
    command = "az ml job cancel --name {} --workspace-name emulator --resource-group emulator --subscription "
    assert missing == "There is no job `missing` in the workspace `emulator`."
    assert "Azure: (AuthorizationFailed) The client may not do that." in refused
    assert command.format("refused") in refused
    assert slow.startswith(
        "Requested cancellation of the Azure ML job `slow`, but after 2 s it is still CancelRequested. "
    )
    assert command.format("slow") in slow


@pytest.mark.parametrize("arguments", [[], ["--orphans", "--run", "a"], ["job", "--orphans"], ["job", "--run", "a"]])
def test_what_to_cancel_has_to_be_said_in_one_way(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, ["jobs", "cancel", *arguments])

    assert result.exit_code == 2
    assert "Specify what to cancel: JOB..., --run RUN or --orphans." in result.output


def test_a_run_name_that_several_runs_have_is_refused(
    simulated_project: Project, emulator: Emulator, ml_client: MLClient
) -> None:
    for number in "12":
        submit(ml_client, f"job-{number}", {**orphan(str(uuid4())), "zenml_run": "nightly", "zenml_run_id": number})

    none = azureml(simulated_project, "jobs", "cancel", "--run", "weekly", "--yes")
    done = azureml(simulated_project, "jobs", "cancel", "--run", "nightly", "--yes")

    assert none.stdout == "The run `weekly` has no unfinished jobs in the workspace `emulator`.\n"
    assert (none.returncode, none.stderr) == (0, "")
    assert done.returncode == 2
    assert "Several runs are named `nightly`. Use an ID: 1, 2." in done.stderr
    assert states(emulator) == {"job-1": "Running", "job-2": "Running"}


def test_all_jobs_are_listed_in_a_table_whose_names_can_be_copied(
    simulated_project: Project, emulator: Emulator, ml_client: MLClient
) -> None:
    emulator.context.settings.page_size = 2
    names = [f"{number}-{'x' * 60}" for number in range(5)]
    for name in names:
        submit(ml_client, name, {**orphan(str(uuid4())), "zenml_run": f"run-of-{name}"}, seconds=0)
    eventually(lambda: set(states(emulator).values()) == {"Completed"})
    simulated_project.environment["COLUMNS"] = "40"
    asked = len(requests_of(emulator))

    unfinished = azureml(simulated_project, "jobs", "list")
    everything = azureml(simulated_project, "jobs", "list", "--all")

    assert unfinished.stdout == "No unfinished jobs.\n"
    heading, *rows = everything.stdout.splitlines()
    assert heading.split() == ["Job", "Status", "Since", "Where", "Step", "Run", "Step", "run", "Orphan"]
    assert [row.split()[:2] for row in rows] == [[name, "Completed"] for name in reversed(names)]
    assert [row.split()[-2:] for row in rows] == [["serverless", f"run-of-{name}"] for name in reversed(names)]
    listings = [request for request in requests_of(emulator)[asked:] if request["method"] == "GET"]
    assert len(listings) == 2 * 3  # pages: no request for a single job


def test_an_operator_outside_the_stack_is_named(simulated_project: Project) -> None:
    ask(simulated_project, "Client().activate_stack('default')")

    without = azureml(simulated_project, "jobs", "list")
    named = azureml(simulated_project, "jobs", "list", "--operator", "azureml")
    unknown = azureml(simulated_project, "jobs", "list", "--operator", "nowhere")

    assert (without.returncode, named.returncode, unknown.returncode) == (1, 0, 1)
    assert "The active stack `default` has no Azure ML step operator." in without.stderr
    assert named.stdout == "No unfinished jobs.\n"
    assert "There is no step operator `nowhere`." in unknown.stderr


def test_a_run_without_jobs_is_no_error_and_an_operator_is_named_by_its_jobs(
    simulated_project: Project, ml_client: MLClient
) -> None:
    ask(
        simulated_project,
        "from zenml.enums import StackComponentType as Type\n"
        "address = Client().get_stack_component(Type.STEP_OPERATOR, 'azureml').configuration\n"
        "Client().create_stack_component('second', 'azureml', Type.STEP_OPERATOR, address)\n"
        "Client().update_stack('stack', component_updates={Type.STEP_OPERATOR: ['azureml', 'second']})\n"
        "@step\ndef local() -> None: ...\n"
        "@pipeline(enable_cache=False)\ndef no_jobs():\n    local()\n"
        "no_jobs.with_options(run_name='without-jobs')()\n",
    )
    submit(ml_client, "tagged", {**orphan(str(uuid4())), "zenml_step_operator": "second"})
    submit(ml_client, "older", orphan(str(uuid4())))

    known = azureml(simulated_project, "jobs", "list", "--run", "without-jobs")
    operators = {job["job"]: job["operator"] for job in listed(simulated_project)}

    assert (known.returncode, known.stdout) == (0, "No jobs found.\n")
    assert operators == {"tagged": "second", "older": None}


def start_waiting(project: Project, *arguments: str) -> Process:
    program = str(Path(project.python).parent / "zenml-azureml")
    return WarmProcess(
        [program, "jobs", "wait", *arguments], {**project.environment, "PYTHONUNBUFFERED": "1"}, project.folder
    )


class TestWaiting:
    def test_it_replaces_a_killed_orchestrator(self, simulated_project: Project, emulator: Emulator) -> None:
        emulator.context.settings.simulated_seconds = 10
        killed(simulated_project, STATIC)
        (job,) = jobs_of(emulator)

        done = azureml(simulated_project, "jobs", "wait", job.name, "--patience", "1")

        assert done.returncode == 0, done.stdout + done.stderr
        assert "[sleeper] simulated line 1 of 1" in done.stdout
        assert "The step `sleeper` is completed." in done.stdout
        assert statuses(simulated_project) == "completed completed"
        of_a_program = azureml(simulated_project, "jobs", "wait", job.name, "--json")
        told = json.loads(of_a_program.stdout)
        job_tags = job.properties["tags"]
        assert (of_a_program.returncode, told) == (
            0,
            {
                "step": "sleeper",
                "step_run_id": job_tags["zenml_step_run_id"],
                "status": "completed",
                "run": job_tags["zenml_run"],
                "run_id": job_tags["zenml_run_id"],
                "run_status": "completed",
                "problem": None,
            },
        )

    def test_an_orchestrator_that_is_there_after_all_has_the_last_word(
        self, simulated_project: Project, emulator: Emulator
    ) -> None:
        emulator.context.settings.simulated_seconds = 10
        client = simulated_project.start(STATIC)
        read_until(client, RUNNING)
        (job,) = jobs_of(emulator)
        client.send_signal(signal.SIGSTOP)
        waiting = start_waiting(simulated_project, job.name, "--patience", "120")
        read_until(waiting, "Waiting up to 120 s for the orchestrator of the run to report")

        client.send_signal(signal.SIGCONT)

        outputs = [process.communicate(timeout=120)[0] for process in (client, waiting)]
        assert (client.returncode, waiting.returncode) == (0, 0), outputs
        assert statuses(simulated_project) == "completed completed"

    @pytest.mark.long
    def test_a_dynamic_run_can_go_on_behind_what_was_waited_for(
        self, simulated_project: Project, emulator: Emulator
    ) -> None:
        emulator.context.settings.simulated_seconds = 10
        killed(simulated_project, DYNAMIC)
        (job,) = jobs_of(emulator)
        step_run, run = (job.properties["tags"][f"zenml_{key}_id"] for key in ("step_run", "run"))

        done = azureml(simulated_project, "jobs", "wait", step_run, "--patience", "1")

        assert done.returncode == 0, done.stdout + done.stderr
        # The step is done; what the pipeline would have done after it, nobody does.
        assert statuses(simulated_project) == "failed completed"
        assert f"To continue after its completed steps: zenml pipeline runs retry {run}" in done.stdout
        retried = simulated_project.zenml("pipeline", "runs", "retry", run)
        assert retried.returncode == 0, retried.stdout + retried.stderr
        assert statuses(simulated_project) == "completed completed"
        assert states(emulator) == {job.name: "Completed"}

    def test_a_failure_is_told_and_published(self, simulated_project: Project, emulator: Emulator) -> None:
        emulator.context.settings.simulated_seconds = 10
        emulator.context.settings.simulated_exit_code = 3
        killed(simulated_project, DYNAMIC)
        (job,) = jobs_of(emulator)

        done = azureml(simulated_project, "jobs", "wait", job.name, "--patience", "0")

        assert done.returncode == 1
        assert done.stderr.startswith("The Azure ML job of step `sleeper` failed")
        assert "\nAzure: Execution failed." in done.stderr
        assert statuses(simulated_project) == "failed failed"

    @pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
    def test_a_signal_ends_the_job(
        self, number: signal.Signals, simulated_project: Project, emulator: Emulator
    ) -> None:
        killed(simulated_project, STATIC)
        (job,) = jobs_of(emulator)
        waiting = start_waiting(simulated_project, job.name)
        read_until(waiting, RUNNING)

        waiting.send_signal(number)

        output, _ = waiting.communicate(timeout=60)
        assert waiting.returncode != 0
        assert f"The Azure ML job `{job.name}` has ended: Canceled." in output
        assert "Traceback" not in output
        assert states(emulator) == {job.name: "Canceled"}
        assert statuses(simulated_project) == "stopped stopped"

    def test_jobs_that_are_not_this_servers_are_refused(
        self, simulated_project: Project, emulator: Emulator, ml_client: MLClient
    ) -> None:
        mine = server_id(simulated_project)
        submit(ml_client, "elsewhere", orphan(str(uuid4())))
        submit(ml_client, "gone", orphan(mine))

        elsewhere, gone, missing = (
            azureml(simulated_project, "jobs", "wait", name) for name in ("elsewhere", "gone", "missing")
        )

        assert {done.returncode for done in (elsewhere, gone, missing)} == {1}
        assert (
            f"The job `elsewhere` belongs to another ZenML server than {mine}, according to its tags."
            in elsewhere.stderr
        )
        assert "zenml-azureml jobs cancel --orphans" in gone.stderr
        assert "There is no job `missing` in the workspace `emulator`." in missing.stderr
        assert states(emulator) == {"elsewhere": "Running", "gone": "Running"}
