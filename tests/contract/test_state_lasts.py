"""An emulator that is stopped and started again, through the real SDK: all that users made is there."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import Input, MLClient, Output, command, dsl, load_component
from azure.ai.ml.entities import (
    AccountKeyConfiguration,
    AmlCompute,
    AzureBlobDatastore,
    Data,
    Environment,
    Model,
    Workspace,
)
from azure.core.exceptions import ResourceNotFoundError

from tests.conftest import credential_of, ml_client_of, point_clients_at
from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime

SOON = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0, rate_limits=False)
COMPONENT = """
name: adder
version: "7"
type: command
command: echo {text}
environment: azureml:env:1
"""

#: Starts the emulator of the test's state folder, after the one that runs is stopped.
Start = Callable[..., Emulator]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    running: list[Emulator] = []

    def start(**options: Any) -> Emulator:
        if running:
            running.pop().close()
        chosen = {"keep_state": True, "settings": SOON, "runtime": ProcessRuntime(grace=0.1), **options}
        emulator = Emulator(tmp_path / "state", **chosen).__enter__()
        running.append(emulator)
        point_clients_at(emulator, monkeypatch)
        return emulator

    yield start
    running.pop().close()


def free_port() -> int:
    """A port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def sdk(emulator: Emulator) -> MLClient:
    """The real SDK, signed in with the credentials of the state folder."""
    return ml_client_of(emulator, credential_of(emulator))


def ended(client: MLClient, name: str) -> str:
    """The state in which a job ends."""
    eventually(lambda: client.jobs.get(name).status in ("Completed", "Failed", "Canceled"), seconds=60)
    status = client.jobs.get(name).status
    return str(getattr(status, "value", status))


def trained(client: MLClient, source: Path) -> None:
    """A job with code, an input and a registered output; it has ended."""
    source.mkdir()
    (source / "train.py").write_text("print('trained')")
    (source.parent / "data.csv").write_text("1,2")
    client.data.create_or_update(
        Data(name="numbers", version="1", path=str(source.parent / "data.csv"), type="uri_file")
    )
    client.data.create_or_update(
        Data(name="numbers", version="2", path=str(source.parent / "data.csv"), type="uri_file")
    )
    job = command(
        name="train",
        code=str(source),
        command="python train.py; cp ${{inputs.numbers}} ${{outputs.copy}}; mkdir -p outputs; echo kept > outputs/file",
        inputs={"numbers": Input(type="uri_file", path="azureml:numbers:2")},
        outputs={"copy": Output(type="uri_file", name="copied")},
        environment="env:1",
        tags={"team": "blue"},
    )
    client.jobs.create_or_update(job)
    assert ended(client, "train") == "Completed"


def test_what_the_sdk_made_is_there_after_a_restart(start: Start, tmp_path: Path) -> None:
    emulator = start()
    client = sdk(emulator)
    client.environments.create_or_update(Environment(name="env", version="1", image="ubuntu"))
    client.environments.create_or_update(Environment(name="old", version="1", image="ubuntu"))
    client.environments.archive("old")
    trained(client, tmp_path / "src")
    client.models.create_or_update(Model(name="model", path="azureml://jobs/train/outputs/artifacts/paths/outputs/"))
    (tmp_path / "adder.yml").write_text(COMPONENT.format(text="hello"))
    client.components.create_or_update(load_component(tmp_path / "adder.yml"))
    store = AzureBlobDatastore(
        name="mine", account_name="a", container_name="c", credentials=AccountKeyConfiguration(account_key="a2V5")
    )
    client.datastores.create_or_update(store)
    client.compute.begin_create_or_update(AmlCompute(name="cluster", size="Standard_DS2_v2")).result()
    client.workspaces.begin_update(Workspace(name=str(client.workspace_name), tags={"cost": "42"})).result()
    for name in ("gone", "later"):
        client.jobs.create_or_update(command(name=name, command="echo bye", environment="env:1"))
        assert ended(client, name) == "Completed"
    client.jobs.begin_delete("gone").result()
    before = {job.name: (job.status, job.display_name, job.tags) for job in client.jobs.list()}
    workspace = client.workspaces.get(client.workspace_name)

    client = sdk(start(port=free_port()))

    assert {job.name: (job.status, job.display_name, job.tags) for job in client.jobs.list()} == before
    assert [job.name for job in client.jobs.list()] == ["later", "train"]
    with pytest.raises(ResourceNotFoundError):
        client.jobs.get("gone")
    client.jobs.download("train", download_path=tmp_path / "down", all=True)
    found = {
        path.relative_to(tmp_path / "down").as_posix(): path.read_text() for path in (tmp_path / "down").rglob("*.*")
    }
    assert "trained" in found["artifacts/user_logs/std_log.txt"]
    assert (tmp_path / "down" / "artifacts" / "outputs" / "file").read_text() == "kept\n"
    assert (tmp_path / "down" / "named-outputs" / "copy").exists()
    client.jobs.stream("train")
    assert client.data.get("numbers", label="latest").version == "2"
    assert [one.version for one in client.data.list("numbers")] == ["2", "1"]
    assert client.data.get("copied", version="1").type == "uri_file"
    assert client.models.get("model", version="1").path.endswith("dcid.train/outputs")
    assert client.components.get("adder", version="7").command == "echo hello"
    assert [one.name for one in client.environments.list()][:1] == ["env"]
    assert {one.name for one in client.datastores.list()} > {"mine", "workspaceblobstore"}
    assert client.datastores.get("mine", include_secrets=True).credentials.sas_token  # its key was kept
    assert client.datastores.get_default().name == "workspaceblobstore"
    assert client.compute.get("cluster").provisioning_state == "Succeeded"
    again = client.workspaces.get(client.workspace_name)
    assert again.tags == {"cost": "42"}
    assert again.mlflow_tracking_uri != workspace.mlflow_tracking_uri  # the port is another one
    # And all of it is used further: the same code, the same asset, the same component.
    job = command(
        command="cat ${{inputs.copied}}; python train.py",
        code=str(tmp_path / "src"),
        inputs={"copied": Input(type="uri_file", path="azureml:copied:1")},
        environment="env:1",
    )
    again_job = client.jobs.create_or_update(job)
    assert ended(client, again_job.name) == "Completed"
    assert again_job.code == client.jobs.get("train").code


