"""What each request of a run passes: the guard, the tag, the ledger, the recorder."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.ai.ml import MLClient
from azure.ai.ml.entities import AmlCompute, Environment

from tests.contract.arm import Arm
from tests.live import recorder, wire
from tests.live.guard import Guard, RefusedError
from tests.live.known import of_run
from tests.live.ledger import Ledger
from tests.live.sanitiser import Sanitiser
from tests.live.target import FOLDER, RUN, TAG, WORKSPACE, Target
from zenml_azureml.emulator import Emulator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sent(emulator: Emulator) -> list[tuple[str, str]]:
    """What the emulator is sent, in its order."""
    found: list[tuple[str, str]] = []
    emulator.context.on_request = lambda method, path, _body: found.append((method, path))
    return found


@pytest.fixture
def guarded(emulator: Emulator, tmp_path: Path) -> Iterator[Target]:
    """An emulator as the target of this process."""
    arm = Arm(emulator)
    target = Target(arm.workspace, "AzureCloud", emulator.base_url, "ab12cd")
    known = of_run(arm.workspace, emulator.base_url, {"oid": emulator.context.identity.object_id}, run=target.run)
    writer = recorder.Writer(tmp_path / "recordings", Sanitiser(known, b"key"), known)
    guard = Guard(arm.workspace, (TAG, target.run), {"standard_ds2_v2": 0.1}, most_jobs=1)
    ledger = Ledger(tmp_path / "ledger.jsonl")
    with wire.installed(wire.Wire(target, guard, ledger, writer, "westeurope", tmp_path / "operations.jsonl")):
        yield target


def put(emulator: Emulator, path: str, body: Any) -> requests.Response:
    arm = Arm(emulator)
    url = f"{emulator.base_url}{arm.workspace}/{path}?api-version=2024-04-01"
    headers = {"Authorization": f"Bearer {arm.token()}"}
    return requests.put(url, json=body, headers=headers, verify=str(emulator.ca_bundle), timeout=60)


def cluster(least: int) -> dict[str, Any]:
    inner = {"vmSize": "Standard_DS2_v2", "scaleSettings": {"minNodeCount": least, "maxNodeCount": 1}}
    return {"location": "westeurope", "properties": {"computeType": "AmlCompute", "properties": inner}}


def test_a_refused_request_is_not_sent(emulator: Emulator, guarded: Target, sent: list[tuple[str, str]]) -> None:
    with pytest.raises(RefusedError, match="would keep 1 nodes"):
        put(emulator, "computes/cpu", cluster(1))

    assert sent == []
    assert emulator.context.store.workspaces[0].computes == {}


def test_everything_that_a_client_makes_gets_the_tag_and_is_in_the_ledger(
    emulator: Emulator, guarded: Target, ml_client: MLClient, tmp_path: Path
) -> None:
    ml_client.environments.create_or_update(Environment(name="ours", version="1", image="image:1", tags={"a": "b"}))
    ml_client.compute.begin_create_or_update(AmlCompute(name="cpu", size="Standard_DS2_v2", max_instances=1)).result()

    assert ml_client.environments.get("ours", version="1").tags == {"a": "b", TAG: "ab12cd"}
    assert ml_client.compute.get("cpu").tags == {TAG: "ab12cd"}
    made = Ledger(tmp_path / "ledger.jsonl").made()
    assert {path.partition("/workspaces/emulator/")[2] for path in made} == {
        "environments/ours/versions/1",
        "computes/cpu",
    }


def test_an_exchange_is_recorded_and_signing_in_is_not(
    emulator: Emulator, guarded: Target, ml_client: MLClient, tmp_path: Path
) -> None:
    ml_client.environments.create_or_update(Environment(name="zlab12cd-ours", version="1", image="image:1"))

    ((_test, exchanges),) = recorder.read(tmp_path / "recordings").items()
    assert {one["method"] for one in exchanges} >= {"PUT"}
    assert not [one for one in exchanges if "oauth2" in one["path"]]
    (made,) = [one for one in exchanges if one["method"] == "PUT"]
    assert made["path"].partition("?")[0].endswith("/workspaces/<workspace>/environments/zlrun-ours/versions/1")
    assert (made["status"], made["region"], made["kind"]) == (201, "westeurope", "recording")
    assert "azure-ai-ml" in made["client"]
    assert made["request_body"]["properties"]["image"] == "image:1"
    lines = [json.loads(line) for line in (tmp_path / "operations.jsonl").read_text().splitlines()]
    assert "PUT" in {method for _, method, _ in lines}


def test_a_streamed_answer_can_still_be_read(emulator: Emulator, guarded: Target) -> None:
    arm = Arm(emulator)
    url = f"{emulator.base_url}{arm.workspace}?api-version=2024-04-01"
    headers = {"Authorization": f"Bearer {arm.token()}"}

    answer = requests.get(url, headers=headers, verify=str(emulator.ca_bundle), stream=True, timeout=60)

    assert json.loads(answer.raw.read()) == answer.json()


def test_the_wire_is_gone_afterwards(emulator: Emulator) -> None:
    assert not wire.is_installed()


def test_a_script_passes_it_until_its_end(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(
        json.dumps({"prices": {}, "most_jobs": 1, "most_minutes": 5, "region": "westeurope"})
    )
    code = (
        "import gc; from tests.live import wire; wire.install_for_script('x'); gc.collect(); print(wire.is_installed())"
    )
    environment = {
        **{WORKSPACE: Arm(emulator).workspace, RUN: "ab12cd", FOLDER: str(tmp_path)},
        "AZUREML_DEV_URL_MFE": emulator.base_url,
    }

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.stdout == "True\n", done.stderr
