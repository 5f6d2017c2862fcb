"""Builds the request for a job from ZenML's data about a step run."""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from zenml.client import Client
from zenml.utils.dashboard_utils import get_run_url

from zenml_azureml import tags
from zenml_azureml.checkpoints import OUTPUT
from zenml_azureml.contract import mlflow
from zenml_azureml.contract.commands import rank_command
from zenml_azureml.contract.variables import HOLD_MINUTES, RANKS, SUBMITTED
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.run_store.job_names import job_name_of
from zenml_azureml.run_store.server import server_id
from zenml_azureml.secrets.classification import certain_secrets, secret_names
from zenml_azureml.specs.job import JobOptions, JobSpec
from zenml_azureml.specs.limits import DISPLAY_NAME_LENGTH, TAG_VALUE_LENGTH, shortened
from zenml_azureml.submission.stop_variables import run_mode_for, sampling_variables, stop_variables

if TYPE_CHECKING:
    from zenml.config import DockerSettings
    from zenml.config.step_run_info import StepRunInfo

DOCKER_IMAGE_KEY = "azureml_step_operator"

#: ZenML's rich tracebacks have frames and code of every level: too long for the end of a log in an error, and Azure ML
#: recognizes only Python's own tracebacks.
_PLAIN_TRACEBACKS = {"ZENML_ENABLE_RICH_TRACEBACK": "false"}

#: Names of steps that are valid names of folders. None begins or ends with a dot: `..` would lead out of the folder.
_LONGEST_PLAIN, _LONGEST_READABLE, _HASH_DIGITS = 128, 64, 16
_PLAIN_FOLDER = re.compile(rf"(?=.{{1,{_LONGEST_PLAIN}}}$)[a-zA-Z0-9_-]([a-zA-Z0-9._-]*[a-zA-Z0-9_-])?", re.ASCII)
_HASHED_FOLDER = re.compile(rf".*-[0-9a-f]{{{_HASH_DIGITS}}}")


@dataclass(frozen=True)
class StepFacts:
    """The data about a step run that its job needs.

    Attributes:
        pipeline: Name of the pipeline.
        run: Name of the run.
        run_id: Its id.
        run_tag: Key of the tag that only its jobs have.
        run_url: Its page in ZenML's dashboard; empty if there is none.
        step: Name of the step in the pipeline.
        step_run_id: Id of the step run.
        job_name: Name of the job.
        server_id: Id of the ZenML server.
        image: The image that the job runs.
        docker_settings: Docker settings of the step.
        run_mode: `dynamic`, or the execution mode of the run; empty if unknown.
        operator: Name of the step operator; empty if unknown.
    """

    pipeline: str
    run: str
    run_id: str
    run_tag: str
    run_url: str
    step: str
    step_run_id: str
    job_name: str
    server_id: str
    image: str
    docker_settings: DockerSettings
    run_mode: str = ""
    operator: str = ""


@dataclass(frozen=True)
class JobBuilder:
    """The facts of a step run that its jobs are built from.

    Attributes:
        info: The step run.
        command: Command of the job.
        environment: Environment variables from ZenML.
        operator: Name of the step operator.
    """

    info: StepRunInfo
    command: list[str]
    environment: dict[str, str]
    operator: str = ""

    def build(self, options: JobOptions, earlier_checkpoints: str = "") -> JobSpec:
        """Return the job of the step run.

        Args:
            options: Options from the step's settings.
            earlier_checkpoints: Address of the checkpoint folder that a job of an earlier step run has used; empty if
                unknown. An older version of this package may have given it another name.

        Returns:
            The whole request except for the compute.

        Raises:
            AzureMLError: If the step has no image.
        """
        facts = replace(_facts_of(self.info), operator=self.operator)
        request = request_for(facts, self.command, self.environment, options)
        return (
            replace(request, checkpoints=earlier_checkpoints or request.checkpoints) if request.checkpoints else request
        )


def request_for(
    facts: StepFacts, entrypoint_command: list[str], environment: dict[str, str], options: JobOptions
) -> JobSpec:
    """Return the job of a step from the data about it.

    Args:
        facts: The step and its run.
        entrypoint_command: Command of the job.
        environment: Environment variables from ZenML.
        options: Options from the step's settings.
    """
    job_tags = {
        tags.PIPELINE: shortened(facts.pipeline, TAG_VALUE_LENGTH),
        tags.RUN: shortened(facts.run, TAG_VALUE_LENGTH),
        tags.RUN_ID: facts.run_id,
        tags.STEP: shortened(facts.step, TAG_VALUE_LENGTH),
        tags.STEP_RUN_ID: facts.step_run_id,
        tags.SERVER_ID: facts.server_id,
        facts.run_tag: "",
    }
    if facts.operator:
        job_tags[tags.OPERATOR] = shortened(facts.operator, TAG_VALUE_LENGTH)
    if facts.run_url and len(facts.run_url) <= TAG_VALUE_LENGTH:  # a part of an address leads nowhere
        job_tags[tags.RUN_URL] = facts.run_url
    hold_minutes = f"{options.hold / timedelta(minutes=1):.10g}"
    if options.hold:
        job_tags[tags.HOLD] = hold_minutes
    of_image = _mlflow_variables(facts.docker_settings)
    variables = {**of_image, **options.docker_variables, **default_variables(facts.docker_settings), **environment}
    command = rank_command(entrypoint_command) if options.has_ranks else entrypoint_command
    if command != entrypoint_command:
        variables[RANKS] = "1"
    variables[SUBMITTED] = "1"
    if options.hold:
        variables[HOLD_MINUTES] = hold_minutes
    all_variables = {**variables, **options.environment_variables}
    variables |= mlflow.marker(all_variables)
    variables |= sampling_variables(facts.step_run_id, options)
    variables |= stop_variables(facts.step_run_id, facts.run_id, facts.run_mode, all_variables, options)
    return JobSpec(
        name=facts.job_name,
        display_name=_display_name(facts.step, facts.run),
        experiment=experiment_name(facts.pipeline),
        image=facts.image,
        command=shlex.join(command),
        environment_variables=variables,
        tags=job_tags,
        own_tag=tags.STEP_RUN_ID,
        secret_names=secret_names(all_variables) | options.secret_variables,
        certain_secret_names=certain_secrets(all_variables) | options.secret_variables,
        secret_tags={key: job_tags[key] for key in tags.OF_SECRETS},
        price_tag=tags.USD_PER_HOUR,
        options=options,
        checkpoints=checkpoints_uri(facts.run_id, facts.step) if options.checkpoints else None,
    )


