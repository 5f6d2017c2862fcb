"""An emulator on a disk that is full or read-only: a real one, where the tests run as root."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.test_emulator_cli import emulator as cli
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import SystemClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.local import instance, serving
from zenml_azureml.emulator.local.private_files import in_words
from zenml_azureml.emulator.runtimes.base import JobLaunch
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedJob, SimulatedRuntime

FULL = "No space left on device. Free space on its disk, or use another folder: `zenml-azureml emulator start --state "
READ_ONLY = (
    "Read-only file system. Make it writable for your user, or use another folder: `zenml-azureml emulator start"
)

#: Mounts a file system in memory at a folder, with these options.
Mount = Callable[[Path, str], Path]


def can_mount() -> bool:
    """True if this process may mount a file system: root in a container often may not."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        return False
    done = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    )
    return done.returncode == 0


mounts = pytest.mark.skipif(not can_mount(), reason="only root may mount a file system")


@pytest.fixture
def mount() -> Iterator[Mount]:
    mounted: list[Path] = []

    def mount(folder: Path, options: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)
        mounted.append(folder)
        return folder

    yield mount
    for folder in reversed(mounted):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def refused(state: Path, sentence: str) -> None:
    """Check that an emulator does not start, in the background and in this process, and says why."""
    done = cli("start", state, "--port", "0")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert sentence in done.stderr
    assert str(state) in done.stderr
    with pytest.raises(instance.DaemonError) as raised:
        serving.serve(state, instance.Options())
    assert sentence in str(raised.value)
    assert f"The emulator cannot use its state folder {state}" in str(raised.value)


@mounts
@pytest.mark.parametrize("options", ["size=4k", "size=64k", "size=200k", "nr_inodes=2", "nr_inodes=6"])
def test_no_emulator_starts_on_a_full_disk(tmp_path: Path, mount: Mount, options: str) -> None:
    refused(mount(tmp_path / "disk", options) / "state", FULL)


@mounts
def test_no_emulator_starts_in_a_folder_that_is_read_only(tmp_path: Path, mount: Mount) -> None:
    disk = mount(tmp_path / "disk", "size=4m")
    Emulator(disk / "state").close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

    refused(disk / "state", READ_ONLY)
    refused(disk / "new", READ_ONLY)


def message_of(arm: Arm, name: str, command: str) -> str:
    """The message of the error with which a job ends."""
    environment = f"{arm.workspace}/environments/env/versions/1"
    assert arm.call("PUT", environment, {"properties": {"image": "ubuntu"}}).status in (200, 201)
    body = {"jobType": "Command", "command": command, "environmentId": environment}
    answer = arm.call("PUT", f"jobs/{name}", {"properties": body})
    assert answer.status == 201, answer.body
    jobs = arm.emulator.context.store.workspaces[0].jobs
    eventually(lambda: jobs[name].is_terminal, seconds=60)
    assert jobs[name].status == "Failed"
    details = arm.call("GET", f"/history/v1.0{arm.workspace}/runs/{name}/details", api_version=None)
    assert details.status == 200, details.text
    return str(details.body["error"]["error"]["message"])


SOON = Settings(job_preparation=0, job_finalization=0)


@mounts
@pytest.mark.parametrize("before", ["", "echo epoch 1; "])
def test_a_job_that_fills_the_disk_and_those_after_it(tmp_path: Path, mount: Mount, before: str) -> None:
    state = mount(tmp_path / "disk", "size=4m") / "state"
    with Emulator(state, settings=SOON) as emulator:
        arm = Arm(emulator)
        fill = f"{before}cat /dev/zero > fill 2> /dev/null; sleep 0; exit 3"

        first, second = (message_of(arm, name, fill) for name in ("first", "second"))

        assert FULL in first
        assert FULL in second
        assert f"The emulator cannot use its state folder {state}" in second
        assert not before or "epoch 1" in first
        # With room again, all is well without a new start.
        (state / "jobs" / "first" / "exe" / "wd" / "fill").unlink()
        assert "status code 4" in message_of(arm, "third", "exit 4")


@mounts
def test_a_job_whose_folder_is_read_only(tmp_path: Path, mount: Mount) -> None:
    state = tmp_path / "state"
    with Emulator(state, settings=SOON) as emulator:
        mount(state / "jobs", "ro,size=64k")

        message = message_of(Arm(emulator), "train", "true")

        assert READ_ONLY in message
        assert f"The emulator cannot use its state folder {state} ({state}/jobs/" in message


# The same without a file system of their own: for users that may mount none, and for other errors


class BrokenRuntime(SimulatedRuntime):
    """Fails to start a job as the system says it."""

    error: OSError

    async def start(self, launch: JobLaunch) -> SimulatedJob:
        raise self.error


ERRORS = {
    errno.ENOSPC: "Free space on its disk",
    errno.EDQUOT: "Free space on its disk",
    errno.EROFS: "Make it writable for your user",
    errno.EACCES: "Make it writable for your user",
    errno.EIO: "Check its disk and its rights",
}


@pytest.mark.parametrize("number", ERRORS)
def test_a_job_says_what_the_system_says_and_what_to_do(tmp_path: Path, number: int) -> None:
    state, clock = tmp_path / "state", SystemClock()
    runtime = BrokenRuntime(clock, SOON)
    runtime.error = OSError(number, os.strerror(number))
    with Emulator(state, settings=SOON, runtime=runtime, clock=clock) as emulator:
        message = message_of(Arm(emulator), "train", "true")

    assert message == (
        f"The emulator cannot use its state folder {state}: {os.strerror(number)}. {ERRORS[number]}, or use another "
        "folder: `zenml-azureml emulator start --state FOLDER`."
    )


@pytest.mark.parametrize("number", set(ERRORS) - {errno.EACCES})  # which `write` never answers, but `bind` does
def test_a_start_says_what_the_system_says_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))  # as `write` does, which knows no name

    monkeypatch.setattr("zenml_azureml.emulator.local.tls.write_private", fail)

    with pytest.raises(instance.DaemonError) as raised:
        serving.serve(tmp_path / "state", instance.Options())

    assert str(raised.value) == in_words(OSError(number, os.strerror(number)), tmp_path / "state")
    assert ERRORS[number] in str(raised.value)
