"""What is out of bounds is refused: in Azure's form, or in a sentence by the emulator's own interface."""

from __future__ import annotations

import copy
import http.client
import json
import shutil
import ssl
import time
import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.contract.arm import Answer, Arm
from tests.contract.valid_requests import CLUSTER, JOB
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import SystemClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.http.bounds import MOST_BODY_BYTES
from zenml_azureml.emulator.resources import TERMINAL_STATES
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime
from zenml_azureml.emulator.services.storage.sas import account_of

HUGE = 10**9
_NO_COUNTS: tuple[Any, ...] = (HUGE, 10**30, 2_000, 0, -1, True, 1.5, "2", [2], {})


def job(**changes: Any) -> dict[str, Any]:
    """The body of a serverless job, with changes to its properties."""
    without: dict[str, Any] = {"codeId": None, "computeId": None, "identity": None, "inputs": {}, "outputs": {}}
    properties = {**copy.deepcopy(JOB), **without, **changes}
    return {"properties": properties}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arm]:
    """One emulator for all that is refused and so changes nothing."""
    settings, clock = Settings(rate_limits=False), SystemClock()
    folder = tmp_path_factory.mktemp("served") / "state"
    with Emulator(folder, runtime=SimulatedRuntime(clock, settings), clock=clock, settings=settings) as emulator:
        yield Arm(emulator)


def is_azures(answer: Answer, status: int = 400) -> bool:
    error = answer.body["error"]
    return answer.status == status and bool(error["code"]) and error["message"].endswith(".")


def end_of(arm: Arm, name: str) -> dict[str, Any]:
    """Wait for the end of a job; what run history says of it."""
    for _ in range(10_000):
        body = arm.call("GET", f"/history/v1.0{arm.workspace}/runs/{name}").body
        if body["status"] in TERMINAL_STATES:
            found: dict[str, Any] = body
            return found
        time.sleep(0.02)
    raise AssertionError("the job does not end")


@pytest.mark.parametrize(
    "changes",
    [{"resources": {"instanceCount": number}} for number in _NO_COUNTS]
    + [
        {"distribution": {"distributionType": kind, "processCountPerInstance": number}}
        for kind in ("PyTorch", "Mpi")
        for number in (HUGE, 2_000, 0, -1, True, "2")
    ]
    + [
        {"distribution": {"distributionType": "TensorFlow", "workerCount": HUGE}},
        {"distribution": {"distributionType": "TensorFlow", "parameterServerCount": 5_000}},
        {
            "resources": {"instanceCount": 100},
            "distribution": {"distributionType": "PyTorch", "processCountPerInstance": 100},
        },
    ]
    + [{"resources": {"shmSize": size}} for size in ("9999999999g", "0g", "-1g", "2", "2 g", "2gb", "1e9g", 2, "")]
    + [{"limits": {"timeout": span}} for span in ("P99999999999D", "PT0S", "-PT5M", "nan", "inf", "", 5, "P11000000D")]
    + [
        {"tags": {str(number): "" for number in range(51)}},
        {"tags": {"x" * 101: ""}},
        {"tags": {"a": "x" * 1_001}},
        {"tags": {"a": ["1"]}},
        {"tags": ["a"]},
        {"properties": {str(number): "" for number in range(51)}},
        {"displayName": "x" * 257},
        {"description": "x" * 5_001},
        {"experimentName": "a/b"},
        {"experimentName": "x" * 257},
        {"command": "echo \0"},
        {"command": ["echo"]},
        {"environmentVariables": {"A=B": "1"}},
        {"environmentVariables": {"": "1"}},
        {"environmentVariables": {"A": "\0"}},
        {"environmentVariables": {"A": None}},
        {"environmentVariables": {"A": {}}},
    ]
    + [
        {kind: {name: item}}
        for kind, item in (("inputs", JOB["inputs"]["data"]), ("outputs", JOB["outputs"]["model"]))
        for name in ("../../../x", "..", ".", "/etc", "", "a/b", "a\\b", "a\0", "x" * 300, "é", "a\n", "-x\u202e")
    ],
    ids=lambda changes: json.dumps(changes)[:60],
)
def test_a_job_out_of_bounds_is_refused(served: Arm, changes: dict[str, Any]) -> None:
    before = sorted(path for path in served.emulator.context.folder.parent.rglob("*") if path.is_dir())

    assert is_azures(served.call("PUT", "jobs/job", job(**changes)))
    assert served.call("GET", "jobs").body["value"] == []
    assert sorted(path for path in served.emulator.context.folder.parent.rglob("*") if path.is_dir()) == before


