"""`zenml-azureml spec`: the job that a step is, as YAML that Azure ML takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from azure.ai.ml import MLClient, load_job
from azure.ai.ml.entities import Environment

from tests.e2e.conftest import PRELUDE, Project
from tests.e2e.killed import azureml, jobs_of
from zenml_azureml.azure.jobs.submitter import environment_name
from zenml_azureml.contract.commands import unprepared
from zenml_azureml.emulator import Emulator

IMAGE = "example.azurecr.io/train:1"

TRAINING = """
SETTINGS = AzureMLStepOperatorSettings(
    environment_variables={"HF_TOKEN": "hf_AbCdEf123456", "OMP_NUM_THREADS": "4"},
    docker_args="--ipc=host -e WANDB=0123456789abcdef0123",
    timeout_minutes=60,
)

@step(step_operator="azureml", settings={"step_operator": SETTINGS})
def trainer(epochs: int) -> float:
    return 1.0

BY_VAULT = SETTINGS.model_copy(update={"secrets_via": "key-vault"})

@step(step_operator="azureml", settings={"step_operator": BY_VAULT})
def careful() -> None: ...

LIMITED = AzureMLStepOperatorSettings(instance_type="Standard_DS3_v2", timeout_minutes=60, max_usd=0.145)

@step(step_operator="azureml", settings={"step_operator": LIMITED})
def limited() -> None: ...

@pipeline(settings=NO_BUILD)
def with_limit():
    limited()

@pipeline(settings=NO_BUILD)
def with_vault():
    careful()

evaluator = CommandStep(["echo", "hf_AbCdEf123456"], name="evaluator", step_operator="azureml", settings={
    "step_operator": SETTINGS, "resources": ResourceSettings(cpu_count=8)})

@step
def reporter() -> None: ...

@pipeline(enable_cache=False, settings=NO_BUILD)
def training(epochs: int = 3):
    trainer(epochs)
    evaluator()
    reporter()

@pipeline(enable_cache=False)
def built(epochs: int):
    trainer(epochs)

@pipeline(dynamic=True, enable_cache=False, depends_on=[evaluator], settings=NO_BUILD)
def dynamic():
    evaluator()
