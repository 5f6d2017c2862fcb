"""The example with torch in docs/nodes.md runs, and prints what it says."""

from __future__ import annotations

import subprocess
from dataclasses import replace

from tests.documents.markdown import ROOT, blocks
from tests.documents.pages import OUTPUT, Page
from tests.e2e.conftest import Project

DOCUMENT = ROOT / "docs" / "nodes.md"


def test_the_documents_example_with_torch_runs(project: Project) -> None:
    marked = [block for block in blocks(DOCUMENT) if "`make test-torch`" in block.mark]
    page = Page([replace(block, mark=OUTPUT if block.language == "text" else "") for block in marked], {})
    assert [block.language for block in page.blocks] == ["python", "shell", "text"]

    done = subprocess.run(
        ["bash", "-c", page.script()],
        env=project.environment,
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert page.missing_output(done.stdout) == [], done.stdout