@pytest.mark.parametrize("scale", [{"maxNodeCount": HUGE}, {"maxNodeCount": True}, {"minNodeCount": -1}, [4], "4"])
def test_a_cluster_out_of_bounds_is_refused(served: Arm, scale: Any) -> None:
    body = copy.deepcopy(CLUSTER)
    body["properties"]["properties"]["scaleSettings"] = (
        {"minNodeCount": 0, "maxNodeCount": 4, **scale} if isinstance(scale, dict) else scale
    )

    assert is_azures(served.call("PUT", "computes/cluster", body))


@pytest.mark.parametrize(
    "changes",
    [{"latency": number} for number in (1e308, -1, True, "1", None, 10**12)]
    + [{"page_size": number} for number in (0, HUGE, 1.5, True)]
    + [{"simulated_lines": HUGE}, {"simulated_exit_code": HUGE}, {"token_lifetime": 0}, {"sas_lifetime": 1e300}]
    + [{"rate_limits": "no"}, {"nothing": 1}, {}],
    ids=str,
)
def test_settings_out_of_bounds_are_refused_in_a_sentence(served: Arm, changes: dict[str, Any]) -> None:
    before = served.call("GET", "/_emulator/settings").body

    answer = served.call("POST", "/_emulator/settings", changes)

    assert answer.status == (400 if changes else 200)
    assert not changes or set(changes) == {answer.body["error"].partition(":")[0]}
    assert served.call("GET", "/_emulator/settings").body == before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"delay": 1e308}),
        ("faults", {"status": True}),
        ("faults", {"status": 503, "times": 10**30}),
        ("faults", {"status": 503, "after": -1}),
        ("faults", {"status": 503, "headers": {"A": "b\r\nC: d"}}),
        ("faults", {"status": 503, "headers": {"A: b": "c"}}),
        ("faults", {"status": 503, "headers": {"A": "\u2603"}}),
        ("faults", {"status": 503, "path": "(a+)+$"}),
        ("faults", {"status": 503, "path": "(a|aa)*$"}),
        ("faults", {"status": 503, "path": "((a{1,9}){1,9})*"}),
        ("faults", {"status": 503, "path": "x" * 5_000}),
        ("faults", {"status": 503, "path": "("}),
        ("faults", {"status": 503, "path": ["x"]}),
        ("scenario", {"name": "quota", "after": 1e308}),
        ("scenario", {"name": "quota", "times": 0}),
        ("scenario", {"name": "quota", "times": True}),
        ("scenario", {"name": "quota", "jobs": "(x*)*"}),
        ("jobs/none/kill", {"rank": HUGE * HUGE}),
        ("jobs/none/kill", {"rank": -1}),
        ("roles", {"roles": "Owner"}),
        ("tokens/revoke", {"answer": []}),
        ("secret/rotate", {"old": 1}),
        ("vault-access", {"computes": None}),
    ],
)
def test_the_emulators_own_interface_refuses_in_a_sentence(served: Arm, path: str, body: object) -> None:
    answer = served.call("POST", f"/_emulator/{path}", body)

    assert answer.status in (400, 404)
    assert answer.status == 404 or answer.body["error"]
    assert served.call("GET", "/_emulator/faults").body == []


