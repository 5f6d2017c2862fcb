"""The job that checks itself, built as the jobs of steps are."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from zenml_azureml import tags
from zenml_azureml.contract.checks import CANARY, CHECKS
from zenml_azureml.doctor.run_job.command import command
from zenml_azureml.run_store.job_names import job_name_of
from zenml_azureml.specs.job import JobOptions, JobSpec
from zenml_azureml.submission.job_builder import StepFacts, request_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zenml.config import DockerSettings

#: Name of the pipeline and of the run that the tags of such a job show.
PIPELINE: Final = "zenml-azureml-doctor"

#: Longest time for which such a job runs. Azure ML ends it then, also if this process is gone.
LONGEST: Final = timedelta(minutes=15)

#: Longest time for which the nodes of a job wait for each other.
NODES_WAIT: Final = timedelta(minutes=3)


@dataclass(frozen=True)
class Origin:
    """Where a job of the doctor comes from.

    Attributes:
        step: Name of the step that it imitates; empty for the step operator itself.
        operator: Name of the step operator.
        server_id: Id of the ZenML server.
        image: The image.
        docker: Docker settings.
        store: Id of the artifact store; empty for none.
    """

    step: str
    operator: str
    server_id: str
    image: str
    docker: DockerSettings
    store: str = ""


def options_of(options: JobOptions) -> JobOptions:
    """Return the options of a step's job for one that only checks itself, and for a short time.

    Args:
        options: The options of the step.
    """
    short = replace(options, display_name=None, description=None, services=(), timeout=LONGEST)
    return replace(short, stop_check_seconds=0, sampling=False)


def check_job(
    origin: Origin, environment: Mapping[str, str], options: JobOptions, *, wait: timedelta = NODES_WAIT
) -> JobSpec:
    """Return the job.

    Its tags name a step run that the server does not have. So `zenml-azureml jobs cancel --orphans` ends it, and
    deletes its secret, if this process is killed.

    Args:
        origin: Where it comes from.
        environment: Environment variables from ZenML.
        options: Its options, without references to secrets.
        wait: Longest time for which its nodes wait for each other.
    """
    step_run_id, run_id, canary = uuid4(), uuid4(), secrets.token_hex(16)
    facts = StepFacts(
        pipeline=PIPELINE,
        run="doctor",
        run_id=str(run_id),
        run_tag=tags.of_run(run_id),
        run_url="",
        step=origin.step or "check",
        step_run_id=str(step_run_id),
        job_name=job_name_of(step_run_id),
        server_id=origin.server_id,
        image=origin.image,
        docker_settings=origin.docker,
        operator=origin.operator,
    )
    spec = request_for(facts, command(), {**environment, CANARY: canary}, options)
    secret_names = spec.secret_names | {CANARY}
    ray = options.distribution is not None and options.distribution.type == "ray"
    wanted = {
        "nodes": 1 if ray else options.instance_count or 1,
        "wait": wait.total_seconds(),
        "checkpoints": options.checkpoints,
        "store": origin.store,
        "secrets": sorted(secret_names),
        "digest": hashlib.sha256(canary.encode()).hexdigest(),
    }
    return replace(
        spec,
        environment_variables={**spec.environment_variables, CHECKS: json.dumps(wanted)},
        secret_names=secret_names,
        certain_secret_names=spec.certain_secret_names | {CANARY},
    )


def run_tag(spec: JobSpec) -> str:
    """Return the key of the tag that only this job has."""
    return tags.of_run(UUID(spec.tags[tags.RUN_ID]))