def test_what_ran_is_failed_with_the_reason_where_users_look(start: Start, tmp_path: Path) -> None:
    emulator = start()
    client = sdk(emulator)
    client.environments.create_or_update(Environment(name="env", version="1", image="ubuntu"))
    client.jobs.create_or_update(command(name="runs", command="echo begun; sleep 600", environment="env:1"))

    @dsl.pipeline
    def pipeline() -> None:
        node = command(name="node", command="sleep 600", environment="env:1")()
        node.name = "first"

    wanted: Any = pipeline()
    wanted.settings.default_compute = "serverless"
    made = client.jobs.create_or_update(wanted, experiment_name="e")
    eventually(lambda: client.jobs.get("runs").status == "Running", seconds=60)
    eventually(lambda: [one.status for one in client.jobs.list(parent_job_name=made.name)] == ["Running"], seconds=60)

    before = emulator.base_url
    emulator = start()
    client, arm = sdk(emulator), Arm(emulator)

    assert emulator.base_url == before
    (child,) = client.jobs.list(parent_job_name=made.name)
    assert [client.jobs.get(name).status for name in ("runs", made.name, child.name)] == ["Failed"] * 3
    for name in ("runs", made.name, child.name):
        details = arm.call("GET", f"/history/v1.0{arm.workspace}/runs/{name}/details", api_version=None)
        message = details.body["error"]["error"]["message"]
        assert message == (
            "The emulator was stopped while the job was in the state Running. Submit the job again under another name."
        )
    with pytest.raises(Exception, match="The emulator was stopped while the job was in the state Running"):
        client.jobs.stream("runs")
    client.jobs.download("runs", download_path=tmp_path / "down")
    assert "begun" in (tmp_path / "down" / "artifacts" / "user_logs" / "std_log.txt").read_text()


def test_secrets_roles_and_the_page_have_what_was_there(start: Start) -> None:
    emulator = start()
    arm, vault = Arm(emulator), emulator.context.store.vaults[0]
    assert arm.call("POST", "/_emulator/vault-access", {}, api_version=None).status == 200
    token = {"Authorization": f"Bearer {arm.token(audience='https://vault.azure.net')}"}
    set_one = arm.call("PUT", f"{vault.address}/secrets/key", {"value": "s3cret"}, api_version="7.4", headers=token)
    assert set_one.status == 200, set_one.text
    environment = f"{arm.workspace}/environments/env/versions/1"
    arm.call("PUT", environment, {"properties": {"image": "ubuntu"}})
    body = {"jobType": "Command", "command": "echo hi", "environmentId": environment}
    arm.call("PUT", "jobs/shown", {"properties": body})
    eventually(lambda: emulator.context.store.workspaces[0].jobs["shown"].is_terminal, seconds=60)
    roles = arm.call("GET", "/_emulator/roles", api_version=None).body

    emulator = start()

    arm, vault = Arm(emulator), emulator.context.store.vaults[0]
    token = {"Authorization": f"Bearer {arm.token(audience='https://vault.azure.net')}"}
    assert arm.call("GET", f"{vault.address}/secrets/key", api_version="7.4", headers=token).body["value"] == "s3cret"
    assert arm.call("GET", "/_emulator/roles", api_version=None).body == roles
    shown = arm.call("GET", "/_emulator/jobs", api_version=None).body
    assert [(job["name"], job["status"]) for job in shown] == [("shown", "Completed")]

    assert arm.call("POST", "/_emulator/reset", {}, api_version=None).status == 204
    arm = Arm(start())
    assert arm.call("GET", "/_emulator/jobs", api_version=None).body == []


def test_one_that_keeps_nothing_begins_empty_and_deletes_the_state(start: Start) -> None:
    client = sdk(start())
    client.environments.create_or_update(Environment(name="env", version="1", image="ubuntu"))

    emulator = start(keep_state=False)
    assert [one.name for one in sdk(emulator).environments.list() if one.name == "env"] == []
    assert not (emulator.context.folder / "state.db").exists()

    assert [one.name for one in sdk(start()).environments.list() if one.name == "env"] == []
