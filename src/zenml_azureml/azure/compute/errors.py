"""Errors of computes, with Azure's message and the next steps. Pure."""

from __future__ import annotations

from typing import Any

from zenml_azureml.azure.cli_hints import az_ml
from zenml_azureml.azure.compute.state import ComputeKind, FoundCompute, is_known, kind_in_words
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.azure.refusals.lookup import recognised_in
from zenml_azureml.azure.sizes.quota import HOW_TO_GET_MORE
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.compute import ComputeCluster, ComputeInstance, ExistingCompute


def wanted_kind(request: ComputeInstance | ComputeCluster | ExistingCompute) -> ComputeKind | None:
    """Return the kind of compute that a step requests; None if it accepts any."""
    if isinstance(request, ComputeInstance):
        return "compute-instance"
    return "compute-cluster" if isinstance(request, ComputeCluster) else None


def missing(name: str, address: WorkspaceAddress) -> AzureMLError:
    """Return the error if there is no compute of that name, and none is to be created."""
    return AzureMLError(
        f"There is no compute target named `{name}` in the workspace `{address.name}`.",
        hint="Correct `compute_target_name`. Or, to create the compute, set `mode` to `compute-instance` or "
        f"`compute-cluster` and `compute_name` to {name!r}.",
    )


def bad_name(name: str) -> AzureMLError:
    """Return the error if no compute has a name, and Azure ML creates none with it."""
    return AzureMLError(
        f"There is no compute named `{name}`, and Azure ML creates none with that name: the name of a new compute "
        "instance or cluster has 3 to 24 letters, digits and hyphens, begins with a letter, and does not end in a "
        "hyphen and a number (`ci-1`).",
        hint="Set `compute_name` to the name of an existing compute, or to another name.",
    )


def wrong_kind(wanted: ComputeKind, found: FoundCompute, azure_type: str) -> AzureMLError:
    """Return the error if the compute of that name has another kind than the step's mode.

    Args:
        wanted: The step's mode.
        found: The compute.
        azure_type: Azure's name of its kind, if no mode stands for that.
    """
    has = f"{kind_in_words(found.kind)} (`mode={found.kind!r}`)" if has_mode(found) else azure_type
    if found.kind == "kubernetes":
        has = kind_in_words(found.kind)
    advice = f"Set `mode={found.kind!r}`, or another `compute_name`." if has_mode(found) else ""
    if found.kind == "kubernetes":
        advice = f"Remove `mode` and set `compute_target_name` to {found.name!r}, or set another `compute_name`."
    return AzureMLError(
        f"The step requests a {kind_in_words(wanted)} (`mode={wanted!r}`) named `{found.name}`, but the workspace has "
        f"a compute of that name that is a {has}.",
        hint=advice or "Set another `compute_name`.",
    )


def has_mode(found: FoundCompute) -> bool:
    """Return True if one of the step operator's modes stands for that kind of compute."""
    return found.kind in ("compute-instance", "compute-cluster")


def cannot_run_jobs(found: FoundCompute, azure_type: str) -> AzureMLError:
    """Return the error if command jobs do not run on that kind of compute."""
    return AzureMLError(
        f"The compute target `{found.name}` is of the type {azure_type}, on which Azure ML runs no command jobs.",
        hint="Name a compute instance, a compute cluster or a Kubernetes compute.",
    )


def unusable(found: FoundCompute, azure_message: str, address: WorkspaceAddress) -> AzureMLError:
    """Return the error if the compute is in a state in which it runs no jobs and which it does not leave by itself.

    Args:
        found: The compute.
        azure_message: Azure's message about it.
        address: Its workspace.
    """
    if found.condition == "Stopped":
        start = az_ml(address, "ml compute start", name=found.name)
        return AzureMLError(
            f"The {found.label} is stopped, and `start_stopped_instance` does not allow the operator to start it.",
            hint=f"Set `start_stopped_instance=True`, or start it:\n{start}",
        )
    if not is_known(found):
        return AzureMLError(
            f"The {found.label} is in a state that this version of the operator does not know: {found.condition}.",
            azure_message=azure_message,
            hint="Check it in Azure ML Studio. If it does run jobs, a newer version may know the state.",
        )
    delete = f"delete it and run the step again to recreate it:\n{az_ml(address, 'ml compute delete', name=found.name)}"
    advice = f"{delete[0].upper()}{delete[1:]}"
    if found.condition in ("SetupFailed", "UserSetupFailed", "Unusable"):
        advice = (
            f"Restart it:\n{az_ml(address, 'ml compute restart', name=found.name)}\nIf that does not help, {delete}"
        )
    return AzureMLError(
        f"The {found.label} cannot run jobs: it is {found.condition}.",
        azure_message=azure_message,
        hint=_after_refusal(azure_message, found, address) or _with_quota(azure_message, advice),
    )


def after_refused_creation(azure_message: str) -> str:
    """Return the next steps after a creation that Azure refused, as sentences.

    Args:
        azure_message: Azure's message.
    """
    return _with_quota(azure_message, "Correct what Azure names above, and run the step again.")


def left_behind(label: str, found: FoundCompute | None, address: WorkspaceAddress) -> str:
    """Return the next steps about a compute that a failed creation left, as sentences.

    Args:
        label: The compute.
        found: It, as it was left; None if there is none, for which nothing is to be done.
        address: Its workspace.
    """
    if found is None:
        return ""
    delete = az_ml(address, "ml compute delete", name=found.name)
    return f"The {label} stays in the workspace as {found.condition}. Delete it first:\n{delete}"


def vanished(label: str) -> AzureMLError:
    """Return the error if the compute was deleted while the operator prepared it."""
    return AzureMLError(
        f"The {label} was created for the step, and deleted by another user or process before the step could use it.",
        hint="Find out why it was deleted, and run the step again.",
    )


def other_size(wanted: str, made: FoundCompute, address: WorkspaceAddress) -> AzureMLError:
    """Return the error if Azure has created a compute of another size than the requested one."""
    delete = az_ml(address, "ml compute delete", name=made.name)
    return AzureMLError(
        f"Azure has created the {made.label} with the size {made.size} instead of {wanted}.",
        hint=f"To use it unchanged, run the step again. To delete it:\n{delete}",
    )


def errors_of(body: dict[str, Any]) -> str:
    """Return Azure's error messages about a compute.

    Args:
        body: The compute as Resource Manager returns it: `properties.provisioningErrors` and, for an instance,
            `properties.properties.errors`, each with `error.code` and `error.message`
            (source: Microsoft's description of the API).

    Returns:
        All of them in one line; empty if there are none.
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


def _after_refusal(azure_message: str, compute: FoundCompute, address: WorkspaceAddress) -> str:
    found = recognised_in(azure_message)
    if found is None:
        return ""
    delete = az_ml(address, "ml compute delete", name=compute.name)
    return f"{found.advice(address)}\nTo delete the {compute.label}:\n{delete}"


def _with_quota(azure_message: str, advice: str) -> str:
    if "quota" not in azure_message.lower():
        return advice
    return f"Request more quota ({HOW_TO_GET_MORE}), or set a smaller `size`.\n{advice}"
