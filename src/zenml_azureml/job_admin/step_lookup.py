"""Look-up of a step: in a past run, or in a pipeline in the user's code."""

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
from zenml_azureml.job_admin.compile_advice import compile_advice, config_advice, import_advice, prepare_advice
from zenml_azureml.job_admin.inventory import is_id
from zenml_azureml.job_admin.server import no_such_run
from zenml_azureml.run_store.job_names import step_run_named_in

if TYPE_CHECKING:
    from zenml.models import PipelineSnapshotBase, StepRunResponse

    from zenml_azureml.step_operator import AzureMLStepOperator


def find_step_run(step: str, run: str | None) -> StepRunResponse:
    """Return a past step run.

    Args:
        step: Id of the step run, name of its job, or name of the step.
        run: Name or id of the run with the step; None for the latest run that has it.

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
        raise no_such_run(run) from error
    if step not in steps:
        raise AzureMLError(f"The run `{run}` has no step `{step}`. It has {_listed(steps)}.")
    return client.get_run_step(steps[step].id)


def compile_pipeline(path: str, config: Path | None) -> tuple[PipelineSnapshotBase, str]:
    """Compile a pipeline in the user's code for the active stack. Return it, and the name of the step.

    Args:
        path: `MODULE:PIPELINE.STEP`; instead of the module, it may name a file: `train.py:training.trainer`.
        config: A file for ZenML's `config_path`; None for none.

    Raises:
        AzureMLError: If there is no such pipeline or step, or it cannot be compiled.
    """
    module_name, _, rest = path.partition(":")
    name, _, step = rest.partition(".")
    if not (module_name and name and step):
        raise AzureMLError(f"`{path}` is not of the form `MODULE:PIPELINE.STEP`, e.g. `train:training.trainer`.")
    pipeline = _pipeline(module_name, name)
    run_configuration = PipelineRunConfiguration()
    if config is not None:
        try:
            pipeline = pipeline.with_options(config_path=str(config))
            run_configuration = PipelineRunConfiguration.from_yaml(str(config))
        except Exception as error:
            raise AzureMLError(
                f"Failed to read the run configuration file `{config}`: {_described(error)}", hint=config_advice(config)
            ) from error
    try:
        integration_registry.activate_integrations()
        pipeline.prepare()
    except Exception as error:
        raise _cannot_compile(name, error, prepare_advice(error, config, pipeline)) from error
    try:
        snapshot = Compiler().compile(
            pipeline=pipeline, stack=Client().active_stack, run_configuration=run_configuration
        )
    except Exception as error:
        raise _cannot_compile(name, error, compile_advice(error, pipeline)) from error
    if step not in snapshot.step_configurations:
        raise AzureMLError(
            f"The pipeline `{name}` has no step `{step}`. It has {_listed(snapshot.step_configurations)}."
        )
    return snapshot, step


def operator_for(wanted: str | bool | None, step: str, operators: list[AzureMLStepOperator]) -> AzureMLStepOperator:
    """Return the step operator of a step.

    Args:
        wanted: Value of `step_operator` in the step.
        step: Name of the step.
        operators: The step operators to choose from, the default one first.

    Raises:
        AzureMLError: If it is none of them, or the step runs in the orchestrator.
    """
    if not wanted:
        raise AzureMLError(
            f"The step `{step}` has no `step_operator`, so it runs in the orchestrator, not on Azure ML.",
            hint=f'To run it on Azure ML, write `@step(step_operator="{operators[0].name}")`.',
        )
    if wanted is True:
        return operators[0]
    for operator in operators:
        if operator.name == wanted:
            return operator
    raise AzureMLError(
        f"The step `{step}` runs on the step operator `{wanted}`, which is not an Azure ML step operator of the active "
        "stack.",
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
            f"Failed to import the module `{module_name}`: {_described(error)}",
            hint=import_advice(error, module_name),
        ) from error
    found: Any = getattr(module, name, None)
    if not isinstance(found, Pipeline):
        pipelines = [key for key, value in vars(module).items() if isinstance(value, Pipeline)]
        raise AzureMLError(f"`{module_name}` has no pipeline `{name}`. It has {_listed(pipelines)}.")
    return found


def _cannot_compile(name: str, error: Exception, hint: str) -> AzureMLError:
    return AzureMLError(f"Failed to compile the pipeline `{name}`: {_described(error)}", hint=hint)


def _described(error: Exception) -> str:
    """Return the kind of an error and its message: that of a `KeyError` is only the key."""
    return f"{type(error).__name__}: {error}"


def _listed(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
