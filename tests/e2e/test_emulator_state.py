"""`--state` as careless people type it, and the shell that `emulator env` sets up for curl."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_emulator_cli import CLEAN, started
from tests.unit.emulator.test_state_folder import picture
from zenml_azureml.emulator.local import daemon, instance
from zenml_azureml.emulator.local.keys import stored_keys


def cli(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    command = [sys.executable, "-m", "zenml_azureml.cli", *arguments]
    environment = {**CLEAN, **variables}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder of a user's, with names that an emulator uses too."""
    folder = tmp_path / "project"
    for name in ("main.py", "jobs/results.csv", "datastores/data.csv", "emulator.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    folder.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ["emulator", "start"],
        ["emulator", "stop"],
        ["emulator", "env"],
        ["emulator", "status"],
        ["emulator", "logs", "job"],
        ["emulator", "scenario"],
        ["demo"],
    ],
    ids=" ".join,
)
def test_an_empty_state_is_an_error(tmp_path: Path, command: list[str]) -> None:
    done = cli(tmp_path, *command, "--state", "")

    assert done.returncode == 2
    assert "it is empty. Name a folder" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_variable_is_an_error(tmp_path: Path, value: str) -> None:
    done = cli(tmp_path, "emulator", "start", ZENML_AZUREML_EMULATOR_STATE=value)

    assert done.returncode == 2
    assert "ZENML_AZUREML_EMULATOR_STATE is set, but empty" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("state", [".", "../project", "main.py"])
@pytest.mark.parametrize("verb", ["start", "stop", "env", "status"])
def test_a_project_stays_as_it_is(project: Path, state: str, verb: str) -> None:
    before = picture(project)

    done = cli(project, "emulator", verb, "--state", state, *(["--port", "0"] if verb == "start" else []))

    assert picture(project) == before
    assert "Traceback" not in done.stderr
    if verb == "start" and state != "main.py":
        assert done.returncode == 1
        assert f"{project} cannot be the state folder of an emulator: it is not empty" in done.stderr
        assert f"--state {project}/emulator" in done.stderr


@pytest.mark.parametrize("way", ["demo", "foreground"])
def test_nor_does_any_other_way_to_start_one_touch_it(project: Path, way: str) -> None:
    before = picture(project)
    command = ["demo"] if way == "demo" else ["emulator", "start", "--foreground", "--port", "0"]

    done = cli(project, *command, "--state", ".")

    assert (done.returncode, picture(project)) == (1, before)
    assert "not empty" in done.stderr


@pytest.fixture
def running(tmp_path: Path) -> Iterator[instance.Running]:
    folder = tmp_path / "my state"
    yield started(folder)
    daemon.stop(folder)


def in_shell(running: instance.Running, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line in a shell that has evaluated `emulator env`."""
    env = f"{sys.executable} -m zenml_azureml.cli emulator env --state '{running.state}'"
    script = f'eval "$({env})"\n{line}'
    return subprocess.run(["bash", "-euc", script], env=CLEAN, capture_output=True, text=True, timeout=60, check=False)


def test_curl_reaches_the_own_interface_with_the_key_of_the_shell_and_not_without(running: instance.Running) -> None:
    url = '"$AZUREML_DEV_URL_MFE/_emulator/settings"'

    with_key = in_shell(
        running, f'curl --silent --config "$ZENML_AZUREML_EMULATOR_CURL" {url} -d \'{{"latency": 0.5}}\''
    )
    without = in_shell(running, f'curl --silent --cacert "$REQUESTS_CA_BUNDLE" {url}')

    assert json.loads(with_key.stdout)["latency"] == 0.5, with_key.stderr
    assert "needs its key" in json.loads(without.stdout)["error"]
    assert in_shell(running, 'echo "$ZENML_AZUREML_EMULATOR_KEY"').stdout.strip() == stored_keys(running.state).admin


def test_the_key_is_in_no_argument_of_a_process_and_in_no_log(running: instance.Running) -> None:
    import psutil

    keys = stored_keys(running.state)
    shown = " ".join(psutil.Process(running.pid).cmdline()) + (running.state / "emulator.log").read_text()
    shown += (running.state / "emulator.json").read_text() + repr(running) + repr(keys)

    assert not [secret for secret in (keys.admin, keys.machine, keys.proxy) if secret in shown]
