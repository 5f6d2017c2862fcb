"""Inputs and outputs of a step's job through the real SDK: what each of its processes sees, and what is refused."""

from __future__ import annotations

import os
import shlex
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from azure.ai.ml import MLClient

from tests.azure.test_inspector import assign
from tests.conftest import credential_of, ml_client_of, point_clients_at
from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.client import Workspace
from zenml_azureml.azure.compute.placement import Demands
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.clock import SYSTEM_TIME
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.resources import TERMINAL_STATES, Job
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime
from zenml_azureml.emulator.services.aml.asset_paths import find_place
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.azure_jobs import AzureJobs
from zenml_azureml.lifecycle.cost_guard import CostGuard
from zenml_azureml.lifecycle.execution import Executions, StepExecution
from zenml_azureml.lifecycle.lineage import inputs_as_metadata, outputs_as_metadata
from zenml_azureml.lifecycle.state import StepPhase, StepState, SubmitFailed
from zenml_azureml.lifecycle.step_data import PreparedData, StepData
from zenml_azureml.lifecycle.submitter import Request, StepSubmitter
from zenml_azureml.run_store import run_data
from zenml_azureml.settings.models import AzureMLStepOperatorSettings
from zenml_azureml.settings.step_plan import plan_of
from zenml_azureml.specs.job import JobOptions, JobSpec

STORE = "azureml://datastores/workspaceblobstore/paths/"
SOURCE = Path(__file__).parents[2] / "src"

#: Reads its inputs and writes its outputs as a step does, with the paths that the package finds.
STEP = """
import os
from zenml_azureml import input_path, input_uri, output_path

rank = f"{os.environ['NODE_RANK']}-{os.environ['LOCAL_RANK']}" if "LOCAL_RANK" in os.environ else "0"
read = [input_path("images").joinpath("a.txt").read_text(), input_path("words").read_text(), input_uri("table")]
print(rank, *read)
output_path("model").joinpath(f"{rank}.txt").write_text(read[0])
output_path("report").write_text("done")
output_path("late").joinpath(f"{rank}.txt").write_text("late")
"""


class Bench:
    """A workspace with data, an operator's view of it, and a ZenML server that keeps the metadata of one run."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator, self.arm = emulator, Arm(emulator)
        name = WorkspaceName()
        address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
        self.workspace = Workspace(address, lambda: credential_of(emulator))
        self.client: MLClient = ml_client_of(emulator, credential_of(emulator))
        self.saved: dict[str, str] = {}
        self._served = 0

    def asset(self, name: str, version: str, uri: str = f"{STORE}images/", kind: str = "uri_folder") -> None:
        body = {"properties": {"dataType": kind, "dataUri": uri}}
        assert self.arm.call("PUT", f"data/{name}/versions/{version}", body).status == 201

    def path(self, path: str) -> Path:
        """The path of a file or a folder of the default datastore in the emulator's folder."""
        context = self.emulator.context
        return find_place(context.folder, context.store.workspaces[0], f"{STORE}{path}", kind="data").file

    def file(self, path: str, text: str) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)

    def step(self, **settings: Any) -> StepExecution:
        step_run: Any = SimpleNamespace(id=uuid4(), name="train", pipeline_run_id=RUN, run_metadata={})
        plan = plan_of(AzureMLStepOperatorSettings(**settings))
        return StepExecution(step_run, plan, StepState(StepPhase.QUEUED, ()))

    def prepare(self, data: StepData, target: int = 0, **settings: Any) -> PreparedData:
        step = self.step(**settings)
        resolution = step.plan.targets[target].resolution
        return data.prepare(step, self.workspace, resolution.options, resolution, lambda: None)

    def run(self, name: str, command: str, options: JobOptions, checkpoints: str | None = None) -> Job:
        spec = JobSpec(
            name,
            name,
            "tests",
            "image",
            command,
            environment_variables={"PYTHONPATH": str(SOURCE)},
            tags={},
            own_tag="",
            options=options,
            checkpoints=checkpoints,
        )
        self.workspace.submit(spec, plan_of(AzureMLStepOperatorSettings()).targets[0].resolution.compute, Demands())
        job = self.emulator.context.store.workspaces[0].jobs[name]
        eventually(lambda: job.status in TERMINAL_STATES, seconds=60)
        return job

    def sent(self) -> list[str]:
        """The requests since the last call: method, and the path in the workspace."""
        served = requests_of(self.emulator)
        new, self._served = served[self._served :], len(served)
        return [
            f"{one['method']} {one['path'].rpartition(f'/workspaces/{WorkspaceName().name}')[2].lstrip('/')}"
            for one in new
            if "/workspaces/" in one["path"]
        ]


