"""The tier itself, with an emulator as another process in the role of Azure."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.identity import WorkloadIdentityCredential

from tests.contract.waiting import eventually
from tests.live import beside, recorder
from tests.live.planted import LEAK, PLANTS, planted
from tests.live.target import TAG
from zenml_azureml.emulator.local.instance import Running
from zenml_azureml.emulator.local.keys import found_keys

ROOT = Path(__file__).parents[2]
NAMES = ("8c1f5d7a-6c1e-4b57-9c7e-3f2a1b0c9d8e", "vision-group", "vision-prod")
WORKSPACE = "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/workspaces/{}".format(
    *NAMES
)
IDENTITY = (
    f"/subscriptions/{NAMES[0]}/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reader"
)
ECHO = "test_a_serverless_job_runs_to_its_end"


@dataclass
class Azure:
    """An emulator in the role of Azure, and a user's shell.

    Attributes:
        running: The emulator.
        folder: Where runs keep what they make.
        environment: The shell's variables.
    """

    running: Running
    folder: Path
    environment: dict[str, str] = field(repr=False)

    def start(self, do: str, *options: str) -> subprocess.Popen[str]:
        """Start the runner."""
        command = [sys.executable, "-m", "tests.live", do, "--workspace", WORKSPACE, *options]
        return subprocess.Popen(
            command, env=self.environment, cwd=ROOT, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, do: str, *options: str, answer: str = "") -> tuple[int, str]:
        """Run it; its exit code and output."""
        process = self.start(do, *options)
        try:
            output, _ = process.communicate(answer, timeout=800)
        finally:
            process.kill()
        return process.returncode, output

    def get(self, path: str) -> Any:
        """Read something in the workspace."""
        return self.call("GET", path).json()

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Send a request to the emulator itself."""
        credential = WorkloadIdentityCredential(
            tenant_id=self.running.tenant_id,
            client_id=self.running.client_id,
            token_file_path=str(self.running.federated_token_file),
            authority=self.running.base_url,
            disable_instance_discovery=True,
            connection_verify=str(self.running.ca_bundle),
        )
        token = credential.get_token("https://management.azure.com/.default").token
        url = f"{self.running.base_url}{WORKSPACE}/{path}"
        url += ("&" if "?" in url else "?") + "api-version=2024-04-01"
        return self._send(method, url, body, {"Authorization": f"Bearer {token}"})

    def admin(self, path: str, body: Any = None) -> Any:
        """Use the emulator's own interface."""
        keys = found_keys(self.running.state)
        assert keys is not None
        url = f"{self.running.base_url}/_emulator/{path}"
        return self._send("GET" if body is None else "POST", url, body, keys.admin_headers).json()

    def _send(self, method: str, url: str, body: Any, headers: dict[str, str]) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                method, url, json=body, headers=headers, verify=str(self.running.ca_bundle), timeout=60
            )

    def writes(self) -> list[str]:
        """What was sent that changes something: method and path."""
        sent = [(one["method"], one["path"]) for one in self.admin("requests")]
        changes = [f"{method} {path}" for method, path in sent if method in ("PUT", "PATCH", "DELETE")]
        return [one for one in changes if "roleAssignments" not in one]  # the fixture's

    def jobs(self) -> list[Any]:
        """The jobs that are not archived."""
        found: list[Any] = self.get("jobs")["value"]
        return found


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    with beside.emulator(tmp_path / "azure", NAMES, "westeurope") as running:
        beside.let_use_vault(running, WORKSPACE, IDENTITY)
        shell = {name: value for name, value in os.environ.items() if "AZURE_VERIFIED" not in name}
        environment = {**beside.environment(running, shell), "LIVE_FOLDER": str(tmp_path / "runs")}
        yield Azure(running, tmp_path / "runs", environment)


def test_nothing_is_created_without_a_yes(azure: Azure) -> None:
    code, output = azure.run("run", "--tests", ECHO, answer="no\n")

    assert code == 1, output
    assert "1 jobs, one at a time, each with a timeout of 5 minutes, on Standard_DS2_v2" in output
    assert re.search(r"Highest cost: 0\.\d\d USD", output)
    assert f"the tag {TAG}=" in output
    assert output.endswith("Continue? [yes/no] Nothing was created.\n")
    assert azure.writes() == []
    assert not azure.folder.exists()


def test_a_size_that_is_too_expensive_is_refused_at_once(azure: Azure) -> None:
    code, output = azure.run("run", "--yes", "--size", "Standard_NC24ads_A100_v4")

    assert code == 2, output
    assert re.search(r"Standard_NC24ads_A100_v4 costs \d\.\d\d USD an hour .* and the most is 0\.30\.", output)
    assert azure.writes() == []


def waiting_run(azure: Azure) -> subprocess.Popen[str]:
    """A run whose job stays where it is."""
    azure.admin("settings", {"job_preparation": 3600})
    process = azure.start("run", "--yes", "--tests", ECHO)
    eventually(azure.jobs, 120, pause=0.3)
    return process


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_an_interruption_everything_is_deleted(azure: Azure, number: signal.Signals) -> None:
    process = waiting_run(azure)
    (job,) = azure.jobs()
    assert job["properties"]["tags"][TAG]

    process.send_signal(number)
    output, _ = process.communicate(timeout=200)

    assert process.returncode == 130, output
    assert f"Deleted job {job['name']}." in output
    assert azure.jobs() == []
    assert azure.get(f"jobs/{job['name']}")["error"]["message"]
    assert azure.run("clean", "--yes") == (0, "Nothing is left.\n")


