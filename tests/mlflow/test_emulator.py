"""MLflow on the emulator: from jobs and from outside, with azureml-mlflow and a real MLflow server behind it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import pytest
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Environment, Model

from tests.conftest import credential_of, ml_client_of
from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.conftest import azure_variables
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime
from zenml_azureml.emulator.services.storage.files import part_of_job

#: What an image has with azureml-mlflow installed.
PLUGIN = Path(sys.prefix) / "azureml"

IN_JOB = """python - <<'EOF'
import mlflow
from pathlib import Path

mlflow.log_param("rate", 0.1)
mlflow.log_metrics({"loss": 0.5, "nothing": float("nan")}, step=1)
mlflow.log_metric("loss", 0.25, step=2)
mlflow.log_metric("later", 1, synchronous=False).wait()
mlflow.set_tag("colour", "green")
Path("notes.txt").write_text("from the job")
mlflow.log_artifact("notes.txt", "texts")
mlflow.log_artifact("notes.txt", "outputs")
with mlflow.start_run(nested=True, run_name="child") as child:
    mlflow.log_metric("loss", 3)
EOF
"""

OUTSIDE = """
import json, sys
from pathlib import Path
import mlflow
from azure.ai.ml import MLClient
from azure.identity import ClientSecretCredential

authority, tenant, client, secret, subscription, group, name, job = sys.argv[1:]
credential = ClientSecretCredential(tenant, client, secret, authority=authority, disable_instance_discovery=True)
ml_client = MLClient(credential, subscription, group, name, enable_telemetry=False)
ws = ml_client.workspaces.get(name)
mlflow.set_tracking_uri(ws.mlflow_tracking_uri)
mlflow.set_experiment("from-outside")
found = {}
with mlflow.start_run(run_name="mine", tags={"team": "blue"}) as run:
    mlflow.log_params({"depth": 3, "kind": "tree"})
    mlflow.log_metric("accuracy", 0.75)
    Path("model").mkdir()
    Path("model/weights.txt").write_text("1 2 3")
    Path("model/part").mkdir()
    Path("model/part/more.txt").write_text("4")
    mlflow.log_artifacts("model", "model")
    try:
        mlflow.log_artifacts("model", "model")
    except Exception as error:
        found["twice"] = str(error)
again = mlflow.get_run(run.info.run_id)
found["params"], found["metrics"], found["status"] = again.data.params, again.data.metrics, again.info.status
found["tag"] = again.data.tags["team"]
found["experiment"] = mlflow.get_experiment_by_name("from-outside").experiment_id == again.info.experiment_id
client = mlflow.MlflowClient()
found["artifacts"] = sorted(one.path for one in client.list_artifacts(run.info.run_id, "model"))
path = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="model/part/more.txt")
found["read"] = Path(path).read_text()
listed = mlflow.search_runs(experiment_names=["from-outside"])
found["listed"] = list(listed["run_id"]) == [run.info.run_id]
of_job = mlflow.get_run(job)
found["job"] = [of_job.info.run_id, of_job.info.status, of_job.data.metrics["loss"], of_job.data.params]
found["history"] = [one.value for one in client.get_metric_history(job, "loss")]
in_experiment = mlflow.search_runs(experiment_names=["in-jobs"], order_by=["start_time"])
found["runs of jobs"] = list(in_experiment["tags.mlflow.runName"])
child_of_job = f"tags.mlflow.parentRunId = '{job}'"
children = mlflow.search_runs(experiment_names=["in-jobs"], filter_string=child_of_job)
found["children"] = list(children["metrics.loss"])
found["texts"] = Path(mlflow.artifacts.download_artifacts(run_id=job, artifact_path="texts/notes.txt")).read_text()
print(json.dumps(found))
"""

AUTOLOG = """python - <<'EOF'
import os
import mlflow
from sklearn.linear_model import LogisticRegression

mlflow.autolog()
LogisticRegression(C=2.0).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
run = mlflow.get_run(os.environ["AZUREML_RUN_ID"])
assert run.data.params["C"] == "2.0", run.data.params
assert run.data.metrics["training_accuracy_score"] == 1.0, run.data.metrics
model = mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model")
assert list(model.predict([[0.0], [3.0]])) == [0, 1]
EOF
"""

FOLDER = """python - <<'EOF'
from pathlib import Path
import mlflow
from sklearn.tree import DecisionTreeClassifier

tree = DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1])
mlflow.sklearn.save_model(tree, "tree", serialization_format="cloudpickle")
registered = mlflow.register_model(f"file://{Path.cwd()}/tree", "of-a-folder")
model = mlflow.sklearn.load_model(f"models:/of-a-folder/{registered.version}")
assert list(model.predict([[0.0], [1.0]])) == [0, 1]
EOF
"""

MODELS = """python - <<'EOF'
import mlflow
from mlflow.exceptions import MlflowException

class Times(mlflow.pyfunc.PythonModel):
    def __init__(self, by):
        self.by = by

    def predict(self, context, model_input):
        return [self.by * one for one in model_input]

