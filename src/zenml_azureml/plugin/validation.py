"""What a stack needs to run steps on Azure ML. Each thing missing is told with the command that adds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zenml.stack import Stack


def check_stack(stack: Stack, *, jobs_run_here: bool) -> tuple[bool, str]:
    """Check that jobs get their image, and can read and write artifacts.

    Args:
        stack: The stack.
        jobs_run_here: Whether the workspace is emulated on this machine, whose own files and registry the jobs
            can reach.

    Returns:
        Whether the stack will do, and otherwise what is wrong and how to mend it.
    """
    if stack.image_builder is None:
        return False, (
            "The AzureML step operator runs each step in a Docker image, and the stack has no image builder to "
            "build it. Add one: `zenml image-builder register NAME --flavor=local`, then "
            f"`zenml stack update {stack.name} -i NAME`."
        )
    registry = stack.container_registry
    if registry is None:
        return False, (
            "The AzureML step operator runs each step in a Docker image that Azure ML pulls, and the stack has no "
            "container registry. Add one: `zenml container-registry register NAME --flavor=azure "
            f"--uri=REGISTRY.azurecr.io`, then `zenml stack update {stack.name} -c NAME`."
        )
    if jobs_run_here:
        return True, ""
    if registry.config.is_local:
        return False, (
            f"Azure ML cannot pull from the container registry `{registry.name}`, which is local to this machine. "
            "Use a remote one: `zenml container-registry register NAME --flavor=azure --uri=REGISTRY.azurecr.io`, "
            f"then `zenml stack update {stack.name} -c NAME`."
        )
    store = stack.artifact_store
    if store.config.is_local:
        return False, (
            f"A step on Azure ML cannot read or write the artifact store `{store.name}`, which is local to this "
            "machine. Use a remote one: `zenml artifact-store register NAME --flavor=azure --path=az://CONTAINER`, "
            f"then `zenml stack update {stack.name} -a NAME`."
        )
    return True, ""
