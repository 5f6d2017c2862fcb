"""Every code block of the documents does what it says, on the emulator; or it is marked with why it is not run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.documents.markdown import ROOT, Block, blocks, documents
from tests.documents.pages import Page, UnmarkedBlockError
from tests.documents.warm_commands import warm_commands
from tests.e2e.conftest import REGISTER_STACK, azure_variables, zenml_variables
from tests.e2e.warm_jobs import WarmJobs
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings

#: For an author: the only document to run, by a part of its name.
CHOSEN = os.environ.get("DOCUMENT", "")

#: A comment at the top of a document whose reader has registered nothing yet.
WITHOUT_STACK = "<!-- starts without a stack -->"


#: So many tests share the documents.
PARTS = 8


@dataclass(frozen=True)
class Desk:
    """What all documents share: one emulator, and one ZenML configuration of which each gets a copy.

    Attributes:
        folder: Everything is below it.
        emulator: Where jobs run as processes.
        commands: With `python` and `zenml` commands that start at once.
    """

    folder: Path
    emulator: Emulator
    commands: Path

    def values(self) -> dict[str, str]:
        """What stands for the placeholders in documents."""
        workspace = self.emulator.context.store.workspaces[0]
        return {
            "SUBSCRIPTION_ID": workspace.subscription_id,
            "RESOURCE_GROUP": workspace.resource_group,
            "WORKSPACE": workspace.name,
            "TENANT_ID": self.emulator.tenant_id,
            "CLIENT_ID": self.emulator.client_id,
            "CLIENT_SECRET": self.emulator.client_secret,
            "REGISTRY": "example",
            "CONTAINER": "zenml",
        }

    def run(self, script: str, name: str, configuration: str = "") -> subprocess.CompletedProcess[str]:
        """Run a script in bash, in a folder and with a ZenML configuration of its own.

        Args:
            script: For bash.
            name: Of the folder.
            configuration: Name of the folder whose ZenML configuration is copied.
        """
        folder = self.folder / name
        folder.mkdir(parents=True)
        if configuration:
            source = self.folder / configuration
            shutil.copytree(source / "zenml", folder / "zenml")
            settings = folder / "zenml" / "config.yaml"  # which names its database by its whole path
            settings.write_text(settings.read_text().replace(str(source), str(folder)))
        variables = {**zenml_variables(folder), **azure_variables(self.emulator)}
        variables["PATH"] = f"{self.commands}:{variables['PATH']}"
        (folder / "document.sh").write_text(script)
        return subprocess.run(
            ["bash", "document.sh"],
            env=variables,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("documents")
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
    (folder / "warm").mkdir()
    with (
        Emulator(folder / "emulator", runtime=WarmJobs(), settings=settings, proxy_port=0) as emulator,
        warm_commands(folder / "warm") as commands,
    ):
        desk = Desk(folder, emulator, commands)
        done = desk.run("zenml stack list", "without-stack")
        assert done.returncode == 0, done.stdout
        (folder / "register.py").write_text(REGISTER_STACK)
        values = desk.values()
        address = f"{values['SUBSCRIPTION_ID']} {values['RESOURCE_GROUP']} {values['WORKSPACE']}"
        register = f"python ../register.py {folder}/artifacts {address}"
        done = desk.run(register, "with-stack", configuration="without-stack")
        assert done.returncode == 0, done.stdout
        yield desk


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_code_blocks_run(desk: Desk, subtests: pytest.Subtests, part: int) -> None:
    # Few tests, so that documents share a desk also where tests are spread over processes.
    for document in documents()[part::PARTS]:
        page = Page(blocks(document), desk.values())
        if not page.run() or CHOSEN not in name_of(document):
            continue
        with subtests.test(document=name_of(document)):
            starts = "without-stack" if WITHOUT_STACK in document.read_text(encoding="utf-8") else "with-stack"

            done = desk.run(page.script(), f"reading/{document.stem.lower()}", configuration=starts)

            assert done.returncode == 0, done.stdout
            assert page.missing_output(done.stdout) == [], done.stdout


def test_a_block_that_cannot_be_run_has_to_say_why(tmp_path: Path) -> None:
    block = Block(ROOT / "docs" / "page.md", 3, "yaml", "", "a: 1\n", "")

    with pytest.raises(UnmarkedBlockError, match=r"docs/page\.md:3.*not run: REASON"):
        Page([block], {}).script()


def test_a_placeholder_without_a_value_is_no_silent_success() -> None:
    block = Block(ROOT / "docs" / "page.md", 3, "shell", "", "echo <UNKNOWN_NAME>\n", "")

    with pytest.raises(UnmarkedBlockError, match="UNKNOWN_NAME"):
        Page([block], {}).script()


def test_output_that_is_not_printed_is_found() -> None:
    document = ROOT / "docs" / "page.md"
    run = Block(document, 3, "shell", "", "echo 1 2\n", "")
    promised = Block(document, 7, "", "", "1 ... 2\n3\n", "output")

    missing = Page([run, promised], {}).missing_output("### docs/page.md:3\n1 and 2\n")

    assert missing == ["docs/page.md:7: 3"]
