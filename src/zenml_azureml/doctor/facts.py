"""Facts about a step operator, from ZenML and this machine."""

from __future__ import annotations

import os
import platform
import subprocess
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Any, TypeVar

from packaging.requirements import Requirement
from zenml.client import Client
from zenml.enums import StackComponentType, StoreType
from zenml.integrations.azure.flavors import AzureMLStepOperatorFlavor as FlavorInUse
from zenml.stack import StackComponent

from zenml_azureml.doctor import environment
from zenml_azureml.doctor.checks.architecture import ImageBuilder
from zenml_azureml.doctor.checks.artifact_store import ArtifactStore
from zenml_azureml.doctor.checks.compute import ConfiguredCompute
from zenml_azureml.doctor.checks.registry import StackRegistry
from zenml_azureml.doctor.checks.server import Server
from zenml_azureml.doctor.checks.versions import Versions
from zenml_azureml.doctor.result import Problem
from zenml_azureml.plugin.flavor import AzureMLStepOperatorFlavor
from zenml_azureml.plugin.requirements import DISTRIBUTION_NAME, pip_target
from zenml_azureml.safe_text import one_line
from zenml_azureml.settings.plan import resolve
from zenml_azureml.specs.compute import ComputeCluster, ComputeInstance, ComputeSpec, ExistingCompute

if TYPE_CHECKING:
    from zenml.models import ComponentResponse, StackResponse

    from zenml_azureml.step_operator import AzureMLStepOperator

T = TypeVar("T")

#: Seconds that an artifact store may take to answer.
_STORE_TIMEOUT = 30

#: The command lines of the container engines that ZenML builds images with.
_ENGINES = ("docker", "podman")


def stack_of(operator: AzureMLStepOperator) -> StackResponse | None:
    """Return the stack of a step operator: the active one, or else the first that has it; None if none has it."""
    active = Client().active_stack_model
    if any(component.id == operator.id for component in _components(active, StackComponentType.STEP_OPERATOR)):
        return active
    stacks = Client().list_stacks(component_id=operator.id, hydrate=True)
    return stacks.items[0] if stacks.items else None


def versions() -> Versions:
    """Return the installed versions, on this machine and on the server."""
    wanted: dict[str, str] = {}
    for line in requires(DISTRIBUTION_NAME) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            wanted[requirement.name] = str(requirement.specifier)
    return Versions(
        python=platform.python_version(),
        own=version(DISTRIBUTION_NAME),
        installed={name: _installed(name) for name in wanted},
        wanted=wanted,
        is_ours=issubclass(FlavorInUse, AzureMLStepOperatorFlavor),
        server=_server_version(),
        source=pip_target(),
        conflicts=environment.conflicts(),
    )


def connector_expires_at(operator: AzureMLStepOperator) -> datetime | None:
    """Return when a step operator's service connector expires for good; None if never, or without a connector."""
    if not operator.connector:
        return None
    try:
        expires_at = Client().get_service_connector(str(operator.connector)).expires_at
    except Exception:  # noqa: BLE001 - the check of the sign-in reports it
        return None
    return None if expires_at is None else expires_at.replace(tzinfo=expires_at.tzinfo or timezone.utc)


def configured_compute(operator: AzureMLStepOperator) -> ConfiguredCompute:
    """Return the compute that a step operator's configuration names for all of its steps."""
    asked: ComputeSpec = resolve(operator.default_settings()).compute
    if isinstance(asked, ExistingCompute):
        return ConfiguredCompute(asked.name)
    if isinstance(asked, ComputeInstance):
        return ConfiguredCompute(asked.name, "compute instance", is_made=True, size=asked.size or "")
    if isinstance(asked, ComputeCluster):
        return ConfiguredCompute(
            asked.name,
            "compute cluster",
            is_made=True,
            size=asked.size or "",
            low_priority=asked.tier == "low_priority",
            nodes=max(1, asked.min_instances or 0),
        )
    return ConfiguredCompute()