def _display_name(step: str, run: str) -> str:
    """Return the default name of a job in Studio. Of a long one, the beginnings of the step and of the run are left."""
    whole = f"{step} ({run})"
    if len(whole) <= DISPLAY_NAME_LENGTH:
        return whole
    half = (DISPLAY_NAME_LENGTH - len(" ()")) // 2
    left_by_run = DISPLAY_NAME_LENGTH - len(" ()") - min(len(run), half)
    step = shortened(step, left_by_run)
    return f"{step} ({shortened(run, DISPLAY_NAME_LENGTH - len(' ()') - len(step))})"


def checkpoints_uri(run_id: str, step: str) -> str:
    """Return the address of a step's checkpoint folder: the same for all jobs of the step in its run, retries included.

    Args:
        run_id: Id of the run.
        step: Name of the step in the pipeline.
    """
    return f"azureml://datastores/workspaceblobstore/paths/zenml/{run_id}/{checkpoint_folder(step)}/{OUTPUT}"


def checkpoint_folder(step: str) -> str:
    """Return the name of a step's folder. Two steps of a run never share one, whatever their names are.

    A name that is valid in every storage stays unchanged, so that runs of older versions find their checkpoints. Any
    other name keeps its readable part and gets a hash, as does a name that looks like one with a hash.

    Args:
        step: Name of the step in the pipeline.
    """
    if _PLAIN_FOLDER.fullmatch(step) and not _HASHED_FOLDER.fullmatch(step):
        return step
    readable = re.sub(r"[^a-zA-Z0-9_]+", "-", step).strip("-")[:_LONGEST_READABLE]
    digest = hashlib.sha256(step.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{readable or 'step'}-{digest}"


def _facts_of(info: StepRunInfo) -> StepFacts:
    return StepFacts(
        pipeline=info.pipeline.name,
        run=info.run_name,
        run_id=str(info.run_id),
        run_tag=tags.of_run(info.run_id),
        run_url=_run_url(info.run_id) or "",
        step=info.pipeline_step_name,
        step_run_id=str(info.step_run_id),
        job_name=job_name_of(info.step_run_id),
        server_id=str(server_id()),
        image=_image_of(info),
        docker_settings=info.config.docker_settings,
        run_mode=run_mode_for(info),
    )


def default_variables(docker_settings: DockerSettings) -> dict[str, str]:
    """Return default environment variables of a job, for variables that ZenML and the step's settings do not set.

    Args:
        docker_settings: Docker settings of the step, whose variables take precedence.
    """
    return {name: value for name, value in _PLAIN_TRACEBACKS.items() if name not in docker_settings.environment}


def _mlflow_variables(docker_settings: DockerSettings) -> dict[str, str]:
    """Return the variables for MLflow that the image has from the Docker settings: Azure ML overwrites them there."""
    image = {**docker_settings.environment, **docker_settings.runtime_environment}
    return {name: str(image[name]) for name in mlflow.INJECTED if name in image}


def experiment_name(pipeline_name: str) -> str:
    """Return the experiment of a pipeline's jobs: the pipeline's name in the characters that Azure ML allows.

    Args:
        pipeline_name: Name of the pipeline.

    Returns:
        Letters, digits, `-` and `_`, beginning with a letter or digit; at most 255 characters.
    """
    return re.sub(r"[^a-zA-Z0-9_-]+", "-", pipeline_name).strip("-_")[:255] or "zenml"


@lru_cache(maxsize=16)
def _run_url(run_id: UUID) -> str | None:
    """Return the run's page in ZenML's dashboard; None without a server. Costs one request per run, not per step."""
    return get_run_url(Client().get_pipeline_run(run_id, hydrate=False))


def _image_of(info: StepRunInfo) -> str:
    try:
        return info.get_image(DOCKER_IMAGE_KEY)
    except (RuntimeError, KeyError) as error:
        name = info.pipeline_step_name
        if info.snapshot.is_dynamic:
            # ZenML's own message suggests that a user has deleted the build, which would mislead.
            raise AzureMLError(
                f"No image was built for step `{name}`: in dynamic pipelines ZenML only builds images for steps listed "
                "in `depends_on`.",
                hint=f"Add it: `@pipeline(dynamic=True, depends_on=[{name}])`.",
            ) from error
        raise AzureMLError(
            f"No image was built for step `{name}`: {error}", hint="Run the pipeline again without `build=`."
        ) from error
