"""What a stack must have before a step can run on Azure ML, asked before anything starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e import shared_folder_store
from tests.e2e.conftest import Project
from zenml_azureml.emulator import Emulator

#: Runs a pipeline with stacks of which each lacks something, and prints what is said of each.
SCRIPT = """
import json, os, sys

@pipeline(enable_cache=False, settings=NO_BUILD)
def incomplete():
    CommandStep(["true"], name="it", step_operator="azureml")()

COMPLETE = {
    "orchestrator": "default", "step_operator": "azureml",
    "artifact_store": "files", "image_builder": "builder", "container_registry": "registry",
}

def said_of(name, components):
    Client().create_stack(name, components)
    Client().activate_stack(name)
    try:
        incomplete()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "it runs"

def without(kind):
    return {key: value for key, value in COMPLETE.items() if key != kind}

if __name__ == "__main__":
    # Otherwise ZenML lends a stack without image builder a local one.
    os.environ["ZENML_SKIP_IMAGE_BUILDER_DEFAULT"] = "true"
    client = Client()
    client.create_stack_component("here", "default", "container_registry", {"uri": "localhost:5000"})
    client.create_stack_component("acr", "azure", "container_registry", {"uri": "example.azurecr.io"})
    client.create_flavor("shared_folder_store.SharedFolderFlavor", "artifact_store")
    client.create_stack_component("shared", "shared-folder", "artifact_store", {"path": sys.argv[1]})
    said = {
        "no image builder": said_of("one", without("image_builder")),
        "no container registry": said_of("two", without("container_registry")),
        "local, on the emulator": said_of("three", {**COMPLETE, "container_registry": "here"}),
    }
    said["registry of the azure flavor"] = said_of("six", {**COMPLETE, "container_registry": "acr"})
    # Azure itself, as far as the stack can tell: it is asked nothing before the stack is found to be incomplete.
    del os.environ["AZUREML_DEV_URL_MFE"]
    said["local registry"] = said_of("four", {**COMPLETE, "artifact_store": "shared", "container_registry": "here"})
    said["local artifact store"] = said_of("five", COMPLETE)
    said["local server"] = said_of("seven", {**COMPLETE, "artifact_store": "shared", "container_registry": "acr"})
    print(json.dumps(said))
"""

EXPECTED = {
    "no image builder": ["no image builder", "zenml image-builder register", "zenml stack update one -i NAME"],
    "no container registry": [
        "no container registry",
        "zenml container-registry register",
        "zenml stack update two -c NAME",
    ],
    "local, on the emulator": ["it runs"],
    "registry of the azure flavor": ["it runs"],
    # ZenML's own words: the step operator says only that its jobs are not on this machine.
    "local server": ["Stacks with remote components", "require a remote ZenML server"],
    "local registry": [
        "`here`, which is local",
        "zenml container-registry register",
        "zenml stack update four -c NAME",
    ],
    "local artifact store": [
        "`files`, which is local",
        "zenml artifact-store register",
        "zenml stack update five -a NAME",
    ],
}


def test_each_thing_that_is_missing_is_told_with_the_command_that_adds_it(
    simulated_project: Project, emulator: Emulator, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    shutil.copy(shared_folder_store.__file__, simulated_project.folder)

    *_, last = simulated_project.succeed(SCRIPT, str(tmp_path / "shared")).splitlines()

    for case, said in json.loads(last).items():
        with subtests.test(case):
            for part in EXPECTED[case]:
                assert part in said
    # The stacks that will do have run their step, and nothing else has reached Azure.
    jobs = emulator.context.store.workspaces[0].jobs.values()
    assert [job.status for job in jobs] == ["Completed", "Completed"]