def container_registry(stack: StackResponse) -> StackRegistry | None:
    """Return the container registry of a stack; None if it has none."""
    for component in _components(stack, StackComponentType.CONTAINER_REGISTRY):
        registry: Any = StackComponent.from_model(component)
        return StackRegistry(component.name, registry.config.uri, registry.config.is_local)
    return None


def artifact_store(stack: StackResponse) -> ArtifactStore | Problem:
    """Return the artifact store of a stack, and if it can be read from this machine."""
    (component,) = _components(stack, StackComponentType.ARTIFACT_STORE)
    path = str(component.configuration.get("path") or "")
    try:
        store: Any = StackComponent.from_model(component)
    except Exception as error:  # noqa: BLE001 - each kind of store fails differently if its packages are missing
        return ArtifactStore(component.name, path, is_local=False, cannot_load=_one_line(error))
    facts = ArtifactStore(component.name, store.path, store.config.is_local)
    try:
        there = _within(_STORE_TIMEOUT, lambda: store.exists(store.path))
    except Exception as error:  # noqa: BLE001 - as above
        return ArtifactStore(component.name, store.path, facts.is_local, problem=_one_line(error))
    return facts if there else ArtifactStore(component.name, store.path, facts.is_local, problem="it does not exist.")


def server() -> Server | Problem:
    """Return the ZenML server or the database of this client."""
    try:
        store = Client().zen_store
        store.get_store_info()
    except Exception as error:  # noqa: BLE001 - each kind of store and network fails differently
        return Problem(f"The ZenML server is unavailable: {_one_line(error)}", "Check the connection: `zenml status`.")
    return Server(store.url, store.type is StoreType.SQL)


def image_builder(stack: StackResponse) -> ImageBuilder | None:
    """Return the image builder of a stack; None if it has none."""
    for component in _components(stack, StackComponentType.IMAGE_BUILDER):
        if component.flavor_name != "local":
            return ImageBuilder(component.name, builds_here=False)
        # Only the command line uses the variable; ZenML's own client of the engine ignores it.
        uses_variable = bool(component.configuration.get("use_subprocess_call"))
        wanted = os.environ.get("DOCKER_DEFAULT_PLATFORM", "") if uses_variable else ""
        architecture, no_engine = _engine_architecture()
        return ImageBuilder(component.name, True, architecture, no_engine, wanted, _latest_run_platform(stack))
    return None


def _latest_run_platform(stack: StackResponse) -> str:
    """Return the platform in the `DockerSettings` of the latest run on a stack; empty for none."""
    for run in Client().list_pipeline_runs(stack_id=stack.id, sort_by="desc:created", size=1, hydrate=True).items:
        build_config = run.config.docker_settings.build_config
        options = build_config.build_options if build_config else None
        return str(getattr(options, "platform", None) or "")
    return ""


def _engine_architecture() -> tuple[str, str]:
    """Return the architecture of the first engine that answers, or else the reason why none does."""
    problem = "neither `docker` nor `podman` is installed."
    for program in _ENGINES:
        command = [program, "version", "--format", "{{.Server.Arch}}" if program == "docker" else "{{.Client.OsArch}}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        except FileNotFoundError:
            continue
        except subprocess.TimeoutExpired:
            problem = f"`{program}` does not answer."
            continue
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip().rpartition("/")[2], ""
        problem = one_line(done.stderr) or f"`{program} version` failed."
    return "", problem


def _components(stack: StackResponse, kind: StackComponentType) -> list[ComponentResponse]:
    return list(stack.components.get(kind, []))


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _server_version() -> str:
    try:
        store = Client().zen_store
        return "" if store.type is StoreType.SQL else str(store.get_store_info().version)
    except Exception:  # noqa: BLE001 - the check of the server reports it
        return ""


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Return the result of some work, if it is done in time.

    Raises:
        TimeoutError: If it is not. The work continues until the process ends.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised below, in the waiting thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:.0f} s.")
    return results[0]


def _one_line(error: Exception) -> str:
    return one_line(str(error)) or type(error).__name__
