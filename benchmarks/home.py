"""A ZenML of the benchmarks' own: its database, its step operators, and step runs to try them on."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks.emulator_process import subscription_of

#: Environment variables that would lead ZenML or Azure's clients elsewhere.
_FOREIGN = ("ZENML", "AZURE", "OTEL", "MSI_", "IDENTITY_", "ARM_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")

#: Measurements run side by side, and a process has one active stack.
_ONE_RUN_AT_A_TIME = threading.Lock()

KINDS = {"ours": "azureml", "builtin": "azureml-built-in", "none": "no-op"}


def set_environment(folder: Path, variables: Mapping[str, str]) -> None:
    """Have ZenML and Azure's clients in this process, and those it starts, see nothing else. Before ZenML's import."""
    for name in list(os.environ):
        if name.upper().startswith(_FOREIGN):
            del os.environ[name]
    os.environ.update(
        {
            "HOME": str(folder),
            "ZENML_CONFIG_PATH": str(folder / "zenml"),
            "ZENML_REPOSITORY_PATH": str(folder),
            "ZENML_ANALYTICS_OPT_IN": "false",
            "ZENML_LOGGING_VERBOSITY": "ERROR",
            "ZENML_LOGGING_COLORS_DISABLED": "true",
            **variables,
        }
    )


@cache
def _spare_the_disk() -> None:
    """Have ZenML's database not wait for the disk in this process: how slow that is would be in every number."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def _hurry(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")


def make_home(folder: Path) -> None:
    """Register the flavors, and what every stack has."""
    (folder / ".zen").mkdir()
    _spare_the_disk()
    from zenml.client import Client
    from zenml.enums import StackComponentType as Type
    from zenml.utils import source_utils

    source_utils.set_custom_source_root(str(Path(__file__).parents[1]))
    client = Client()
    client.create_flavor("benchmarks.flavors.BuiltInFlavor", Type.STEP_OPERATOR)
    client.create_flavor("benchmarks.flavors.NoOperatorFlavor", Type.STEP_OPERATOR)
    client.create_stack_component("files", "local", Type.ARTIFACT_STORE, {"path": str(folder / "artifacts")})
    client.create_stack_component("builder", "local", Type.IMAGE_BUILDER, {})
    client.create_stack_component("registry", "default", Type.CONTAINER_REGISTRY, {"uri": "example.azurecr.io"})


def operator(kind: str, workspace: str = "", **configuration: Any) -> Any:
    """A new step operator of a kind (of `KINDS`) for a workspace."""
    _spare_the_disk()
    from zenml.client import Client
    from zenml.enums import StackComponentType as Type
    from zenml.stack import StackComponent

    address = {}
    if workspace:
        address = {"subscription_id": subscription_of(workspace), "resource_group": "bench"}
        address |= {"workspace_name": workspace}
    name = f"{kind}-{uuid4().hex[:8]}"
    model = Client().create_stack_component(name, KINDS[kind], Type.STEP_OPERATOR, {**address, **configuration})
    return StackComponent.from_model(model)


def activate(step_operator: Any) -> None:
    """Have pipelines run on it."""
    from zenml.client import Client
    from zenml.enums import StackComponentType as Type

    names: dict[Any, Any] = {Type.ORCHESTRATOR: "default", Type.ARTIFACT_STORE: "files", Type.IMAGE_BUILDER: "builder"}
    names |= {Type.CONTAINER_REGISTRY: "registry", Type.STEP_OPERATOR: step_operator.name}
    Client().create_stack(f"stack-{step_operator.name}", names)
    Client().activate_stack(f"stack-{step_operator.name}")


def step_run_infos(number: int) -> list[Any]:
    """What ZenML hands to step operators for so many steps: real step runs, submitted to nobody."""
    from benchmarks.flavors import NoOperator
    from benchmarks.pipelines import run_commands

    with _ONE_RUN_AT_A_TIME:
        activate(operator("none"))
        NoOperator.submitted.clear()
        run_commands(number)
        return list(NoOperator.submitted)


def sdk_client(step_operator: Any) -> Any:
    """The SDK's client of a step operator's workspace, as anybody makes one."""
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    config = step_operator.config
    address = (config.subscription_id, config.resource_group, config.workspace_name)
    return MLClient(DefaultAzureCredential(), *address, cloud="AzureCloud")


def submit(step_operator: Any, info: Any, environment: Mapping[str, str]) -> str:
    """Submit a step; returns the name of its job."""
    step_operator.submit(info, ["python", "-c", "pass"], {"BENCH": "1", **environment})
    metadata = info.step_run.run_metadata
    return str(metadata.get("azureml_job_name") or metadata["job_name"])