"""


@pytest.fixture
def training(simulated_project: Project) -> Project:
    """A project with pipelines in `train.py`."""
    (simulated_project.folder / "train.py").write_text(PRELUDE + TRAINING)
    return simulated_project


def spec(project: Project, *arguments: str) -> str:
    """What `spec` prints."""
    done = azureml(project, "spec", *arguments)
    assert done.returncode == 0, done.stderr
    assert "hf_AbCdEf123456" not in done.stdout + done.stderr
    assert "0123456789abcdef0123" not in done.stdout + done.stderr
    return done.stdout


def test_the_job_of_a_step_in_code_is_one_that_azure_ml_takes(
    training: Project, emulator: Emulator, ml_client: MLClient
) -> None:
    printed = spec(training, "train:training.trainer")
    assert jobs_of(emulator) == []

    path = training.folder / "job.yml"
    path.write_text(printed)
    ml_client.environments.create_or_update(Environment(name=environment_name(IMAGE), version="1", image=IMAGE))
    submitted = ml_client.jobs.create_or_update(load_job(path))

    assert submitted.name == "zenml-step-run-id"
    properties = jobs_of(emulator)[0].properties
    assert properties["command"].endswith("--snapshot_id SNAPSHOT_ID --step_name trainer --step_run_id STEP_RUN_ID")
    assert properties["limits"]["timeout"] == "PT1H"
    variables = properties["environmentVariables"]
    assert (variables["HF_TOKEN"], variables["OMP_NUM_THREADS"]) == ("REDACTED", "4")
    assert variables["ZENML_STEP_OPERATOR"] == "True"
    assert properties["resources"]["dockerArgs"] == "--ipc=host"
    assert variables["WANDB"] == "REDACTED"
    workspace = emulator.context.store.workspaces[0]
    where = f"--workspace-name {workspace.name} --resource-group {workspace.resource_group}"
    where += f" --subscription {workspace.subscription_id}"
    comments = [line for line in printed.splitlines() if line.startswith("#")]
    assert comments == [
        "# The step operator registers the environment before it submits the job. To register it yourself:",
        f"# az ml environment create --name {environment_name(IMAGE)} --version 1 --image {IMAGE} {where}",
        "# Known at run time: zenml-step-run-id, STEP_RUN_ID, RUN_ID, RUN_NAME, SNAPSHOT_ID.",
        "# In a key vault instead of the job, if one can be used (`secrets_via` is auto): HF_TOKEN, WANDB.",
        "# REDACTED stands for a value that may be a secret.",
    ]


def test_a_command_step_of_a_dynamic_pipeline_and_a_size_that_its_resources_choose(training: Project) -> None:
    told: dict[str, Any] = json.loads(spec(training, "train.py:dynamic.evaluator", "--json"))

    assert unprepared(told["command"]) == "echo REDACTED"
    assert told["resources"]["instance_type"] == "Standard_F8s_v2"


def test_a_cost_limit_is_shown_as_the_time_limit_and_the_reservation_of_a_first_job(training: Project) -> None:
    printed = spec(training, "train:with_limit.limited")
    told = yaml.safe_load(printed)

    line = "# As the first job of its run, it may run for 30.0 minutes, because of `max_usd=0.145`, and reserves 0.14"
    assert any(each.startswith(line) for each in printed.splitlines()), printed
    assert told["limits"]["timeout"] == 30 * 60
    assert (told["tags"]["zenml_cost_limit"], told["tags"]["zenml_reserved_usd"]) == ("max_usd=0.145", "0.145000")


def test_a_job_whose_secrets_go_by_a_key_vault_is_shown_without_them(training: Project) -> None:
    printed = spec(training, "train:with_vault.careful")
    told = yaml.safe_load(printed)

    assert "# In the key vault instead of the job: HF_TOKEN, WANDB." in printed.splitlines()
    assert "# Known at run time: zenml-step-run-id, STEP_RUN_ID, RUN_ID, RUN_NAME, SNAPSHOT_ID, KEY_VAULT." in printed
    assert "HF_TOKEN" not in told["environment_variables"]
    assert told["environment_variables"]["OMP_NUM_THREADS"] == "4"
    address = "https://KEY_VAULT/secrets/zenml-step-run-id"
    assert told["environment_variables"]["ZENML_AZUREML_JOB_VAULT_SECRET"] == address
    assert told["tags"]["zenml_vault_secret"] == address
    assert told["command"].startswith("python -m zenml_azureml.in_job python -m zenml.entrypoints.entrypoint ")


def test_an_image_that_is_still_to_be_built_and_parameters_from_a_file(training: Project) -> None:
    (training.folder / "run.yaml").write_text("parameters:\n  epochs: 5\n")

    refused = azureml(training, "spec", "train:built.trainer")
    printed = spec(training, "train:built.trainer", "--config", "run.yaml")

    assert refused.returncode == 1
    assert "Failed to compile the pipeline `built`: " in refused.stderr
    assert "`--config FILE`" in refused.stderr
    assert yaml.safe_load(printed)["environment"] == f"azureml:{environment_name('IMAGE')}:1"
    assert "# ZenML builds the image when the pipeline runs; the environment is named after it." in printed


BROKEN = """
from zenml import pipeline, step

@step(step_operator="azureml")
def trainer(epochs: int) -> None: ...

@step(step_operator="nowhere")
def elsewhere() -> None: ...

@step(experiment_tracker="nowhere")
def tracked() -> None: ...

@step(step_operator="azureml", settings={"step_operator": {"timeout_minutes": "soon"}})
def unlimited() -> None: ...

@step(step_operator="azureml", settings={"step_operator": {"compute_nam": "cpus"}})
def misspelt() -> None: ...

@pipeline
def without_input():
    trainer()

@pipeline
def with_wrong_input():
    trainer("three")

@pipeline
def raising():
    {}["key"]

@pipeline
def with_other_operator():
    elsewhere()

@pipeline
def with_tracker():
    tracked()

@pipeline
def with_setting():
    unlimited()

@pipeline
def with_misspelt_setting():
    misspelt()

@pipeline
def with_parameters(epochs: int, name: str):
    trainer(epochs)
