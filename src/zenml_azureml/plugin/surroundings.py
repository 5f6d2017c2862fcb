"""The process in which a step operator is created: reports where ZenML does not use it as the user expects."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping

from zenml.logger import get_logger

from zenml_azureml.contract.variables import is_job_of_built_in
from zenml_azureml.plugin.console import replace_what_cannot_be_encoded

logger = get_logger(__name__)

#: In the command of each process that serves a deployed pipeline: of ZenML's local deployer and of its container ones.
_DEPLOYMENT_SERVER = "zenml.deployers.server"

BUILT_IN_SUBMITTED = (
    "This Azure ML job was submitted by ZenML's built-in step operator, not by zenml-azureml, so settings that only "
    "zenml-azureml has were ignored. To use it, install zenml-azureml where the run is submitted: in the image of the "
    "orchestrator or of the server's runner (docs/deployment.md, section `Runs that a server starts`)."
)

IN_DEPLOYMENT = (
    "This is a deployed pipeline: ZenML runs all its steps inside this process, also those with the step operator "
    "`{operator}`. None of them runs on Azure ML."
)

_reported: set[str] = set()


def report(operator: str) -> None:
    """Prepare the console, and log, once for each process, if ZenML runs steps in it without this step operator.

    Args:
        operator: Name of the step operator.
    """
    replace_what_cannot_be_encoded()
    for message in messages(operator, os.environ, sys.orig_argv):
        if message not in _reported:
            _reported.add(message)
            logger.warning(message)


def messages(operator: str, environment: Mapping[str, str], command: Iterable[str]) -> list[str]:
    """Return the messages for a process.

    Args:
        operator: Name of the step operator.
        environment: Environment variables of the process.
        command: Its command line.
    """
    found = [BUILT_IN_SUBMITTED] if is_job_of_built_in(environment) else []
    if any(_DEPLOYMENT_SERVER in word for word in command):
        found.append(IN_DEPLOYMENT.format(operator=operator))
    return found
