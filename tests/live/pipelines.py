"""Pipelines on a target, each in a process of its own that passes the wire too."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract.arm import Arm
from tests.e2e import shared_folder_store, warm
from tests.e2e.conftest import azure_variables, zenml_variables
from tests.e2e.warm_home import ROOT
from tests.live.arm import LiveArm
from tests.live.plan import JOB_MINUTES
from tests.live.recorder import current_test
from tests.live.run import IDENTITY, IMAGE, SIZE
from tests.live.target import WORKSPACE, Target
from tests.vault_access import grant
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.services.entra.machine_identities import user_assigned

#: An image that every workspace can pull; the steps need bash in it, and nothing else.
BARE_IMAGE = "mcr.microsoft.com/azurelinux/base/python:3.12"

#: Put before each script.
PRELUDE = """
import json, os, sys
sys.path[:0] = [os.getcwd(), os.environ["LIVE_ROOT"]]  # the store's flavor, and this package
if os.environ.get("LIVE_LABEL"):
    from tests.live import wire
    wire.install_for_script(os.environ["LIVE_LABEL"])
from zenml import CommandStep, pipeline
from zenml.client import Client
from zenml.config import DockerSettings
from zenml_azureml import AzureMLStepOperatorSettings

GIVEN = json.loads(os.environ["LIVE_GIVEN"])

def settings(**more):
    given = {**GIVEN["settings"], **more}
    docker = DockerSettings(skip_build=True, parent_image=GIVEN["image"])
    return {"step_operator": AzureMLStepOperatorSettings(**given), "docker": docker}

def run(name, command, **more):
    @pipeline(enable_cache=False, name=f"zl_{name}")
    def one():
        CommandStep(["bash", "-c", command], name=name, step_operator="azureml", settings=settings(**more))()

    try:
        one()
    except BaseException as error:
        print("RAISED", type(error).__name__, error)
    found = Client().list_pipeline_runs(size=1, sort_by="desc:created", hydrate=True)[0]
    step = found.steps[name]
    message = step.exception_info.message if step.exception_info else ""
    metadata = dict(step.run_metadata)
    facts = {"status": str(step.status), "job": metadata.get("azureml_job_name"), "message": message}
    facts |= {key: metadata.get(f"azureml_{key}") for key in ("usage", "inputs", "outputs")}
    print("FACTS", json.dumps(facts))
"""


#: Command steps read and write no artifacts in the job: any store will do that does not say that it is local.
REGISTER_STACK = """
import sys
from zenml.client import Client
from zenml.enums import StackComponentType as Type

store, subscription, group, workspace = sys.argv[1:]
client = Client()
client.create_flavor("shared_folder_store.SharedFolderFlavor", Type.ARTIFACT_STORE)
client.create_stack_component("files", "shared-folder", Type.ARTIFACT_STORE, {"path": store})
client.create_stack_component("builder", "local", Type.IMAGE_BUILDER, {})
client.create_stack_component("registry", "default", Type.CONTAINER_REGISTRY, {"uri": "mcr.microsoft.com"})
address = {"subscription_id": subscription, "resource_group": group, "workspace_name": workspace}
client.create_stack_component("azureml", "azureml", Type.STEP_OPERATOR, address)
names = {Type.ORCHESTRATOR: "default", Type.ARTIFACT_STORE: "files", Type.IMAGE_BUILDER: "builder"}
names |= {Type.CONTAINER_REGISTRY: "registry", Type.STEP_OPERATOR: "azureml"}
client.create_stack("stack", names)
client.activate_stack("stack")
"""


@dataclass
class Pipelines:
    """A user's folder with a stack.

    Attributes:
        folder: Where scripts run.
        environment: Every environment variable that they see.
        arm: Resource Manager of the target.
        identity: ARM id of a managed identity that may read secrets.
    """

    folder: Path
    environment: dict[str, str] = field(repr=False)
    arm: Arm
    identity: str

    def start(self, script: str) -> warm.WarmProcess:
        """Start a script."""
        path = self.folder / "script.py"
        path.write_text(PRELUDE + script)
        return warm.WarmProcess([str(path)], {**self.environment, "LIVE_LABEL": _label()}, self.folder)

    @contextmanager
    def running(self, script: str) -> Iterator[warm.WarmProcess]:
        """Start a script, which ends with the `with`."""
        process = self.start(script)
        try:
            yield process
        finally:
            process.kill()

    def facts(self, script: str) -> tuple[dict[str, Any], str]:
        """Run a script; what it says of its step, and its output."""
        with self.running(script) as process:
            output, _ = process.communicate(timeout=self.arm.patience * 2 + 120)
        return facts_in(output), output


def facts_in(output: str) -> dict[str, Any]:
    """Return what a script says of its step."""
    lines = [line for line in output.splitlines() if line.startswith("FACTS ")]
    assert lines, output
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("FACTS "))
    return found


def at_emulator(folder: Path, emulator: Emulator) -> Pipelines:
    """Return pipelines on an emulator of the test's own process."""
    workspace = emulator.context.store.workspaces[0]
    names = (workspace.subscription_id, workspace.resource_group, workspace.name)
    identity = (
        f"/subscriptions/{names[0]}/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reader"
    )
    grant(emulator, "Key Vault Secrets Officer")
    reader = user_assigned([identity])[identity]["principalId"]
    grant(emulator, "Key Vault Secrets User", reader)
    account = str(Arm(emulator).call("GET", workspace.path).body["properties"]["storageAccount"])
    grant(emulator, "Storage Blob Data Reader", reader, account)
    environment = {**zenml_variables(folder), **azure_variables(emulator)}
    given = {"settings": {"instance_type": "Standard_DS2_v2", "timeout_minutes": JOB_MINUTES}, "image": BARE_IMAGE}
    return _pipelines(folder, environment, names, given, Arm(emulator), identity)


def at_target(folder: Path, target: Target) -> Pipelines:
    """Return pipelines on a target."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZENML_", "PYTEST_", "LIVE_"))}
    environment = {**kept, **zenml_variables(folder), "HOME": os.environ.get("HOME", "/")}
    environment["PATH"] = f"{environment['PATH']}:{os.environ.get('PATH', '')}"  # `az`, which signs in
    settings = {
        "instance_type": os.environ[SIZE],
        "timeout_minutes": JOB_MINUTES,
        "tags": target.tags,
        "cloud": target.cloud,
    }
    given = {"settings": settings, "image": os.environ.get(IMAGE) or BARE_IMAGE}
    return _pipelines(folder, environment, target.names, given, LiveArm(target), os.environ.get(IDENTITY, ""))


def _pipelines(
    folder: Path,
    environment: Mapping[str, str],
    names: tuple[str, str, str],
    given: Mapping[str, Any],
    arm: Arm,
    identity: str,
) -> Pipelines:
    project = folder / "project"
    project.mkdir()
    script = project / "register.py"  # its folder is what ZenML takes for the source root
    script.write_text(REGISTER_STACK)
    store = Path(shared_folder_store.__file__)
    (project / store.name).write_text(store.read_text())
    environment = {**environment, "PYTHONPATH": str(project)}
    done = warm.run([str(script), str(folder / "artifacts"), *names], environment, project)
    assert done.returncode == 0, done.stdout + done.stderr
    variables = {**environment, "LIVE_ROOT": str(ROOT), "LIVE_GIVEN": json.dumps(given)}
    return Pipelines(project, variables, arm, identity)


def _label() -> str:
    """Return what a script's exchanges are recorded under; empty if nothing is guarded or recorded."""
    return current_test() if WORKSPACE in os.environ else ""