"""


def line_of(code: str) -> int:
    return next(number for number, line in enumerate(BROKEN.splitlines(), 1) if line.strip() == code)


FIX = "Fix the code of the pipeline: `{folder}/broken.py`, line {line}."


@pytest.mark.parametrize(
    ("step", "options", "hint"),
    [
        ("without_input.trainer", [], FIX.replace("line {line}", f"from line {line_of('def without_input():') - 1}")),
        ("with_wrong_input.trainer", [], FIX.replace("{line}", str(line_of('trainer("three")')))),
        ("raising.trainer", [], FIX.replace("{line}", str(line_of('{}["key"]')))),
        ("with_other_operator.elsewhere", [], "Activate the stack of the pipeline with `zenml stack set NAME`, or add"),
        ("with_tracker.tracked", [], "Activate the stack of the pipeline with `zenml stack set NAME`, or add"),
        ("with_parameters.trainer", [], "Set the parameters of the pipeline in a file as for `with_options("),
        ("with_parameters.trainer", ["--config", "half.yaml"], "Set the parameters of the pipeline in `half.yaml`"),
        ("with_parameters.trainer", ["--config", "bad.yaml"], "Fix the file `bad.yaml`: it has the format of"),
        ("with_parameters.trainer", ["--config", "list.yaml"], "Fix the file `list.yaml`: it has the format of"),
    ],
)
def test_the_hint_is_about_what_failed(training: Project, step: str, options: list[str], hint: str) -> None:
    for name, content in {
        "broken.py": BROKEN,
        "half.yaml": "parameters:\n  epochs: 1\n",
        "bad.yaml": "parameters: [1",
        "list.yaml": "- 1\n",
    }.items():
        (training.folder / name).write_text(content)

    refused = azureml(training, "spec", f"broken:{step}", *options)

    assert refused.returncode == 1
    assert f"Next steps: {hint.replace('{folder}', str(training.folder))}" in refused.stderr
    assert refused.stderr.count("--config FILE") == ("in a file" in hint)


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [("with_setting.unlimited", "timeout_minutes"), ("with_misspelt_setting.misspelt", "`compute_name`")],
)
def test_a_setting_that_is_wrong_is_named(training: Project, pipeline: str, said: str) -> None:
    (training.folder / "broken.py").write_text(BROKEN)

    refused = azureml(training, "spec", f"broken:{pipeline}")

    assert refused.returncode == 1
    assert said in refused.stderr
    assert "--config" not in refused.stderr


@pytest.mark.parametrize(
    ("module", "code", "hint"),
    [
        ("absent", None, "Run this command in the folder in which you run the pipeline."),
        ("other", "import no_such_package", "Install what has the module `no_such_package` in the environment of this"),
        ("other", "x = 1\n1 / 0", "Fix the code: `{folder}/other.py`, line 2."),
        ("other", "x = 1\ndef (", "Fix the code: `{folder}/other.py`, line 2."),
    ],
)
def test_a_module_that_cannot_be_imported_is_explained(
    training: Project, module: str, code: str | None, hint: str
) -> None:
    if code is not None:
        (training.folder / f"{module}.py").write_text(code)

    refused = azureml(training, "spec", f"{module}:training.trainer")

    assert refused.returncode == 1
    assert f"Next steps: {hint.replace('{folder}', str(training.folder))}" in refused.stderr


def test_the_job_of_a_past_step_run_is_the_one_that_was_submitted(training: Project, emulator: Emulator) -> None:
    training.run("from train import training\n\ntraining.with_options(unlisted=False)()")
    submitted = {job.properties["tags"]["zenml_step"]: job for job in jobs_of(emulator)}
    job = submitted["trainer"]

    by_name = yaml.safe_load(spec(training, "trainer"))
    by_job = yaml.safe_load(spec(training, job.name))

    assert by_name == by_job
    assert "In a key vault" not in spec(training, "trainer")  # what it was is known by now
    assert by_name["name"] == job.name
    assert by_name["command"] == job.properties["command"]
    assert by_name["display_name"] == job.properties["displayName"]
    assert by_name["tags"] == {k: v for k, v in job.properties["tags"].items() if not k.startswith("_aml_")}
    assert by_name["environment_variables"].keys() == job.properties["environmentVariables"].keys()
    assert job.properties["environmentId"].endswith(f"/environments/{environment_name(IMAGE)}/versions/1")
    assert by_name["environment"] == f"azureml:{environment_name(IMAGE)}:1"


def test_a_step_that_there_is_not_is_named_with_those_there_are(training: Project) -> None:
    unknown = azureml(training, "spec", "train:training.trainr")
    here = azureml(training, "spec", "train:training.reporter")
    never_ran = azureml(training, "spec", "trainer")

    assert "The pipeline `training` has no step `trainr`. It has `evaluator`, `reporter`, `trainer`." in unknown.stderr
    assert "The step `reporter` has no `step_operator`, so it runs in the orchestrator" in here.stderr
    assert "No run has a step `trainer` yet." in never_ran.stderr
    assert {unknown.returncode, here.returncode, never_ran.returncode} == {1}
