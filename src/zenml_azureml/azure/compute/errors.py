"""Why a compute cannot be had, in Azure's own words, and what to do next. Pure."""

from __future__ import annotations

from typing import Any

from zenml_azureml.azure.compute.state import ComputeKind, FoundCompute, is_known, kind_in_words
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.azure.sizes.quota import HOW_TO_GET_MORE
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.compute import ComputeCluster, ComputeInstance, ExistingCompute


def wanted_kind(request: ComputeInstance | ComputeCluster | ExistingCompute) -> ComputeKind | None:
    """The kind of compute that a step asks for; None where any will do."""
    if isinstance(request, ComputeInstance):
        return "compute-instance"
    return "compute-cluster" if isinstance(request, ComputeCluster) else None


def az_compute(verb: str, name: str, address: WorkspaceAddress) -> str:
    """The command that does something to a compute by hand: `start`, `restart`, `delete`."""
    return (
        f"az ml compute {verb} --name {name} --workspace-name {address.name} "
        f"--resource-group {address.resource_group} --subscription {address.subscription_id}"
    )


def missing(name: str, address: WorkspaceAddress) -> AzureMLError:
    """There is no compute of that name, and none is to be created."""
    return AzureMLError(
        f"There is no compute target named `{name}` in the workspace `{address.name}`.",
        hint="Correct `compute_target_name`; or, to have it created, set `mode` to `compute-instance` or "
        f"`compute-cluster` and `compute_name` to {name!r}.",
    )


def wrong_kind(wanted: ComputeKind, found: FoundCompute, azure_type: str) -> AzureMLError:
    """The compute of that name is of another kind than the step's mode.

    Args:
        wanted: The step's mode.
        found: The compute.
        azure_type: Azure's own word for its kind, for what has no mode.
    """
    has = f"{kind_in_words(found.kind)} (`mode={found.kind!r}`)" if has_mode(found) else azure_type
    advice = f"Set `mode={found.kind!r}`, or another `compute_name`." if has_mode(found) else ""
    if found.kind == "kubernetes":
        advice = f"Leave `mode` away and set `compute_target_name` to {found.name!r}, or set another `compute_name`."
    return AzureMLError(
        f"The step asks for a {kind_in_words(wanted)} (`mode={wanted!r}`) named `{found.name}`, but the workspace has "
        f"a compute of that name that is a {has}.",
        hint=advice or "Set another `compute_name`.",
    )


def has_mode(found: FoundCompute) -> bool:
    """Whether one of the step operator's modes stands for that kind of compute."""
    return found.kind in ("compute-instance", "compute-cluster")


def cannot_run_jobs(found: FoundCompute, azure_type: str) -> AzureMLError:
    """The compute is of a kind that command jobs do not run on."""
    return AzureMLError(
        f"The compute target `{found.name}` is of the type {azure_type}, on which Azure ML runs no command jobs.",
        hint="Name a compute instance, a compute cluster or a Kubernetes compute.",
    )


def unusable(found: FoundCompute, azure_message: str, address: WorkspaceAddress) -> AzureMLError:
    """The compute is in a state in which no job will run on it, and none that it leaves by itself.

    Args:
        found: The compute.
        azure_message: Azure's own account of it.
        address: Its workspace.
    """
    if found.condition == "Stopped":
        return AzureMLError(
            f"The {found.label} is stopped, and it is not to be started: `start_stopped_instance` is off.",
            hint=f"Set `start_stopped_instance=True`, or start it: {az_compute('start', found.name, address)}",
        )
    if not is_known(found):
        return AzureMLError(
            f"The {found.label} is in a state that this version of the step operator does not know: {found.condition}.",
            azure_message=azure_message,
            hint="Look at it in Azure ML Studio. If it does run jobs, a newer version of this package may know it.",
        )
    delete = f"delete it, and have it created again: {az_compute('delete', found.name, address)}"
    advice = f"{delete[0].upper()}{delete[1:]}"
    if found.condition in ("SetupFailed", "UserSetupFailed", "Unusable"):
        advice = f"Restart it: {az_compute('restart', found.name, address)}\nIf that does not help, {delete}"
    return AzureMLError(
        f"The {found.label} cannot run jobs: it is {found.condition}.",
        azure_message=azure_message,
        hint=_with_quota(azure_message, advice),
    )


def after_failed_creation(
    label: str, azure_message: str, left_behind: FoundCompute | None, address: WorkspaceAddress
) -> str:
    """What to do after a creation that failed, as sentences.

    Args:
        label: The compute.
        azure_message: Why it failed.
        left_behind: What there is of it now.
        address: Its workspace.
    """
    advice = "Change what Azure names above, and run the step again."
    if left_behind is not None:
        advice += (
            f"\nThe {label} stays in the workspace as {left_behind.condition}. Delete it first: "
            f"{az_compute('delete', left_behind.name, address)}"
        )
    return _with_quota(azure_message, advice)


def vanished(label: str) -> AzureMLError:
    """The compute was deleted while it was being made ready."""
    return AzureMLError(
        f"The {label} was created for the step, and deleted by somebody else before the step could use it.",
        hint="Find out who deletes it, and run the step again.",
    )


def other_size(wanted: str, made: FoundCompute, address: WorkspaceAddress) -> AzureMLError:
    """Azure has made a compute of another size than the one that was asked for."""
    return AzureMLError(
        f"Azure has made the {made.label} of the size {made.size} instead of {wanted}.",
        hint=f"Use it as it is by running the step again, or delete it: {az_compute('delete', made.name, address)}",
    )


def errors_of(body: dict[str, Any]) -> str:
    """What Azure says went wrong with a compute.

    Args:
        body: The compute as Resource Manager answers it: `properties.provisioningErrors` and, for an instance,
            `properties.properties.errors`, each with `error.code` and `error.message`
            (source: Microsoft's description of the API).

    Returns:
        All of it in one line; empty if Azure says nothing.
    """
    outer = body.get("properties") or {}
    inner = outer.get("properties") or {}
    errors = [*(outer.get("provisioningErrors") or []), *(inner.get("errors") or [])]
    said = [_words(entry.get("error") or {}) for entry in errors]
    last = inner.get("lastOperation") or {}
    if str(last.get("operationStatus", "")).endswith("Failed"):
        said.append(f"Its last operation, {last.get('operationName')}, ended as {last['operationStatus']}.")
    return " ".join(dict.fromkeys(said))


def _words(error: dict[str, Any]) -> str:
    return f"({error.get('code')}) {error.get('message') or ''}".strip()


def _with_quota(azure_message: str, advice: str) -> str:
    if "quota" not in azure_message.lower():
        return advice
    return f"Ask for more quota ({HOW_TO_GET_MORE}), or set a smaller `size`.\n{advice}"