RUN = uuid4()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0, rate_limits=False)
    folder = tmp_path_factory.mktemp("data")
    with Emulator(folder / "emulator", runtime=ProcessRuntime(grace=0.1), settings=settings) as emulator:
        yield emulator


@pytest.fixture
def bench(served: Emulator, monkeypatch: pytest.MonkeyPatch) -> Bench:
    point_clients_at(served, monkeypatch)
    bench = Bench(served)

    def save(_run: Any, _component: Any, versions: Mapping[str, str]) -> None:
        bench.saved.update(versions)

    monkeypatch.setattr(run_data, "saved_versions", lambda _run: dict(bench.saved))
    monkeypatch.setattr(run_data, "save_versions", save)
    bench.sent()
    return bench


def python(script: str) -> str:
    return shlex.join([sys.executable, "-c", script])


def logs_of(bench: Bench, job: Job) -> list[str]:
    logs = bench.emulator.context.folder / "jobs" / job.name / "user_logs"
    return sorted(line for file in logs.glob("std_log*.txt") for line in file.read_text().splitlines())


def test_every_process_on_every_node_reads_the_inputs_and_writes_the_outputs(bench: Bench) -> None:
    name = f"images{os.getpid()}"
    bench.asset(name, "3", f"{STORE}every/")
    bench.file("every/a.txt", "alpha")
    bench.file("words.txt", "beta")
    prepared = bench.prepare(
        StepData(uuid4()),
        inputs={
            "images": f"azureml:{name}@latest",
            "words": {"path": f"{STORE}words.txt", "type": "uri_file", "mode": "download"},
            "table": {"path": f"azureml:{name}:3", "mode": "direct"},
        },
        outputs={
            "model": {"register_as": f"model-{name}"},
            "report": {"type": "uri_file", "path": f"{STORE}reports/report.txt"},
            "late": {"mode": "upload", "path": f"{STORE}late/"},
        },
        instance_count=2,
        distribution={"type": "pytorch", "process_count_per_instance": 2},
    )

    job = bench.run("every", python(STEP), prepared.resolution.options, checkpoints=f"{STORE}checkpoints")

    assert (job.status, job.error) == ("Completed", None), logs_of(bench, job)
    # Asked for by a label, submitted with the version.
    assert job.properties["inputs"]["images"]["uri"].endswith((f"/data/{name}/versions/3", f"azureml:{name}:3"))
    lines = logs_of(bench, job)
    assert [line.split()[:3] for line in lines] == [[rank, "alpha", "beta"] for rank in ("0-0", "0-1", "1-0", "1-1")]
    assert all(line.split()[3].startswith("azureml://") for line in lines)
    written = bench.workspace.written_data("every", ["model", "report", "late"])
    assert (written["model"].name, written["model"].version) == (f"model-{name}", "1")
    assert written["report"].uri.endswith("/datastores/workspaceblobstore/paths/reports/report.txt")
    ranks = ["0-0.txt", "0-1.txt", "1-0.txt", "1-1.txt"]
    assert sorted(path.name for path in bench.path("late").iterdir()) == ranks
    assert bench.path("reports/report.txt").read_text() == "done"
    assert "checkpoints" in job.properties["outputs"]
    again = bench.run(
        "again",
        "echo",
        bench.prepare(StepData(uuid4()), outputs={"m": {"register_as": f"model-{name}"}}).resolution.options,
    )
    assert again.status == "Completed"
    assert bench.workspace.written_data("again", ["m"])["m"].version == "2"