@pytest.mark.parametrize("pattern", ["/jobs/.*/cancel", "(PUT|POST)", "/jobs/[^/]+$", r"\(a+\)+", "[(a+)]+", "a{2}"])
def test_ordinary_regular_expressions_are_taken(emulator: Emulator, pattern: str) -> None:
    assert Arm(emulator).call("POST", "/_emulator/faults", {"status": 503, "path": pattern}).status == 201


def test_a_body_that_is_too_large_is_refused(served: Arm) -> None:
    answer = served.call("PUT", "jobs/job", job(command="x" * MOST_BODY_BYTES))

    assert is_azures(answer, 413)
    assert served.call("GET", "jobs").status == 200


@pytest.mark.parametrize(
    "conda",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        "[" * 20_000,
        "[" * 30 + "]" * 30,  # which is YAML: only its levels are too many
        "a: 2020-01-01",
        "a: !!python/object/apply:os.getcwd []",
        "? [a]\n: b",
        "a: " + "9" * 10_000,
        "x" * 300_000,
        "\t",
    ],
    ids=lambda conda: conda[:20],
)
def test_a_conda_file_that_cannot_be_used_is_refused(served: Arm, conda: str) -> None:
    body = {"properties": {"image": "python", "condaFile": conda}}

    assert is_azures(served.call("PUT", "environments/e/versions/1", body))


@pytest.mark.parametrize(
    "uri",
    [
        "azureml://datastores/../paths/jobs",
        "azureml://datastores/d/paths/y",
        "azureml://datastores/workspaceblobstore/paths/../../../outside",
        "azureml://datastores/workspaceblobstore/paths/x/../../../outside",
        "azureml://datastores/workspaceblobstore/paths/" + "x" * 5_000,
        "azureml://datastores/workspaceblobstore/paths/.",
    ],
    ids=lambda uri: uri[-24:],
)
def test_a_job_with_an_output_outside_of_every_datastore_fails(emulator: Emulator, uri: str) -> None:
    arm = Arm(emulator)
    outputs = {"model": {"jobOutputType": "uri_folder", "mode": "ReadWriteMount", "uri": uri}}
    assert arm.call("PUT", "jobs/job", job(outputs=outputs)).status == 201

    assert end_of(arm, "job")["status"] == "Failed"
    assert not list(emulator.context.folder.parent.rglob("outside"))


@pytest.mark.parametrize("name", ["cap", "exe"])
def test_a_folder_that_a_job_has_made_a_link_is_not_followed(emulator: Emulator, tmp_path: Path, name: str) -> None:
    arm = Arm(emulator)
    outside = tmp_path / "outside"
    outside.mkdir()
    place = emulator.context.folder / "jobs" / "job" / name
    assert arm.call("PUT", "jobs/first", job()).status == 201
    end_of(arm, "first")
    place.parent.mkdir()
    place.symlink_to(outside)

    assert arm.call("PUT", "jobs/job", job()).status == 201

    assert end_of(arm, "job")["status"] == "Failed"
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "variables",
    [
        {"SIMULATE_LINES": "1e12"},
        {"SIMULATE_SECONDS": "inf"},
        {"SIMULATE_SECONDS": "nan"},
        {"SIMULATE_RETRIES": "-1"},
        {"SIMULATE_LOG_DELAY": "1e308"},
        {"SIMULATE_EXIT_CODE": "x"},
    ],
)
def test_a_simulated_job_out_of_bounds_fails_in_a_sentence(emulator: Emulator, variables: dict[str, str]) -> None:
    arm = Arm(emulator)
    assert arm.call("PUT", "jobs/job", job(environmentVariables=variables)).status == 201

    message = end_of(arm, "job")["error"]["error"]["message"]

    assert message.startswith(f"The job cannot be run: {next(iter(variables))} must be a number from ")


