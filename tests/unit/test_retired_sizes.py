"""Documents, examples and tests use VM sizes that can be had."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from zenml_azureml.azure.sizes.retired import retirement_of

ROOT = Path(__file__).parents[2]

#: What knows retired sizes, and its tests.
ABOUT_RETIRED_SIZES = {
    "src/zenml_azureml/azure/sizes/retired.py",
    "src/zenml_azureml/azure/sizes/gpu.py",
    "src/zenml_azureml/emulator/services/aml/catalogue.json",
    "docs/sizes.md",
    "tests/unit/test_retired_sizes.py",
    "tests/unit/test_size_advice.py",
    "tests/unit/test_size_choice.py",
    "tests/unit/test_size_names.py",
    "tests/azure/test_placement.py",
    "tests/azure/test_sizes.py",
    "tests/cli/test_sizes.py",
    "tests/contract/test_sizes_contract.py",
    "tests/unit/doctor/test_surroundings.py",
}
_SIZE = re.compile(r"\b(?:standard|basic)_[a-z]+\d\w*", re.IGNORECASE)


def files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not in a git repository")
    return [name for name in listed.stdout.split("\0") if name and "/recorded/" not in name]


def retired_in(text: str) -> list[str]:
    return [size for size in _SIZE.findall(text) if retirement_of(size)]


def test_a_retired_size_is_found_in_a_text() -> None:
    assert retired_in("size='Standard_NC6s_v3', or STANDARD_NC4AS_T4_V3") == ["Standard_NC6s_v3"]


def test_no_document_example_or_test_uses_a_retired_size() -> None:
    suffixes = {".py", ".md", ".json", ".yml", ".yaml", ".toml", ".txt"}
    found = {
        name: sizes
        for name in files()
        if Path(name).suffix in suffixes and name not in ABOUT_RETIRED_SIZES
        if (ROOT / name).exists() and (sizes := retired_in((ROOT / name).read_text(encoding="utf-8")))
    }

    assert found == {}