def test_a_step_without_data_costs_no_request(bench: Bench) -> None:
    prepared = bench.prepare(StepData(uuid4()), fallback=[{"job_tier": "spot"}])

    assert (prepared.lineage("https://studio"), bench.sent()) == ({}, [])


def test_a_label_is_resolved_once_for_all_steps_of_a_run_with_one_request(bench: Bench) -> None:
    bench.asset("once", "1")
    bench.asset("once", "2")
    data, train = StepData(uuid4()), {"train": "azureml:once@latest"}
    bench.sent()

    first = bench.prepare(data, inputs=train)
    # The datastore of the data is looked up once in a process, to see if the job's identity matters.
    assert bench.sent() == ["GET data/once/versions", "GET datastores/workspaceblobstore"]
    bench.asset("once", "3")
    bench.sent()
    fallback = bench.prepare(data, 1, inputs=train, fallback=[{"mode": "compute-cluster", "compute_name": "gpus"}])
    retried = bench.prepare(data, inputs={**train, "more": "azureml:once:1"})

    assert {one.resolution.options.inputs[0].path for one in (first, fallback, retried)} == {"azureml:once:2"}
    assert bench.sent() == ["GET data/once/versions/1"]
    # Another process of the run, or the next one after it was killed.
    elsewhere = bench.prepare(StepData(uuid4()), inputs=train)
    assert elsewhere.resolution.options.inputs[0].path == "azureml:once:2"
    assert bench.sent() == ["GET data/once/versions/2"]
    assert bench.saved == {f"{WorkspaceName().name}/once@latest": "2"}
    bench.saved.clear()  # the next run
    assert bench.prepare(StepData(uuid4()), inputs=train).resolution.options.inputs[0].path == "azureml:once:3"


def test_threads_that_need_a_label_at_once_resolve_it_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.asset("shared", "1")
    data, inputs = StepData(uuid4()), {"train": "azureml:shared@latest"}
    together, versions = threading.Barrier(2), data._versions

    def versions_at_once(step: StepExecution, workspace: Workspace) -> Any:
        found = versions(step, workspace)
        with suppress(threading.BrokenBarrierError):
            together.wait(0.2)  # the other thread does not come here before this one has saved a version
        return found

    monkeypatch.setattr(data, "_versions", versions_at_once)
    bench.sent()
    with ThreadPoolExecutor(2) as threads:
        prepared = list(threads.map(lambda _: bench.prepare(data, inputs=inputs), range(2)))

    assert {one.resolution.options.inputs[0].path for one in prepared} == {"azureml:shared:1"}
    assert bench.sent().count("GET data/shared/versions") == 1


def test_an_input_has_the_type_of_its_asset_unless_the_settings_have_one(bench: Bench) -> None:
    bench.asset("typed", "1", f"{STORE}a.csv", "uri_file")

    inputs = {"a": "azureml:typed:1", "b": {"path": "azureml:typed:1", "type": "uri_folder"}, "c": f"{STORE}folder/"}
    found = bench.prepare(StepData(uuid4()), inputs=inputs).resolution.options.inputs

    assert [one.type for one in found] == ["uri_file", "uri_folder", None]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inputs": {"a": "azureml:absent:1"}}, r"`inputs\['a'\]`: .* no version `1` of the data asset `absent`"),
        ({"inputs": {"a": "azureml:absent@latest"}}, r"`inputs\['a'\]`: .* no version of the data asset `absent`"),
        ({"inputs": {"a": "azureml:exists:7"}}, r"no version `7` of the data asset `exists`"),
        ({"inputs": {"a": "azureml://datastores/nowhere/paths/a"}}, r"`inputs\['a'\]`: .* no datastore `nowhere`"),
        ({"outputs": {"b": {"path": "azureml://datastores/nowhere/paths/a"}}}, r"`outputs\['b'\]`: .*`nowhere`"),
    ],
)
def test_what_does_not_exist_is_reported_before_anything_is_created(
    bench: Bench, settings: dict[str, Any], message: str
) -> None:
    if not bench.emulator.context.store.workspaces[0].assets_of("data").get("exists"):
        bench.asset("exists", "1")
    bench.sent()

    with pytest.raises(AzureMLError, match=rf"(?s){message}.*Next steps: .*\naz ml data"):
        bench.prepare(StepData(uuid4()), **settings)
    assert all(request.startswith("GET ") for request in bench.sent())


