"""The state of an emulator that is stopped, or killed at any moment: real processes, and the real SDK."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from threading import Thread

import psutil
import pytest
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Environment
from azure.identity import DefaultAzureCredential

from tests.e2e.test_emulator_cli import Submit, emulator, started, state, submit, wait_until
from zenml_azureml.emulator.local import daemon, instance, shell_env
from zenml_azureml.emulator.runtimes.process.tree import processes_of

pytestmark = pytest.mark.long

__all__ = ["state", "submit"]  # fixtures

ENDS = ("Completed", "Failed", "Canceled")


class TestStopAndStart:
    def test_jobs_and_the_address_stay_until_a_fresh_start(self, state: Path, submit: Submit) -> None:
        first = started(state)
        job = submit(first, "echo kept")
        wait_until(lambda: json.loads(emulator("status", state, "--json").stdout)["jobs"] == {"Completed": 1})
        emulator("stop", state)

        second = started(state)

        assert second.base_url == first.base_url
        assert json.loads(emulator("status", state, "--json").stdout)["jobs"] == {"Completed": 1}
        assert emulator("logs", state, job).stdout == "kept\n"
        ignored = emulator("start", state, "--port", "0", "--fresh")
        assert "It ignores --fresh." in ignored.stdout

        emulator("stop", state)
        started(state, "--fresh")
        assert json.loads(emulator("status", state, "--json").stdout)["jobs"] == {}
        assert not (state / "jobs" / job).exists()

    def test_a_damaged_state_is_refused_in_words_and_stays(self, state: Path) -> None:
        started(state)
        emulator("stop", state)
        (state / "state.db").write_bytes(b"not a database" * 100)
        before = (state / "state.db").read_bytes()

        done = emulator("start", state, "--port", "0")

        assert done.returncode == 1
        assert f"The emulator cannot read its state in {state}/state.db: file is not a database." in done.stderr
        assert "Traceback" not in done.stderr
        assert (state / "state.db").read_bytes() == before
        started(state, "--fresh")


class Submitter(Thread):
    """Submits short jobs, one after the other, and reads how they are, until the emulator does not answer.

    Attributes:
        seen: The last state in which each job was seen.
    """

    def __init__(self, client: MLClient, names: str) -> None:
        super().__init__()
        self._client = client
        self._names = names
        self.seen: dict[str, str] = {}

    def run(self) -> None:
        try:
            for number in range(1_000):
                name = f"{self._names}-{number}"
                long = number % 4 == 3
                job = command(name=name, command="sleep 600" if long else f"echo {name}", environment="env:1")
                self.seen[self._client.jobs.create_or_update(job).name] = "Starting"
                for job in self._client.jobs.list():
                    self.seen[job.name] = getattr(job.status, "value", job.status)
        except Exception:  # noqa: BLE001 - it was killed, in the middle of any request
            return


def client_of(running: instance.Running, monkeypatch: pytest.MonkeyPatch) -> MLClient:
    for name, value in shell_env.variables(running, running.ca_bundle, {}).items():
        monkeypatch.setenv(name, value)
    place = running.options
    return MLClient(
        DefaultAzureCredential(),
        place.subscription_id,
        place.resource_group,
        place.workspace_name,
        retry_total=0,
    )


@pytest.mark.parametrize("seed", [1])
def test_what_a_client_has_seen_survives_a_kill_at_any_moment(
    state: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    moments = random.Random(seed)
    seen: dict[str, str] = {}
    client = client_of(daemon.start(state, instance.Options()), monkeypatch)
    client.environments.create_or_update(Environment(name="env", version="1", image="ubuntu"))
    for turn in range(3):
        submitter = Submitter(client, f"turn-{turn}")
        submitter.seen.update(seen)
        submitter.start()
        wait_until(lambda: f"turn-{turn}-1" in submitter.seen)  # noqa: B023 - it is waited for here
        time.sleep(moments.uniform(0, 1.5))  # any moment will do
        running = daemon.find(state)
        assert running is not None
        psutil.Process(running.pid).kill()
        submitter.join()
        seen.update(submitter.seen)
        wait_until(lambda: not processes_of(state))  # nothing of a job outlives its emulator

        client = client_of(daemon.start(state, instance.Options()), monkeypatch)

        found = {job.name: getattr(job.status, "value", job.status) for job in client.jobs.list()}
        assert seen.keys() <= found.keys()
        assert set(found.values()) <= set(ENDS)
        ended = {name: status for name, status in seen.items() if status in ENDS}
        assert {name: found[name] for name in ended} == ended
        for name in (name for name, status in ended.items() if status == "Completed"):
            assert (state / "jobs" / name / "user_logs" / "std_log.txt").read_text() == f"{name}\n"
        seen = found
    assert "Failed" in seen.values()
