"""Checks that a stack can run steps on Azure ML. Each message has the command that adds the missing component."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zenml.stack import Stack


def check_stack(stack: Stack, *, jobs_run_here: bool) -> tuple[bool, str]:
    """Check that jobs get their image, and can read and write artifacts.

    Args:
        stack: The stack.
        jobs_run_here: True if the workspace is emulated on this machine, so that jobs can reach its local files and
            registry.

    Returns:
        True and an empty text if the stack is valid; False and the problem with its fix otherwise.
    """
    if stack.image_builder is None:
        return False, (
            "The AzureML step operator runs each step in a Docker image, and the stack has no image builder to "
            "build it.\nNext steps: add an image builder:\n"
            "  zenml image-builder register NAME --flavor=local\n"
            f"  zenml stack update {stack.name} -i NAME"
        )
    registry = stack.container_registry
    if registry is None:
        return False, (
            "The AzureML step operator runs each step in a Docker image that Azure ML pulls, and the stack has no "
            "container registry.\nNext steps: add a container registry:\n"
            "  zenml container-registry register NAME --flavor=azure --uri=REGISTRY.azurecr.io\n"
            f"  zenml stack update {stack.name} -c NAME"
        )
    if jobs_run_here:
        return True, ""
    if registry.config.is_local:
        return False, (
            f"Azure ML cannot pull from the container registry `{registry.name}`, which is local to this machine.\n"
            "Next steps: use a remote container registry:\n"
            "  zenml container-registry register NAME --flavor=azure --uri=REGISTRY.azurecr.io\n"
            f"  zenml stack update {stack.name} -c NAME"
        )
    store = stack.artifact_store
    if store.config.is_local:
        return False, (
            f"A step on Azure ML cannot read or write the artifact store `{store.name}`, which is local to this "
            "machine.\nNext steps: use a remote artifact store:\n"
            "  zenml artifact-store register NAME --flavor=azure --path=az://CONTAINER\n"
            f"  zenml stack update {stack.name} -a NAME"
        )
    return True, ""