@pytest.mark.long
def test_what_a_killed_run_has_left_is_deleted_by_live_clean(azure: Azure) -> None:
    process = waiting_run(azure)
    process.kill()
    process.communicate(timeout=60)
    (job,) = azure.jobs()
    assert job["properties"]["status"] not in ("Canceled", "Completed")
    # Another one has left a cluster, on a machine whose ledger is not here; and users have one of their own.
    inner = {"vmSize": "Standard_DS2_v2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1}}
    cluster = {"location": "westeurope", "properties": {"computeType": "AmlCompute", "properties": inner}}
    azure.call("PUT", "computes/left", {**cluster, "tags": {TAG: "another"}})
    azure.call("PUT", "computes/theirs", cluster)
    eventually(lambda: azure.get("computes/left")["properties"]["provisioningState"] == "Succeeded", 60, pause=0.2)

    refused, question = azure.run("clean", answer="no\n")
    assert (refused, len(azure.jobs())) == (1, 1)
    code, output = azure.run("clean", answer="yes\n")

    assert code == 0, output
    for what in (f"job {job['name']}", "compute cluster left", "environment zl"):
        assert what in question
        assert f"Deleted {what}" in output
    assert azure.jobs() == []
    assert [one["name"] for one in azure.get("computes")["value"]] == ["theirs"]
    assert azure.run("clean", "--yes") == (0, "Nothing is left.\n")


OPERATOR = "test_operator_on_target"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_where_azure_is_an_emulator_nothing_differs_and_nothing_is_left(azure: Azure, tmp_path: Path) -> None:
    recordings, verified = tmp_path / "recordings", tmp_path / "verified.json"
    options = (
        "--yes",
        "--diff",
        "--record",
        str(recordings),
        "--verified",
        str(verified),
    )

    code, output = azure.run("run", *options)

    assert code == 0, output
    cost = re.search(r"^Highest cost: (\d\.\d\d USD)", output, re.MULTILINE)
    assert cost, output
    assert f"{cost[1]} without" in (ROOT / "docs" / "live.md").read_text()
    assert re.search(r"^0 differences in \d{2,} answers", output, re.MULTILINE), output
    assert azure.jobs() == []
    assert azure.get("computes")["value"] == []
    assert [vault["secrets"] for vault in azure.admin("vaults")] == [[]]
    assert azure.run("clean", "--yes") == (0, "Nothing is left.\n")
    # What was recorded.
    found = recorder.read(recordings)
    text = "".join(file.read_text() for file in recordings.rglob("*.json"))
    for secret in (*NAMES, azure.running.tenant_id, azure.running.client_id, "swordfish", azure.running.base_url):
        assert secret not in text
    for exchanges in found.values():
        assert exchanges[0].keys() >= {"api_version", "date", "region", "client", "method", "path", "status"}
    # What is verified: each test that has sent something.
    dates = json.loads(verified.read_text())
    assert {recorder.folder_of(test) for test in dates} == found.keys() - {"outside"}
    assert "PUT jobs/{job}" in {operation for test in dates.values() for operation in test["operations"]}


@pytest.mark.long
@pytest.mark.weekly
@pytest.mark.timeout(900)
def test_each_planted_difference_is_found_and_a_leak_is_not_written(azure: Azure, tmp_path: Path) -> None:
    recordings = tmp_path / "recordings"
    with planted(azure.running, tmp_path, (*PLANTS, LEAK)) as (server, bundle):
        azure.environment |= {"AZUREML_DEV_URL_MFE": server.url, "REQUESTS_CA_BUNDLE": str(bundle)}
        code, output = azure.run("run", "--yes", "--diff", "--record", str(recordings), "--tests", f"not {OPERATOR}")
        met = dict(server.met)

    assert code == 1, output
    assert len(PLANTS) == 20
    assert [plant.found_as for plant, times in met.items() if not times] == []
    rows = [line for line in output.splitlines() if line.count(" | ") >= 3]
    missed = [plant.found_as for plant in PLANTS if not any(re.search(plant.found_as, row) for row in rows)]
    assert missed == [], output
    unplanted = [row for row in rows if not any(re.search(plant.found_as, row) for plant in PLANTS)]
    # Where a file was not written, there is nothing to compare. A plant ends one test before it cancels its job, and
    # while that runs, the guard lets the next test submit none: both send fewer requests.
    cut_short = r"_test_a_job_(with_services_that_keeps|that_only_waits)_.* \| request \| only here: "
    rest = [row for row in unplanted if not re.search(cut_short, row)]
    assert all("cpu-cluster-non-existent" in row for row in rest), rest
    assert "Not recorded: test_computes_contract.py::test_a_missing_compute_is_an_answer_without_a_body: GET" in output
    assert "x-ms-debug" not in "".join(file.read_text() for file in recordings.rglob("*.json"))
