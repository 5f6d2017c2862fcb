"""Preview of the job of a step, without submitting it. Uses the same code as `submit`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zenml_azureml.azure.cli_hints import az_ml
from zenml_azureml.job_admin.launcher import command_of, environment_of, has_server, info_of
from zenml_azureml.lifecycle.cost_guard import bounded_as_first
from zenml_azureml.run_store.server import server_id
from zenml_azureml.run_store.step_runs import is_recorded, recorded_vault_secret
from zenml_azureml.secrets.classification import without_secrets
from zenml_azureml.secrets.redaction import (
    REDACTED,
    map_texts,
    redacted_docker_args,
    redacted_text,
    redacted_variables,
    without,
)
from zenml_azureml.settings.plan import resolve
from zenml_azureml.submission.exposure import is_certain_in_public
from zenml_azureml.submission.job_builder import JobBuilder, StepFacts, request_for
from zenml_azureml.submission.resources import demands_of
from zenml_azureml.submission.stop_variables import run_mode_of

if TYPE_CHECKING:
    from zenml.config.step_configurations import Step
    from zenml.models import PipelineSnapshotBase, StepRunResponse

    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.azure.compute.placement import Demands
    from zenml_azureml.settings.models import AzureMLStepOperatorSettings
    from zenml_azureml.specs.job import JobSpec
    from zenml_azureml.step_operator import AzureMLStepOperator

#: Placeholders for ids that are known at run time; ZenML's entrypoint accepts only ids.
_SNAPSHOT_ID, _STEP_RUN_ID = UUID(int=0xA1), UUID(int=0xA2)
#: Placeholder for the host of the key vault.
_KEY_VAULT = "KEY_VAULT"
_PLACEHOLDERS = {str(_SNAPSHOT_ID): "SNAPSHOT_ID", str(_STEP_RUN_ID): "STEP_RUN_ID"}


@dataclass(frozen=True)
class Preview:
    """A job that is not submitted.

    Attributes:
        document: The job, in the format that the Azure CLI creates jobs from.
        image: The image of its environment; a placeholder if it is not built yet.
        register: The command that registers its environment.
        is_built: True if that image is known.
        placeholders: Placeholders for values that are known at run time only.
        by_vault: Names of the environment variables that are in a key vault instead of the document.
        perhaps_by_vault: Names of those that are in a key vault only if one can be used.
        cost: What its cost limits mean for it, as a sentence; empty if it has none.
    """

    document: dict[str, Any]
    image: str
    register: str
    is_built: bool
    placeholders: tuple[str, ...] = ()
    by_vault: tuple[str, ...] = ()
    perhaps_by_vault: tuple[str, ...] = ()
    cost: str = ""


def preview_of_step_run(step_run: StepRunResponse, operator: AzureMLStepOperator) -> Preview:
    """Return the job of a past step run.

    Args:
        step_run: The step run.
        operator: The step operator that it ran on.

    Raises:
        AzureMLError: If its image is not known any more, or no VM size has its resources.
    """
    info = info_of(step_run)
    resolution = resolve(operator.get_settings(step_run))
    command = command_of(operator, step_run.config, step_run.name, info.snapshot.id, step_run.id)
    environment = environment_of(step_run.config.environment, REDACTED)
    request = JobBuilder(info, command, environment, operator.name).build(resolution.options)
    recorded = recorded_vault_secret(step_run)
    # A job that was submitted has already resolved `auto`.
    settled = bool(recorded) or is_recorded(step_run)
    return _preview(request, operator, step_run, is_built=True, vault_secret=recorded, settled=settled)


def preview_of_step(snapshot: PipelineSnapshotBase, step_name: str, operator: AzureMLStepOperator) -> Preview:
    """Return the job of a step in a compiled pipeline, with placeholders for values that are known at run time.

    Args:
        snapshot: The compiled pipeline.
        step_name: The step.
        operator: The step operator that it would run on.

    Raises:
        AzureMLError: If no VM size has its resources.
    """
    step: Step = snapshot.step_configurations[step_name]
    docker = step.config.docker_settings
    is_built = bool(docker.skip_build and docker.parent_image)
    facts = StepFacts(
        pipeline=snapshot.pipeline_configuration.name,
        run="RUN_NAME",
        run_id="RUN_ID",
        run_tag="zenml_run_RUN_ID",
        run_url="RUN_URL" if has_server() else "",
        step=step_name,
        step_run_id="STEP_RUN_ID",
        # In lower case, as Azure ML requires for names.
        job_name="zenml-step-run-id",
        server_id=str(server_id()),
        image=docker.parent_image if is_built and docker.parent_image else "IMAGE",
        docker_settings=docker,
        run_mode=run_mode_of(snapshot),
        operator=operator.name,
    )
    resolution = resolve(operator.get_settings(step))
    command = [
        _PLACEHOLDERS.get(word, word)
        for word in command_of(operator, step.config, step_name, _SNAPSHOT_ID, _STEP_RUN_ID)
    ]
    request = request_for(facts, command, environment_of(step.config.environment, REDACTED), resolution.options)
    placeholders = ["zenml-step-run-id", "STEP_RUN_ID", "RUN_ID", "RUN_NAME"]
    placeholders += ["SNAPSHOT_ID"] if "SNAPSHOT_ID" in command else []
    placeholders += ["RUN_URL"] if facts.run_url else []
    preview = _preview(request, operator, step, is_built=is_built)
    placeholders += preview.placeholders
    return replace(preview, placeholders=tuple(placeholders if is_built else [*placeholders, "IMAGE"]))


def _preview(
    request: JobSpec,
    operator: AzureMLStepOperator,
    step: Any,
    *,
    is_built: bool,
    vault_secret: str = "",
    settled: bool = False,
) -> Preview:
    settings = operator.get_settings(step)
    demands = demands_of(step.config.resource_settings, settings)
    resolution = resolve(settings)
    workspace = operator.workspace(settings)
    request, cost = _within_cost_limits(request, settings, workspace, demands)
    redacted, via = _redacted(request), request.options.secrets_via
    names = tuple(sorted(redacted_text(name) for name in request.secret_names))
    by_vault = bool(vault_secret) or (via == "key-vault" and bool(names))
    if by_vault:
        url = vault_secret or f"https://{_KEY_VAULT}/secrets/{request.name}"
        redacted = without_secrets(redacted, url, workspace.address.cloud.vault)
    compute = map_texts(resolution.compute, lambda _, text: redacted_text(text))
    document = workspace.preview(redacted, compute, demands)
    environment, _, version = str(document["environment"]).removeprefix("azureml:").rpartition(":")
    address, image = workspace.address, request.image
    return Preview(
        document,
        request.image,
        az_ml(address, "ml environment create", name=environment, version=version, image=image),
        is_built,
        placeholders=(_KEY_VAULT,) if by_vault and not vault_secret else (),
        by_vault=names if by_vault else (),
        perhaps_by_vault=names if via == "auto" and not (by_vault or settled) else (),
        cost=cost,
    )


def _within_cost_limits(
    request: JobSpec, settings: AzureMLStepOperatorSettings, workspace: Workspace, demands: Demands
) -> tuple[JobSpec, str]:
    """Return a job as its cost limits shorten it, with a sentence about that. Requests prices if it has limits."""
    if settings.max_usd is None and settings.max_usd_per_run is None:
        return request, ""
    likely = workspace.estimate(resolve(settings).compute, request.options, demands)
    return bounded_as_first(settings, request, likely.placement.usd_per_hour)


def _redacted(request: JobSpec) -> JobSpec:
    """Return a request without secrets."""
    options = request.options
    variables = {**request.environment_variables, **options.environment_variables}

    def safe(text: str) -> str:
        return redacted_text(without(text, variables))

    return replace(
        request,
        command=safe(request.command),
        environment_variables=redacted_variables(request.environment_variables),
        tags={safe(name): safe(value) for name, value in request.tags.items()},
        options=replace(
            map_texts(options, lambda _, text: safe(text), change_name=safe),
            environment_variables=redacted_variables(options.environment_variables),
            docker_args=options.docker_args and safe(redacted_docker_args(options.docker_args)),
            tags={safe(name): _redacted_tag(name, safe(value)) for name, value in options.tags.items()},
        ),
    )


def _redacted_tag(name: str, value: str) -> str:
    return REDACTED if is_certain_in_public(name, value) and value == redacted_text(value) else value