def test_the_metadata_of_a_step_name_assets_versions_addresses_and_pages(bench: Bench) -> None:
    bench.asset("named", "1")
    address = "https://account.blob.core.windows.net/c/a.csv?sig=secret"
    prepared = bench.prepare(
        StepData(uuid4()),
        inputs={"train": "azureml:named@latest", "web": {"path": address, "type": "uri_file"}},
        outputs={"model": {"register_as": "files", "path": f"{STORE}model/"}},
    )

    found = prepared.lineage("https://ml.azure.com/runs/job?wsid=/subscriptions/s&tid=t")

    uri = found["azureml_inputs"]["train"].pop("uri")
    assert uri.endswith("/datastores/workspaceblobstore/paths/images/")
    assert found == {
        "azureml_inputs": {
            "train": {"path": "azureml:named@latest", "asset": "named", "version": "1", "type": "uri_folder"},
            "web": {**dict.fromkeys(("path", "uri"), address.partition("?")[0]), "type": "uri_file"},
        },
        "azureml_input_train_studio_url": "https://ml.azure.com/data/named/1/details?wsid=/subscriptions/s&tid=t",
        "azureml_outputs": {"model": {"register_as": "files", "uri": f"{STORE}model/", "type": "uri_folder"}},
    }
    assert inputs_as_metadata((), (), {}, "") == outputs_as_metadata((), {}, "") == {}


@pytest.fixture
def private(bench: Bench) -> str:
    """A datastore without credentials, on a storage account of the workspace's resource group."""
    home = {"subscriptionId": WorkspaceName().subscription_id, "resourceGroup": WorkspaceName().resource_group}
    body = {"datastoreType": "AzureBlob", "accountName": "private", "containerName": "c", **home}
    bench.arm.call("PUT", "datastores/private", {"properties": {**body, "credentials": {"credentialsType": "None"}}})
    return "azureml://datastores/private/paths/images/"


def cluster(bench: Bench, name: str, *, identity: bool) -> str:
    """A cluster, with or without an identity; the object id of its identity."""
    body: dict[str, Any] = {
        "location": "westeurope",
        "properties": {
            "computeType": "AmlCompute",
            "properties": {"vmSize": "STANDARD_DS3_V2", "scaleSettings": {"maxNodeCount": 1}},
        },
        **({"identity": {"type": "SystemAssigned"}} if identity else {}),
    }
    made = bench.arm.call("PUT", f"computes/{name}", body)
    assert made.status in (200, 201), made.text
    found = bench.arm.call("GET", f"computes/{name}").body
    return str(found["identity"]["principalId"]) if identity else ""


def on(name: str) -> dict[str, Any]:
    return {"mode": "compute-cluster", "compute_name": name}


def test_a_cluster_without_an_identity_cannot_use_a_datastore_without_credentials(bench: Bench, private: str) -> None:
    cluster(bench, "nameless", identity=False)
    bench.sent()

    for name in ("nameless", "new"):  # the operator would create the second one, without an identity
        with pytest.raises(
            AzureMLError, match=rf"(?s)`private` stores no credentials, and the compute `{name}` has no "
        ):
            bench.prepare(StepData(uuid4()), inputs={"a": private}, **on(name))
    assert bench.sent() == [
        *("GET datastores/private", "GET computes/nameless"),
        *("GET datastores/private", "GET computes/new"),
    ]