made = [mlflow.pyfunc.log_model(name="net", python_model=Times(by)).model_id for by in (2, 3)]
with mlflow.start_run() as run:
    made.append(mlflow.pyfunc.log_model(name="other", python_model=Times(4)).model_id)
loaded = [mlflow.pyfunc.load_model(f"models:/{one}").predict([1, 2]) for one in made]
assert [list(one) for one in loaded] == [[2, 4], [3, 6], [4, 8]], loaded
assert list(mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/other").predict([1])) == [4]
assert {"net", "other"} <= {one.path for one in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
try:
    mlflow.MlflowClient().create_registered_model("nothing")
    mlflow.MlflowClient().create_model_version("nothing", f"runs:/{run.info.run_id}/none")
except MlflowException as error:
    assert "No blobs found in storage at model asset path" in str(error), error
else:
    raise AssertionError("registered")
EOF
"""

REGISTERED = """python - <<'EOF'
import mlflow

class Twice(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return [2 * one for one in model_input]

mlflow.pyfunc.log_model(name="model", python_model=Twice(), registered_model_name="twice")
again = mlflow.pyfunc.load_model("models:/twice/1")
assert list(again.predict([1, 2])) == [2, 4]
client = mlflow.MlflowClient()
client.set_model_version_tag("twice", "1", "colour", "green")
assert [one.version for one in mlflow.search_model_versions(filter_string="name = 'twice'")] == ["1"]
assert [one.name for one in mlflow.search_registered_models(filter_string="name LIKE 'tw%'")] == ["twice"]
assert client.transition_model_version_stage("twice", "1", "Production").current_stage == "Production"
EOF
"""

SERVE = """
import sys
from pathlib import Path
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.services.mlflow.runs import runs_of

with Emulator(Path(sys.argv[1])) as emulator:
    context = emulator.context
    print(emulator.run(runs_of(context, context.store.workspaces[0]).ask("GET", "/version")).status, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator whose jobs are processes."""
    settings = Settings(job_preparation=0, job_finalization=0)
    folder = tmp_path_factory.mktemp("serving") / "emulator"
    with Emulator(folder, runtime=ProcessRuntime(), settings=settings) as emulator:
        yield emulator


@pytest.fixture
def ml_client(serving: Emulator, monkeypatch: pytest.MonkeyPatch) -> MLClient:
    """The real SDK, on the emulator's first workspace."""
    for name, value in azure_variables(serving).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", "AzureCloud")
    return ml_client_of(serving, credential_of(serving))


def run_job(ml_client: MLClient, serving: Emulator, script: str) -> Any:
    """A job that has completed."""
    ml_client.environments.create_or_update(Environment(name="train", image="example.azurecr.io/train:1"))
    sent = command(
        command=script,
        environment="train@latest",
        experiment_name="in-jobs",
        display_name="training",
        environment_variables={"PYTHONPATH": str(PLUGIN)},
    )
    name = ml_client.create_or_update(sent).name
    job = serving.context.store.workspaces[0].find_job(str(name))
    assert job is not None
    eventually(lambda: job.is_terminal, 280)
    assert job.status == "Completed", (job.error, (job.log_folder / "std_log.txt").read_text())
    return job


def run_outside(serving: Emulator, folder: Path, script: str, *arguments: str) -> dict[str, Any]:
    """What a script says at its end that runs on this machine and knows the emulator as the SDK does."""
    workspace = serving.context.store.workspaces[0]
    variables = {**azure_variables(serving), "AZUREML_CURRENT_CLOUD": "AzureCloud"}
    result = subprocess.run(
        [
            *(sys.executable, "-c", script, serving.base_url, serving.tenant_id, serving.client_id),
            *(serving.client_secret, workspace.subscription_id, workspace.resource_group, workspace.name),
            *arguments,
        ],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(PLUGIN), **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_what_a_job_and_a_script_log_is_read_from_both_sides(
    serving: Emulator, ml_client: MLClient, tmp_path: Path
) -> None:
    job = run_job(ml_client, serving, IN_JOB)

    found = run_outside(serving, tmp_path, OUTSIDE, job.name)

    assert "already exists" in found.pop("twice")
    assert found == {
        "params": {"depth": "3", "kind": "tree"},
        "metrics": {"accuracy": 0.75},
        "status": "FINISHED",
        "tag": "blue",
        "experiment": True,
        "artifacts": ["model/part", "model/weights.txt"],
        "read": "4",
        "listed": True,
        "job": [job.name, "FINISHED", 0.25, {"rate": "0.1"}],
        "history": [0.5, 0.25],
        "runs of jobs": ["training", "child"],
        "children": [3.0],
        "texts": "from the job",
    }
    # The tags of a run are those of its job, and its artifacts are files of the job.
    assert ml_client.jobs.get(job.name).tags["colour"] == "green"
    assert (part_of_job(job, "outputs") / "notes.txt").read_text() == "from the job"


def test_a_model_that_autolog_logs_in_a_job_is_loaded_there(serving: Emulator, ml_client: MLClient) -> None:
    run_job(ml_client, serving, AUTOLOG)


@pytest.mark.parametrize(("script", "paths"), [(AUTOLOG, ["model"]), (MODELS, ["net", "other"])])
def test_models_that_a_job_logs_are_registered_from_its_artifacts(
    serving: Emulator, ml_client: MLClient, tmp_path: Path, script: str, paths: list[str]
) -> None:
    job = run_job(ml_client, serving, script)

    for path in paths:
        source = f"azureml://jobs/{job.name}/outputs/artifacts/paths/{path}/"
        model = ml_client.models.create_or_update(Model(name=f"{path}-of-job", path=source, type="mlflow_model"))
        ml_client.models.download(str(model.name), str(model.version), tmp_path / path)
        [found] = (tmp_path / path).rglob("MLmodel")
        assert "python_function" in found.read_text()


def test_a_model_that_a_job_registers_is_one_of_the_workspace(
    serving: Emulator, ml_client: MLClient, tmp_path: Path
) -> None:
    job = run_job(ml_client, serving, REGISTERED)

    model = ml_client.models.get("twice", version="1")

    assert model.job_name == job.name

    assert (model.type, model.tags, model.stage) == ("mlflow_model", {"colour": "green"}, "Production")
    ml_client.models.download("twice", version="1", download_path=tmp_path)
    assert [file.name for file in tmp_path.rglob("MLmodel")] == ["MLmodel"]


def test_a_model_in_a_folder_is_uploaded_registered_and_loaded(
    serving: Emulator, ml_client: MLClient, tmp_path: Path
) -> None:
    run_job(ml_client, serving, FOLDER)

    ml_client.models.download("of-a-folder", version="1", download_path=tmp_path)
    assert [file.name for file in tmp_path.rglob("MLmodel")] == ["MLmodel"]


def test_no_server_is_left_of_an_emulator_that_is_killed(tmp_path: Path) -> None:
    # A path that is too long for a socket.
    folder = tmp_path / ("x" * 40) / ("y" * 60)
    command_line = [sys.executable, "-c", SERVE, str(folder)]
    with subprocess.Popen(command_line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "200"
        servers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)

    assert len(servers) >= 2
    _, alive = psutil.wait_procs(servers, timeout=60)
    assert alive == []


def test_runs_and_their_metrics_last(tmp_path: Path) -> None:
    settings = Settings(job_preparation=0, job_finalization=0)
    with Emulator(tmp_path / "state", settings=settings, keep_state=True) as emulator:
        arm = Arm(emulator)
        environment = f"{arm.workspace}/environments/env/versions/1"
        arm.call("PUT", environment, {"properties": {"image": "ubuntu"}})
        body = {"jobType": "Command", "command": "true", "environmentId": environment, "experimentName": "trial"}
        arm.call("PUT", "jobs/train", {"properties": body})
        eventually(lambda: emulator.context.store.workspaces[0].jobs["train"].is_terminal, seconds=60)
        metric = {"run_id": "train", "key": "loss", "value": 0.25, "timestamp": 1, "step": 1}
        assert asked(arm, "runs/log-metric", metric) == {}

    with Emulator(tmp_path / "state", settings=settings, keep_state=True) as emulator:
        arm = Arm(emulator)
        experiment = asked(arm, "runs/get", {"run_id": "train"}, method="GET")["run"]["info"]["experiment_id"]
        found = asked(arm, "runs/search", {"experiment_ids": [experiment]})["runs"]

    assert [run["info"]["run_id"] for run in found] == ["train"]
    assert [(one["key"], one["value"]) for one in found[0]["data"]["metrics"]] == [("loss", 0.25)]
    assert found[0]["info"]["status"] == "FINISHED"


@pytest.mark.parametrize("tag", ["mlflow.parentRunId", "mlflow.rootRunId"])
def test_the_runs_below_a_job_are_found_by_a_tag(serving: Emulator, tag: str) -> None:
    arm = Arm(serving)
    environment = f"{arm.workspace}/environments/env/versions/1"
    arm.call("PUT", environment, {"properties": {"image": "ubuntu"}})
    body = {"jobType": "Command", "command": "true", "environmentId": environment, "experimentName": "family"}
    for name, parent in (("above", None), ("below", "above")):
        sent = {"properties": {**body, "parentJobName": parent}}
        arm.call("PUT", f"jobs/{name}", sent, api_version="2025-01-01-preview")
    experiment = asked(arm, "runs/get", {"run_id": "above"}, method="GET")["run"]["info"]["experiment_id"]

    sought = {"experiment_ids": [experiment], "filter": f"tags.{tag} = 'above' and attributes.run_name = 'below'"}

    assert [run["info"]["run_id"] for run in asked(arm, "runs/search", sought)["runs"]] == ["below"]


def asked(arm: Arm, path: str, body: dict[str, Any], method: str = "POST") -> Any:
    """The answer of MLflow's interface of a workspace."""
    url = f"/mlflow/v1.0{arm.workspace}/api/2.0/mlflow/{path}"
    if method == "GET":
        answer = arm.call("GET", f"{url}?{urlencode(body)}", api_version=None)
    else:
        answer = arm.call(method, url, body, api_version=None)
    assert answer.status == 200, answer.text
    return answer.body
