"""A ZenML stack for one test, with the step operator on its workspace."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.models import StackResponse
from zenml.utils import source_utils

from zenml_azureml.testing.workspace import EmulatedWorkspace


@contextmanager
def new_stack(home: Path, workspace: EmulatedWorkspace, source_root: Path) -> Iterator[StackResponse]:
    """Register a stack, activate it, and delete it afterwards.

    Args:
        home: Folder of the tests' own ZenML configuration.
        workspace: The workspace for the step operator.
        source_root: Folder of the user's code, which jobs get.
    """
    client = Client()
    if not client.zen_store.url.startswith(f"sqlite:///{home}"):
        pytest.fail(
            "ZenML has read its configuration before this session of pytest began, and would change it: "
            f"{client.zen_store.url}",
            pytrace=False,
        )
    unique = uuid.uuid4().hex[:12]
    components = {
        StackComponentType.ORCHESTRATOR: ("local", f"here-{unique}", {}),
        StackComponentType.ARTIFACT_STORE: ("local", f"files-{unique}", {"path": str(home / "artifacts" / unique)}),
        StackComponentType.IMAGE_BUILDER: ("local", f"builder-{unique}", {}),
        StackComponentType.CONTAINER_REGISTRY: ("default", f"registry-{unique}", {"uri": "example.azurecr.io"}),
        StackComponentType.STEP_OPERATOR: (
            "azureml",
            "azureml",
            {
                "subscription_id": workspace.subscription_id,
                "resource_group": workspace.resource_group,
                "workspace_name": workspace.name,
            },
        ),
    }
    for kind, (flavor, name, configuration) in components.items():
        client.create_stack_component(name, flavor, kind, configuration)
    stack = client.create_stack(f"azureml-{unique}", {kind: name for kind, (_, name, _) in components.items()})
    try:
        with pytest.MonkeyPatch.context() as patch:
            # Only this process uses it, and nothing is stored.
            patch.setenv("ZENML_ACTIVE_STACK_ID", str(stack.id))
            # Otherwise it would be the folder of the program, which is pytest's.
            source_utils.set_custom_source_root(str(source_root))
            yield stack
    finally:
        source_utils.set_custom_source_root(None)
        client.delete_stack(stack.id, recursive=True)
