"""The computes that were to be deleted after steps, and that no process of the run deletes: `jobs` does."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from azure.core.credentials import TokenCredential

from tests.cli.conftest import Cli
from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from zenml_azureml import tags
from zenml_azureml.azure.client import Workspace
from zenml_azureml.azure.compute.placement import Demands
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.emulator import WorkspaceName
from zenml_azureml.emulator.resources import Job
from zenml_azureml.job_admin import server
from zenml_azureml.job_admin.server import ServerView
from zenml_azureml.specs.compute import ComputeCluster, ComputeInstance, ComputeSpec
from zenml_azureml.specs.job import JobSpec

SERVER, RUN = uuid4(), str(uuid4())

#: Submits a job to a compute, which it creates, as the process of a run that is then killed.
Submit = Callable[..., Job]


@pytest.fixture
def submit(cli: Cli, credential: TokenCredential, monkeypatch: pytest.MonkeyPatch) -> Submit:
    name = WorkspaceName()
    address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
    monkeypatch.setattr(server, "server_id", lambda: SERVER)
    monkeypatch.setattr(ServerView, "is_run_over", lambda _self, run_id: run_id == RUN)

    def submit(
        name: str,
        compute: ComputeSpec,
        *,
        run: str = RUN,
        server_id: UUID = SERVER,
        after: bool = True,
        **simulated: str,
    ) -> Job:
        of_step = {tags.STEP_RUN_ID: str(uuid4()), tags.RUN_ID: run, tags.SERVER_ID: str(server_id), tags.HOLD: "20"}
        variables = {f"SIMULATE_{key.upper()}": value for key, value in simulated.items()}
        request = JobSpec(name, name, "tests", "image", "true", variables, of_step, own_tag=tags.of_run(UUID(run)))
        process = Workspace(address, lambda: credential)
        process.submit(request, compute, Demands(quota_check="off"), delete_compute_after=after)
        process.leave(name)
        job = cli.emulator.context.store.workspaces[0].find_job(name)
        assert job is not None
        return job

    return submit


def computes(cli: Cli) -> set[str]:
    return set(cli.emulator.context.store.workspaces[0].computes)


@pytest.mark.parametrize(
    ("how", "compute", "command"),
    [
        ("its hold is over", ComputeCluster("gpus"), "cancel --orphans --yes"),
        ("it is cancelled in Studio", ComputeInstance("gpus"), "cancel --orphans --yes"),
        ("it is cancelled in Studio", ComputeInstance("gpus"), "cancel held --yes"),
        ("its hold is over", ComputeCluster("gpus"), "release held"),
    ],
)
def test_the_compute_of_a_held_job_is_deleted_by_the_next_command_however_the_job_has_ended(
    how: str, compute: ComputeSpec, command: str, cli: Cli, submit: Submit
) -> None:
    over = how == "its hold is over"
    job = submit("held", compute, **({} if over else {"seconds": "3600"}))
    if not over:
        eventually(lambda: job.status == "Running")
        cli.client.jobs.begin_cancel("held").result()
    eventually(lambda: job.status == ("Completed" if over else "Canceled"))
    cli.run("jobs", "list", "--all")
    assert computes(cli) == {"gpus"}, "a listing deletes nothing"

    cli.run("jobs", *command.split())

    assert computes(cli) == set()


def test_a_compute_that_something_needs_or_that_is_not_ours_stays(cli: Cli, submit: Submit) -> None:
    submit("other-server", ComputeCluster("other-server"), server_id=uuid4())
    submit("unfinished-run", ComputeCluster("unfinished-run"), run=str(uuid4()))
    submit("kept", ComputeCluster("kept"), after=False)
    submit("first", ComputeCluster("shared"))
    running = submit("second", ComputeCluster("shared"), server_id=uuid4(), seconds="3600")
    eventually(lambda: running.status == "Running")

    result = cli.run("jobs", "cancel", "--orphans", "--yes")

    assert computes(cli) == {"other-server", "unfinished-run", "kept", "shared"}
    assert "Kept the compute `shared`: the job `second` needs it." in result.stderr
    cli.run("jobs", "release", "first")
    assert "shared" in computes(cli)


def test_a_compute_that_cannot_be_deleted_is_named_with_the_command(cli: Cli, submit: Submit) -> None:
    job = submit("held", ComputeCluster("gpus"))
    eventually(lambda: job.status == "Completed")
    fault = {"method": "DELETE", "path": "/computes/gpus", "status": 403}
    Arm(cli.emulator).call("POST", "/_emulator/faults", fault)

    result = cli.run("jobs", "release", "held", code=1)

    assert "az ml compute delete --name gpus" in result.stderr
    assert computes(cli) == {"gpus"}