def test_logs_show_no_files_outside_of_the_job(emulator: Emulator, tmp_path: Path) -> None:
    arm = Arm(emulator)
    assert arm.call("PUT", "jobs/job", job()).status == 201
    end_of(arm, "job")
    made = emulator.context.store.workspaces[0].find_job("job")
    assert made is not None
    logs = made.log_folder
    (tmp_path / "secret.txt").write_text("secret")
    (logs / "link.txt").symlink_to(tmp_path / "secret.txt")
    (logs / "folder").symlink_to(tmp_path)
    (logs / "loop").symlink_to(logs / "loop")
    (logs / b"\xff.txt".decode("utf-8", "surrogateescape")).write_text("no name of a blob")
    (logs / "a\nb.txt").write_text("no name of a blob")

    def shown() -> set[str]:
        details = arm.call("GET", f"/history/v1.0{arm.workspace}/runs/job/details")
        assert details.status == 200
        return set(details.body["logFiles"])

    ordinary = {path.name for path in logs.glob("std_log*")}
    assert {name.rpartition("/")[2] for name in shown()} == ordinary
    workspace = emulator.context.store.workspaces[0]
    account = account_of(workspace, emulator.base_url)
    for path in ("link.txt", "folder/secret.txt", "../../../../secret.txt", "/etc/passwd", "x" * 3_000, "a\0b", "loop"):
        name = f"ExperimentRun/dcid.job/user_logs/{path}"
        url = account.sas_url(name, now=emulator.context.clock.now(), lifetime=timedelta(hours=1))
        assert arm.call("GET", url, api_version=None, headers={"Authorization": ""}).status in (403, 404)

    shutil.rmtree(logs)
    logs.symlink_to(tmp_path)
    assert shown() == set()


class TestTheDisk:
    @pytest.fixture
    def arm(self, tmp_path: Path) -> Iterator[Arm]:
        settings, clock = Settings(job_preparation=0, job_finalization=0), SystemClock()
        folder = tmp_path / "state"
        with Emulator(folder, runtime=SimulatedRuntime(clock, settings), clock=clock, settings=settings) as emulator:
            yield Arm(emulator)

    def test_a_job_without_a_folder_fails_in_a_sentence(self, arm: Arm) -> None:
        folder = arm.emulator.context.folder / "jobs"
        folder.write_text("in the way")

        assert arm.call("PUT", "jobs/job", job()).status == 201
        error = end_of(arm, "job")["error"]["error"]

        assert error["code"] == "SystemError"
        assert error["message"].startswith(f"The emulator cannot use its state folder {folder.parent} ({folder}")
        folder.unlink()

    def test_a_state_folder_that_has_vanished_is_made_again_for_a_job(self, arm: Arm) -> None:
        shutil.rmtree(arm.emulator.context.folder)

        assert arm.call("PUT", "jobs/job", job()).status == 201

        assert end_of(arm, "job")["status"] == "Completed"


@pytest.mark.parametrize("path", ["/{tenant}/oauth2/v2.0/token", "{workspace}/jobs/train?api-version=2024-04-01"])
@pytest.mark.parametrize("body", [b"[" * 200, b"\x1f\x8b\x08broken", zlib.compress(b"a=1")[:-2], zlib.compress(b"{}")])
@pytest.mark.parametrize("encoding", ["deflate", "gzip", "br", "zstd", "nonsense"])
def test_a_body_that_comes_after_its_headers_and_cannot_be_read_is_refused(
    served: Arm, path: str, body: bytes, encoding: str
) -> None:
    """A client sends both apart, so that a handler waits already when the server finds the body to be broken."""
    path = path.format(tenant=served.emulator.tenant_id, workspace=served.workspace)
    tls = ssl.create_default_context(cafile=str(served.emulator.ca_file))
    connection = http.client.HTTPSConnection(urlsplit(served.emulator.base_url).netloc, context=tls, timeout=30)
    connection.putrequest("PUT" if "jobs" in path else "POST", path)
    connection.putheader("Authorization", f"Bearer {served.token()}")
    connection.putheader("Content-Type", "application/json" if "jobs" in path else "application/x-www-form-urlencoded")
    connection.putheader("Content-Encoding", encoding)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    # The server has the headers by the time it has answered a later request on another connection.
    assert served.call("GET", "jobs").status == 200

    connection.send(body)

    assert connection.getresponse().status == 400
    connection.close()
