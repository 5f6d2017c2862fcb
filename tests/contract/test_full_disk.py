"""What clients see while an emulator cannot save its state, because its disk is full."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import Environment
from azure.core.exceptions import HttpResponseError

from tests.conftest import credential_of, ml_client_of, point_clients_at
from tests.contract.arm import Arm
from tests.contract.test_page import PAGE, cookie, get
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings

#: More than the free space in the pages of a database.
LONG = "x" * 20_000
NEVER = 1_073_741_823

#: Sets how many pages the database may have; SQLite says of more what it says of a full disk.
Limit = Callable[[int], None]


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(tmp_path / "state", keep_state=True, settings=Settings(job_preparation=3600)) as emulator:
        yield emulator


@pytest.fixture
def arm(emulator: Emulator) -> Arm:
    return Arm(emulator)


@pytest.fixture
def limit(emulator: Emulator) -> Limit:
    async def apply(pages: int) -> None:
        assert emulator.context.journal is not None
        run = emulator.context.journal._database._connection.execute
        ((used,),) = run("PRAGMA page_count").fetchall()
        run(f"PRAGMA max_page_count={used + pages}")

    return lambda pages: emulator.run(apply(pages))


@pytest.fixture
def full(limit: Limit) -> None:
    limit(0)


def put(arm: Arm, name: str) -> tuple[int, str]:
    body = {"properties": {"image": "ubuntu", "description": LONG}}
    answer = arm.call("PUT", f"{arm.workspace}/environments/{name}/versions/1", body)
    return answer.status, answer.text


@pytest.mark.usefixtures("full")
def test_a_request_that_cannot_be_saved_fails_with_the_reason_and_so_does_the_next_one(
    arm: Arm, emulator: Emulator, limit: Limit, tmp_path: Path
) -> None:
    first, second, again = put(arm, "first"), put(arm, "second"), put(arm, "first")

    for status, text in (first, second, again):
        assert status == 507
        error = json.loads(text)["error"]
        assert error["code"] == "InsufficientStorage"
        assert f"cannot use its state folder {tmp_path}/state" in error["message"]
        assert "No space left on device. Free space on its disk" in error["message"]
    assert "The request was carried out, but" in first[1]
    assert "Nothing is changed while" in second[1]
    assert "Nothing is changed while" in again[1]
    assert arm.call("GET", f"{arm.workspace}/environments/second/versions/1").status == 404

    limit(NEVER)
    assert put(arm, "second")[0] == 201
    assert arm.call("GET", "/_emulator/status").body["not_saved"] is None
    emulator.close()
    with Emulator(tmp_path / "state", keep_state=True) as next_one:
        (found,) = next_one.context.store.workspaces
        assert {"first", "second"} <= found.assets_of("environments").keys()


def test_status_and_page_say_that_nothing_is_saved(arm: Arm, limit: Limit) -> None:
    signed_in = cookie(arm)
    assert arm.call("GET", "/_emulator/status").body["not_saved"] is None
    assert json.loads(get(arm, f"{PAGE}/data", signed_in)[1])["notSaved"] is None
    limit(0)

    put(arm, "env")

    assert "No space left on device" in arm.call("GET", "/_emulator/status").body["not_saved"]
    assert "No space left on device" in json.loads(get(arm, f"{PAGE}/data", signed_in)[1])["notSaved"]


def test_what_needs_no_room_is_served_all_the_same(arm: Arm, limit: Limit) -> None:
    body = {"jobType": "Command", "command": "true", "environmentId": "azureml:image:1"}
    assert arm.call("PUT", "jobs/waiting", {"properties": body}).status == 201
    limit(0)
    assert put(arm, "env")[0] == 507

    assert arm.call("GET", "jobs/waiting").status == 200
    assert arm.call("GET", "jobs").status == 200
    assert arm.call("GET", f"{arm.workspace}/datastores").status == 200
    canceled = arm.call("POST", "jobs/waiting/cancel")
    assert (canceled.status, "InsufficientStorage" in canceled.text) in {(200, False), (202, False), (507, True)}
    assert arm.call("GET", "jobs/waiting").body["properties"]["status"] in {"CancelRequested", "Canceled"}


def test_the_sdk_reports_it(emulator: Emulator, limit: Limit, monkeypatch: pytest.MonkeyPatch) -> None:
    point_clients_at(emulator, monkeypatch)
    client: MLClient = ml_client_of(emulator, credential_of(emulator))
    limit(0)

    with pytest.raises(HttpResponseError, match="No space left on device"):
        client.environments.create_or_update(Environment(name="env", version="1", image="ubuntu", description=LONG))
