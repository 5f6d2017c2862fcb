"""Steps that log to an MLflow server of the team's own. Nothing in their code knows of Azure ML."""

from __future__ import annotations

from base64 import b64encode

from tests.e2e.conftest import Project
from tests.mlflow.servers import RecordingProxy
from zenml_azureml.emulator import Emulator

TRACKER = """
import os
import sys
import mlflow
from zenml.enums import StackComponentType as Type

@step(step_operator="azureml", experiment_tracker="team")
def train() -> None:
    mlflow.log_metric("loss", 0.5)
    print("TOKEN", os.environ.get("MLFLOW_TRACKING_TOKEN"))

@pipeline(enable_cache=False, settings=NO_BUILD)
def tracked():
    train()

if __name__ == "__main__":
    client = Client()
    client.create_stack_component("team", "mlflow", Type.EXPERIMENT_TRACKER, {
        "tracking_uri": sys.argv[1], "tracking_username": "team", "tracking_password": "of the team"
    })
    client.update_stack(component_updates={Type.EXPERIMENT_TRACKER: ["team"]})
    tracked()
    print("RUN", last_run().name, last_run().status)
"""

#: Each step says by its name how it names the server.
PLAIN = """
import os
import mlflow

URL = "%s"
OURS = {"MLFLOW_TRACKING_URI": URL, "MLFLOW_EXPERIMENT_NAME": "ours"}
IN_SETTINGS = {"step_operator": AzureMLStepOperatorSettings(environment_variables=OURS)}
IN_DOCKER = {"docker": DockerSettings(skip_build=True, parent_image="example.azurecr.io/train:1", environment=OURS)}

@step(step_operator="azureml", settings=IN_SETTINGS)
def settings() -> None:
    with mlflow.start_run(run_name="settings"):
        mlflow.log_metric("loss", 1)

@step(step_operator="azureml", settings=IN_DOCKER)
def docker() -> None:
    with mlflow.start_run(run_name="docker"):
        mlflow.log_metric("loss", 2)

@step(step_operator="azureml")
def code() -> None:
    mlflow.set_tracking_uri(URL)
    mlflow.set_experiment("ours")
    with mlflow.start_run(run_name="code"):
        mlflow.log_metric("loss", 3)

@step(step_operator="azureml")
def variable() -> None:
    os.environ.update(OURS)
    with mlflow.start_run(run_name="variable"):
        mlflow.log_metric("loss", 4)

@step(step_operator="azureml")
def client() -> None:
    ours = mlflow.MlflowClient(tracking_uri=URL)
    experiment = ours.get_experiment_by_name("ours")
    run = ours.create_run(experiment.experiment_id, run_name="client")
    ours.log_metric(run.info.run_id, "loss", 5)
    assert os.environ["MLFLOW_RUN_ID"] == os.environ["AZUREML_RUN_ID"]  # the job's own page is still at hand

SCRIPT = (
    "import mlflow; run = mlflow.start_run(run_name='command'); mlflow.log_metric('loss', 6); mlflow.end_run()"
)
command = CommandStep(["python", "-c", SCRIPT], step_operator="azureml", settings=IN_SETTINGS, name="command")

@pipeline(enable_cache=False, settings=NO_BUILD)
def plain():
    settings()
    docker(after="settings")
    code(after="docker")
    variable(after="code")
    client(after="variable")
    command(after="client")

if __name__ == "__main__":
    plain()
    print("RUN", last_run().name, last_run().status)
"""


def assert_none_of_azures(team: RecordingProxy, jobs: Emulator, authorization: str = "") -> None:
    """Nothing that Azure ML set for its own runs has reached the server."""
    assert team.received
    assert {request.authorization for request in team.received} == {authorization}
    ids = set(jobs.context.store.workspaces[0].jobs)
    named = [request for request in team.received if ids & {request.body.get("run_id"), *request.path.split("run_id=")}]
    assert named == []


def test_a_tracker_of_zenml_logs_to_the_teams_server(project: Project, jobs: Emulator, team: RecordingProxy) -> None:
    output = project.succeed(TRACKER, team.url)

    (run,) = [line.split()[1] for line in output.splitlines() if line.startswith("RUN ")]
    assert f"RUN {run} completed" in output
    assert team.metrics("tracked") == {run: {"loss": 0.5}}
    assert "[train] TOKEN None" in output
    assert_none_of_azures(team, jobs, f"Basic {b64encode(b'team:of the team').decode()}")


def test_plain_mlflow_logs_to_the_server_that_is_named_wherever_it_is_named(
    project: Project, jobs: Emulator, team: RecordingProxy
) -> None:
    output = project.succeed(PLAIN % team.url)

    assert "completed" in output.splitlines()[-1]
    assert team.metrics("ours") == {
        "settings": {"loss": 1},
        "docker": {"loss": 2},
        "code": {"loss": 3},
        "variable": {"loss": 4},
        "client": {"loss": 5},
        "command": {"loss": 6},
    }
    assert_none_of_azures(team, jobs)
