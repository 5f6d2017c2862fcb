"""The step that somebody means: of a run of the past, or of a pipeline in their code."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zenml.client import Client
from zenml.config.compiler import Compiler
from zenml.config.pipeline_run_configuration import PipelineRunConfiguration
from zenml.integrations.registry import integration_registry
from zenml.pipelines.pipeline_definition import Pipeline

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.job_admin.inventory import is_id
from zenml_azureml.run_store.step_runs import step_run_named_in

if TYPE_CHECKING:
    from zenml.models import PipelineSnapshotBase, StepRunResponse

    from zenml_azureml.step_operator import AzureMLStepOperator


def find_step_run(step: str, run: str | None) -> StepRunResponse:
    """A step run of the past.

    Args:
        step: Id of the step run, name of its job, or name of the step.
        run: Name or id of the run that the step is of; None for the latest that has it.

    Raises:
        AzureMLError: If there is none.
    """
    client = Client()
    id_ = step_run_named_in(step)
    if is_id(id_):
        try:
            return client.get_run_step(UUID(id_))
        except KeyError as error:
            raise AzureMLError(f"The ZenML server has no step run `{id_}`.") from error
    if run is None:
        latest = client.list_run_steps(name=step, sort_by="desc:created", size=1, hydrate=True).items
        if not latest:
            raise AzureMLError(
                f"No run has a step `{step}` yet.",
                hint="Name the pipeline in your code: `zenml-azureml spec MODULE:PIPELINE.STEP`.",
            )
        return latest[0]
    try:
        steps = client.get_pipeline_run(run, allow_name_prefix_match=False).steps
    except KeyError as error:
        raise AzureMLError(f"The ZenML server has no run `{run}`.") from error
    if step not in steps:
        raise AzureMLError(f"The run `{run}` has no step `{step}`. It has {_listed(steps)}.")
    return client.get_run_step(steps[step].id)


def compile_pipeline(path: str, config: Path | None) -> tuple[PipelineSnapshotBase, str]:
    """A pipeline in somebody's code, compiled for the active stack, and the step of it that is meant.

    Args:
        path: `MODULE:PIPELINE.STEP`; in the place of the module, a file: `train.py:training.trainer`.
        config: A file that ZenML takes as `config_path`; None for none.

    Raises:
        AzureMLError: If there is no such pipeline or step, or it cannot be compiled.
    """
    module_name, _, rest = path.partition(":")
    name, _, step = rest.partition(".")
    if not (module_name and name and step):
        raise AzureMLError(f"`{path}` is not of the form `MODULE:PIPELINE.STEP`, e.g. `train:training.trainer`.")
    pipeline = _pipeline(module_name, name)
    try:
        run_configuration = PipelineRunConfiguration()
        if config is not None:
            pipeline = pipeline.with_options(config_path=str(config))
            run_configuration = PipelineRunConfiguration.from_yaml(str(config))
        integration_registry.activate_integrations()
        pipeline.prepare()
        snapshot = Compiler().compile(
            pipeline=pipeline, stack=Client().active_stack, run_configuration=run_configuration
        )
    except Exception as error:
        raise AzureMLError(
            f"The pipeline `{name}` cannot be compiled: {error}",
            hint="Its parameters and settings can be given in a file: `--config FILE`, as for `with_options("
            "config_path=...)`.",
        ) from error
    if step not in snapshot.step_configurations:
        raise AzureMLError(
            f"The pipeline `{name}` has no step `{step}`. It has {_listed(snapshot.step_configurations)}."
        )
    return snapshot, step


def operator_for(wanted: str | bool | None, step: str, operators: list[AzureMLStepOperator]) -> AzureMLStepOperator:
    """The step operator that a step runs on.

    Args:
        wanted: What the step says of it.
        step: Name of the step.
        operators: The step operators to choose from, the default one first.

    Raises:
        AzureMLError: If it is none of them, or the step runs in the orchestrator.
    """
    if not wanted:
        raise AzureMLError(
            f"The step `{step}` has no `step_operator`, so it runs in the orchestrator, not on Azure ML.",
            hint=f'To run it there, write `@step(step_operator="{operators[0].name}")`.',
        )
    if wanted is True:
        return operators[0]
    for operator in operators:
        if operator.name == wanted:
            return operator
    raise AzureMLError(
        f"The step `{step}` runs on the step operator `{wanted}`, which is not an Azure ML one of the active stack.",
        hint=f"Activate its stack with `zenml stack set NAME`, or name it: `--operator {wanted}`.",
    )


def _pipeline(module_name: str, name: str) -> Pipeline:
    if module_name.endswith(".py"):
        module_name = module_name.removesuffix(".py").removeprefix("./").replace("/", ".")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # as `python -m` has it
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise AzureMLError(
            f"The module `{module_name}` cannot be imported: {type(error).__name__}: {error}",
            hint="Run this in the folder that you run the pipeline in.",
        ) from error
    found: Any = getattr(module, name, None)
    if not isinstance(found, Pipeline):
        pipelines = [key for key, value in vars(module).items() if isinstance(value, Pipeline)]
        raise AzureMLError(f"`{module_name}` has no pipeline `{name}`. It has {_listed(pipelines)}.")
    return found


def _listed(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
