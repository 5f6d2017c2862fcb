"""What is published: the wheel holds the package and nothing else."""

from __future__ import annotations

import zipfile
from email import message_from_string
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


def test_the_wheel_holds_every_file_of_the_package_and_no_test(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = message_from_string(
            archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA"))).decode()
        )

    files = {
        path for path in (SOURCE / "zenml_azureml").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == {str(path.relative_to(SOURCE)) for path in files}
    assert "zenml_azureml/py.typed" in held
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == "<3.15,>=3.10"