def test_an_identity_without_a_role_on_the_storage_is_named_with_the_role(bench: Bench, private: str) -> None:
    principal = cluster(bench, "named", identity=True)
    account = f"{bench.arm.workspace.partition('/providers/')[0]}/providers/Microsoft.Storage/storageAccounts/private"

    with pytest.raises(AzureMLError, match="`named` may not read its storage account") as error:
        bench.prepare(StepData(uuid4()), inputs={"a": private}, **on("named"))
    command = f'az role assignment create --role "Storage Blob Data Reader" --assignee-object-id {principal}'
    assert command in str(error.value)
    assert f"--scope {account}" in str(error.value)
    assign(bench.arm, account, "Storage Blob Data Reader", principal)
    bench.prepare(StepData(uuid4()), inputs={"a": private}, **on("named"))
    bench.sent()
    bench.prepare(StepData(uuid4()), inputs={"a": private}, **on("named"))
    assert bench.sent() == []  # checked once in a process
    with pytest.raises(AzureMLError, match=r"(?s)`named` may not write to its .*Contributor"):
        bench.prepare(StepData(uuid4()), outputs={"a": {"path": private}}, **on("named"))


@pytest.mark.parametrize(
    "settings",
    [
        {"identity": "user", "mode": "compute-cluster", "compute_name": "nameless"},  # the user's own rights count
        {},  # serverless: the user's, too
        {"mode": "compute-instance", "compute_name": "mine"},
        {"mode": "compute-cluster", "compute_name": "later", "compute_identity": "system_assigned"},
    ],
)
def test_where_the_identity_is_not_known_the_job_decides(bench: Bench, private: str, settings: dict[str, Any]) -> None:
    prepared = bench.prepare(StepData(uuid4()), inputs={"a": private}, **settings)

    assert prepared.resolution.options.inputs[0].path == private


def test_a_datastore_with_credentials_needs_no_identity(bench: Bench) -> None:
    cluster(bench, "any", identity=False)

    bench.sent()

    bench.prepare(StepData(uuid4()), inputs={"a": f"{STORE}a/"}, outputs={"b": {}}, **on("any"))

    assert bench.sent() == ["GET datastores/workspaceblobstore", "GET datastores"]


def test_a_submission_with_missing_data_creates_no_compute_and_no_job(bench: Bench) -> None:
    step = bench.step(inputs={"a": "azureml:absent:1"}, size="Standard_DS3_v2", **on("never"))
    jobs = AzureJobs(cast("Any", SimpleNamespace(workspace=lambda _settings: bench.workspace)))

    costs = CostGuard(Executions(cast("Any", None)), jobs, SYSTEM_TIME)
    event = StepSubmitter(uuid4(), jobs, costs).submit(
        step, 0, Request(cast("Any", SimpleNamespace(build=no_job)), lambda: None)
    )

    assert isinstance(event, SubmitFailed)
    assert "no version `1` of the data asset `absent`" in str(event.error)
    assert bench.sent() == ["GET data/absent/versions/1"]


def no_job(_options: JobOptions, _checkpoints: str) -> JobSpec:
    raise AssertionError("a job was built")


def test_a_credential_that_may_not_read_data_gets_azures_message(bench: Bench) -> None:
    bench.asset("hidden", "1")
    assert bench.arm.call("POST", "/_emulator/roles", {"roles": []}).status == 200
    try:
        with pytest.raises(
            AzureMLError, match=r"Failed to look up the data asset `hidden` of `inputs\['a'\]`(?s:.*)Azure: "
        ):
            bench.prepare(StepData(uuid4()), inputs={"a": "azureml:hidden:1"})
    finally:
        assert bench.arm.call("POST", "/_emulator/roles", {"roles": ["Owner"]}).status == 200
