"""What the watchers of the ranks on one node share: who asks, what it found, and the processes of the step."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from zenml_azureml.in_job.watcher.node import Node

JOB = {"AZUREML_RUN_ID": "zenml-1"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The node's folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def shared(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def _leads_to(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:  # that of the listing itself
        return False


def test_one_of_a_nodes_watchers_asks_and_keeps_the_only_descriptor(folder: Path) -> None:
    first, second = Node("step", JOB), Node("step", JOB)

    assert [first.asks() for _ in range(2)] == [True, True]
    assert [second.asks() for _ in range(2)] == [False, False]

    lock = shared(folder) / "asks"
    descriptors = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    assert [number for number in descriptors if _leads_to(lock, number)] == [first._lock]


def test_the_lock_is_that_of_one_task_of_one_attempt_of_one_step() -> None:
    assert Node("step", JOB).asks()
    held = Node("step", JOB)
    assert held.asks() is False

    others = [Node("step", JOB, lock="samples"), Node("other", JOB), Node("step", {"AZUREML_RUN_ID": "zenml-1-2"})]

    assert [other.asks() for other in [*others, Node("step", {})]] == [True] * 4


def test_the_lock_does_not_reach_the_step_or_another_user(folder: Path) -> None:
    node = Node("step", JOB)
    node.asks()

    assert node._lock is not None
    assert not os.get_inheritable(node._lock)
    assert shared(folder).stat().st_mode & 0o777 == 0o700
    assert (shared(folder) / "asks").stat().st_mode & 0o777 == 0o600


def test_a_watcher_that_cannot_find_out_whether_another_one_asks_asks(folder: Path) -> None:
    node = Node("step", JOB)
    (shared(folder) / "asks").mkdir()

    assert node.asks()


def test_what_one_finds_the_others_read_whole(folder: Path) -> None:
    first, second = Node("step", JOB), Node("step", JOB)
    assert second.reason() == ""

    first.share("its run is stopped")

    assert second.reason() == "its run is stopped"
    assert Node("other", JOB).reason() == ""
    assert [path.name for path in sorted(folder.glob("*/*"))] == ["over"]


@pytest.mark.parametrize(("age", "reason"), [(0, "stopped"), (1, "stopped"), (1.5, ""), (3600, "")])
def test_what_an_earlier_attempt_of_the_job_found_counts_no_more(
    age: float, reason: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Node("step", JOB).share("stopped")
    os.utime(shared(folder) / "over", (10_000 - age, 10_000 - age))
    monkeypatch.setattr(time, "time", lambda: 10_000.0)

    assert Node("step", JOB).reason() == reason


def test_the_processes_of_the_step_on_this_node_are_known(folder: Path) -> None:
    first, second = Node("step", JOB), Node("step", JOB)
    first.join(30)
    second.join(4)
    second.join(4)
    (shared(folder) / "step.tmp").touch()
    first.asks()

    assert first.members() == second.members() == [4, 30]
    assert Node("other", JOB).members() == []


def test_without_its_folder_each_watcher_asks_and_nothing_fails(folder: Path) -> None:
    node = Node("step", JOB)
    shared(folder).rmdir()

    node.share("its run is stopped")
    node.join(4)

    assert node.asks()
    assert (node.reason(), node.members()) == ("", [])


@pytest.mark.parametrize("kind", ["open to others", "file", "link", "none"])
def test_a_folder_that_others_could_change_is_not_used(kind: str, folder: Path) -> None:
    Node("step", JOB)
    path = shared(folder)
    path.rmdir()
    if kind == "open to others":
        path.mkdir()
        path.chmod(0o777)
    elif kind == "file":
        path.touch(mode=0o600)
    elif kind == "link":
        (folder / "elsewhere").mkdir(mode=0o700)
        path.symlink_to(folder / "elsewhere")
    else:
        tempfile.tempdir = str(folder / "missing")
    nodes = [Node("step", JOB) for _ in range(2)]

    nodes[0].share("its run is stopped")
    nodes[0].join(4)

    assert [node.asks() for node in nodes] == [True, True]
    assert [(node.reason(), node.members()) for node in nodes] == [("", [])] * 2
    assert list(folder.glob("*/*")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_folder_of_another_user_is_not_used(folder: Path) -> None:
    Node("step", JOB)
    os.chown(shared(folder), 65_534, 65_534)
    nodes = [Node("step", JOB) for _ in range(2)]

    assert [node.asks() for node in nodes] == [True, True]
