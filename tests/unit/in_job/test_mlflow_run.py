"""The variables of MLflow in a job: those of Azure ML at its own workspace, those of the user everywhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.contract.commands import prepared, unprepared
from zenml_azureml.contract.mlflow import INJECTED, NAMED, marker, with_own_names, workspace_of
from zenml_azureml.in_job.mlflow_run import InjectedRun

PATH = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/ws"
OWN = f"azureml://westeurope.api.azureml.ms/mlflow/v1.0{PATH}"
TEAM = "https://mlflow.example.org"
#: Names from a public dump of a job's environment.
AZURES = {
    "MLFLOW_TRACKING_URI": OWN,
    "MLFLOW_RUN_ID": "job",
    "MLFLOW_EXPERIMENT_ID": "7c5e",
    "MLFLOW_EXPERIMENT_NAME": "digits",
    "MLFLOW_TRACKING_TOKEN": "of-azure",
}
#: Forms in which one workspace is named: by the job, the portal, the SDK, and plain MLflow.
FORMS = [
    OWN,
    f"{OWN}?",
    f"{OWN}/",
    OWN.replace("v1.0", "v2.0"),
    OWN.replace("azureml:", "https:"),
    OWN.replace("resourceGroups", "resourcegroups").replace("westeurope", "WestEurope"),
]
#: What no other than the user can have meant.
ELSEWHERE = [
    TEAM,
    "http://10.0.0.7:5000",
    "databricks",
    "sqlite:///runs.db",
    "mlruns",
    OWN.replace("workspaces/ws", "workspaces/other"),
    OWN.replace("westeurope", "eastus"),
    f"https://evil.example.org/mlflow/v1.0{PATH}",
]


def given_to_a_job(**users: str) -> dict[str, str]:
    """The environment of a job whose user has set these, as Azure ML makes it."""
    sent = with_own_names({**users, **marker(users)})
    return {**sent, **AZURES, "AZUREML_RUN_ID": "job"}


def of_mlflow(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name in INJECTED}


def test_without_a_uri_of_the_users_nothing_changes() -> None:
    environment = given_to_a_job()

    run = InjectedRun(environment)
    run.begin()
    run.use(None)
    run.use("")

    assert of_mlflow(environment) == AZURES


@pytest.mark.parametrize("uri", FORMS)
def test_the_jobs_own_workspace_is_recognized_in_every_form(uri: str) -> None:
    environment = given_to_a_job()

    InjectedRun(environment).use(uri)

    assert of_mlflow(environment) == AZURES


@pytest.mark.parametrize("uri", [*ELSEWHERE, Path("runs")])
def test_elsewhere_nothing_of_azures_is_left_and_the_way_back_restores_it(uri: str | Path) -> None:
    environment = given_to_a_job()
    run = InjectedRun(environment)

    run.use(uri)
    assert of_mlflow(environment) == {}

    run.use(OWN)
    assert of_mlflow(environment) == AZURES


def test_a_uri_in_the_settings_is_used_with_the_users_other_variables_only() -> None:
    mine = {"MLFLOW_TRACKING_URI": TEAM, "MLFLOW_EXPERIMENT_NAME": "ours", "MLFLOW_TRACKING_TOKEN": "mine"}
    environment = given_to_a_job(**mine)

    InjectedRun(environment).begin()

    assert of_mlflow(environment) == mine


def test_other_variables_of_the_settings_count_where_the_code_sets_the_uri() -> None:
    environment = given_to_a_job(MLFLOW_EXPERIMENT_NAME="ours")
    run = InjectedRun(environment)

    run.begin()
    assert of_mlflow(environment) == AZURES  # on the job's own page, Azure ML's experiment is the only one
    run.use(TEAM)
    assert of_mlflow(environment) == {"MLFLOW_EXPERIMENT_NAME": "ours"}


def test_a_uri_of_the_image_that_azure_ml_leaves_alone_is_kept() -> None:
    environment = {**given_to_a_job(), "MLFLOW_TRACKING_URI": TEAM}

    InjectedRun(environment).begin()

    assert of_mlflow(environment) == {"MLFLOW_TRACKING_URI": TEAM}


def test_what_the_code_has_set_itself_is_kept() -> None:
    environment = given_to_a_job()
    run = InjectedRun(environment)
    environment |= {"MLFLOW_TRACKING_TOKEN": "mine", "MLFLOW_EXPERIMENT_NAME": "ours"}

    run.use(TEAM)

    assert of_mlflow(environment) == {"MLFLOW_TRACKING_TOKEN": "mine", "MLFLOW_EXPERIMENT_NAME": "ours"}


def test_a_value_that_came_from_a_key_vault_is_the_users() -> None:
    users = {"MLFLOW_TRACKING_URI": "https://me:secret@mlflow.example.org", "MLFLOW_TRACKING_TOKEN": "mine"}
    environment = {**AZURES, NAMED: ",".join(users), **users}

    InjectedRun(environment).begin()

    assert of_mlflow(environment) == users


@given(st.sets(st.sampled_from(INJECTED)), st.sampled_from(ELSEWHERE), st.booleans())
def test_no_value_of_azures_is_ever_left_elsewhere(users: set[str], uri: str, in_settings: bool) -> None:
    given_ = {name: uri if name == "MLFLOW_TRACKING_URI" else f"my {name}" for name in users}
    if in_settings:
        given_["MLFLOW_TRACKING_URI"] = uri
    environment = given_to_a_job(**given_)

    run = InjectedRun(environment)
    run.begin()
    run.use(uri)

    assert of_mlflow(environment) == given_


@pytest.mark.parametrize(
    ("token", "host", "sent"),
    [
        ("of-azure", "https://westeurope.api.azureml.ms/mlflow/v2.0", True),
        ("of-azure", "https://WESTEUROPE.api.azureml.ms", True),
        ("of-azure", TEAM, False),
        ("of-azure", "http://westeurope.api.azureml.ms.example.org", False),
        ("mine", TEAM, True),
        (None, TEAM, True),
    ],
)
def test_the_token_goes_to_the_workspace_only(token: str | None, host: str, sent: bool) -> None:
    assert InjectedRun(given_to_a_job()).may_send(token, host) is sent


@pytest.mark.parametrize("uri", ["", "databricks", "http://[", TEAM, f"ftp://x{PATH}"])
def test_other_uris_lead_to_no_workspace(uri: str) -> None:
    assert workspace_of(uri) == ""


COMMAND = f"{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])
def test_a_command_step_starts_with_the_users_variables_in_an_image_without_this_package(shell: str) -> None:
    users = {"MLFLOW_TRACKING_URI": "https://x y:$HOME@mlflow.example.org", "MLFLOW_TRACKING_TOKEN": "it's mine"}
    variables = with_own_names({**users, **marker(users)})
    command = prepared(COMMAND, variables)

    said = subprocess.check_output([shell, "-c", command], env={**variables, **AZURES, "PATH": os.environ["PATH"]})

    assert of_mlflow(json.loads(said)) == users
    assert "mine" not in command
    assert unprepared(command) == COMMAND


@pytest.mark.parametrize(
    ("command", "users"),
    [
        (COMMAND, {"MLFLOW_TRACKING_URI": OWN}),
        (COMMAND, {"MLFLOW_EXPERIMENT_NAME": "ours"}),
        (COMMAND, {}),
        ("exit 3", {"MLFLOW_TRACKING_URI": TEAM}),
    ],
)
def test_a_command_without_another_server_or_for_the_shell_stays_as_it_is(command: str, users: dict[str, str]) -> None:
    assert prepared(command, with_own_names({**users, **marker(users)})) == command


def test_a_uri_in_a_key_vault_clears_what_azure_ml_has_set_before_the_secret_is_read() -> None:
    variables = {**marker(["MLFLOW_TRACKING_URI"]), "ZENML_AZUREML_JOB_VAULT_SECRET": "https://v"}
    command = prepared("python train.py", variables)

    assert command.endswith("-u MLFLOW_TRACKING_TOKEN python -m zenml_azureml.in_job python train.py")
    assert unprepared(command) == "python train.py"


def test_outside_a_job_the_hook_imports_and_changes_nothing() -> None:
    code = (
        "import sys; from zenml_azureml.in_job.mlflow_hook import install; before = list(sys.meta_path); install(); "
        "assert sys.meta_path == before; print('zenml_azureml.in_job.mlflow_run' in sys.modules)"
    )
    environment = {"PATH": os.environ["PATH"], "MLFLOW_TRACKING_URI": TEAM, "MLFLOW_RUN_ID": "mine"}

    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip() == "False"


@pytest.mark.parametrize("module", ["mlflow.tracking._tracking_service.utils", "mlflow.utils.rest_utils"])
def test_an_unknown_mlflow_is_used_as_it_is_and_one_line_says_so(module: str, tmp_path: Path) -> None:
    package = tmp_path.joinpath(*module.split("."))
    package.parent.mkdir(parents=True)
    for folder in [folder for folder in package.parents if folder.is_relative_to(tmp_path / "mlflow")]:
        (folder / "__init__.py").touch()
    package.with_suffix(".py").write_text("here = True")
    code = f"from zenml_azureml.in_job.mlflow_hook import install; install(); import {module} as m; print(m.here)"
    environment = {**given_to_a_job(), "PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}

    result = subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=True)

    assert result.stdout == "True\n"
    assert result.stderr.count("zenml-azureml: This version of MLflow is unknown") == 1
