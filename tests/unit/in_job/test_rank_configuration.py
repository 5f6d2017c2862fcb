"""The ranks of a node do not share a ZenML configuration."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from zenml_azureml.contract.variables import RANKS

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


def environment_of_rank(folder: Path, **variables: str) -> dict[str, str]:
    """What a rank's process has of the environment, as the job's command makes it."""
    done = subprocess.run(
        [sys.executable, "-m", "zenml_azureml.in_job", sys.executable, "-c", SHOW],
        env={"HOME": str(folder), "TMPDIR": str(folder), RANKS: "1", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    environment: dict[str, str] = json.loads(done.stdout)
    return environment


def test_each_rank_has_an_empty_one_of_its_own_where_there_is_none(tmp_path: Path) -> None:
    folders = {Path(environment_of_rank(tmp_path)["ZENML_CONFIG_PATH"]) for _ in range(2)}

    assert len(folders) == 2
    assert [list(folder.iterdir()) for folder in folders] == [[], []]


@pytest.mark.parametrize("place", ["mine", ".config/zenml"])
def test_what_the_image_or_the_user_has_is_kept(tmp_path: Path, place: str) -> None:
    theirs = tmp_path / place
    (theirs / "local_stores").mkdir(parents=True)
    (theirs / "config.yaml").write_text("active_stack_id: 1\n")
    said = {"ZENML_CONFIG_PATH": str(theirs)} if place == "mine" else {}

    environment = environment_of_rank(tmp_path, **said)

    own = Path(environment["ZENML_CONFIG_PATH"])
    assert own != theirs
    assert {file.name: file.read_text() for file in own.iterdir()} == {"config.yaml": "active_stack_id: 1\n"}
    assert environment["ZENML_LOCAL_STORES_PATH"] == str(theirs / "local_stores")
    assert own.stat().st_mode & 0o077 == 0  # a configuration may hold a token


def test_where_the_users_local_stores_are_stays(tmp_path: Path) -> None:
    environment = environment_of_rank(tmp_path, ZENML_LOCAL_STORES_PATH="/stores")

    assert environment["ZENML_LOCAL_STORES_PATH"] == "/stores"


def test_no_place_for_it_is_told_in_one_line(tmp_path: Path) -> None:
    unreadable = tmp_path / "zenml"
    unreadable.mkdir()
    (unreadable / "config.yaml").symlink_to("/proc/self/mem")  # opens, and cannot be read

    with pytest.raises(subprocess.CalledProcessError) as failed:
        environment_of_rank(tmp_path, ZENML_CONFIG_PATH=str(unreadable))

    assert failed.value.returncode == 1
    assert failed.value.stderr.startswith(
        "zenml-azureml: This rank could not be given a ZenML configuration of its own"
    )
    assert failed.value.stderr.count("\n") == 1
