"""Jobs' logs as blobs: read with Microsoft's storage client, and refused as the service refuses."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, BlobServiceClient, generate_blob_sas

from tests.contract.arm import Answer, Arm, recorded
from tests.contract.recorded_answers import comparable
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import ManualClock
from zenml_azureml.emulator.services.storage.sas import account_of
from zenml_azureml.emulator.state import Workspace

LOG = b"first line\nsecond line\n"


@pytest.fixture
def arm(slow: Emulator) -> Arm:
    """An emulator in which a job has written a log, and whose time stands still."""
    arm = Arm(slow)
    environment = {"properties": {"image": "ubuntu"}}
    assert arm.call("PUT", "environments/env/versions/1", environment).status == 201
    job = {"jobType": "Command", "command": "x", "environmentId": f"{arm.workspace}/environments/env/versions/1"}
    assert arm.call("PUT", "jobs/train", {"properties": job}).status == 201
    write(slow, LOG)
    return arm


def workspace_of(emulator: Emulator) -> Workspace:
    return emulator.context.store.workspaces[0]


def log_folder(emulator: Emulator) -> Path:
    job = workspace_of(emulator).find_job("train")
    assert job is not None
    job.log_folder.mkdir(parents=True, exist_ok=True)
    return job.log_folder


def write(emulator: Emulator, content: bytes) -> None:
    with (log_folder(emulator) / "std_log.txt").open("ab") as log:
        log.write(content)


def log_urls(arm: Arm) -> dict[str, str]:
    details = arm.call("GET", f"/history/v1.0{arm.workspace}/runs/train/details", api_version=None)
    urls: dict[str, str] = details.body["logFiles"]
    return urls


@pytest.fixture
def url(arm: Arm) -> str:
    return log_urls(arm)["user_logs/std_log.txt"]


@pytest.fixture
def blob(url: str) -> Iterator[BlobClient]:
    with BlobClient.from_blob_url(url, retry_total=0) as client:
        yield client


def fetch(arm: Arm, url: str, method: str = "GET", **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return arm.call(method, url, api_version=None, headers={"Authorization": "", **sent})


def error_of(answer: Answer) -> tuple[int, str, str]:
    """Status, code and what is said of it, which header and body agree on."""
    root = ET.fromstring(answer.text.removeprefix("\ufeff"))
    code = root.findtext("Code") or ""
    assert answer.headers["x-ms-error-code"] == code
    assert answer.headers["Content-Type"] == "application/xml"
    assert f"RequestId:{answer.headers['x-ms-request-id']}\nTime:" in (root.findtext("Message") or "")
    return answer.status, code, root.findtext("AuthenticationErrorDetail") or ""


def test_a_log_url_is_signed_as_users_quote_it(arm: Arm, url: str) -> None:
    quoted = recorded("quoted_rundetails_v1_logfiles")["response_body"]["logFiles"]
    fields = parse_qs(urlsplit(url).query)

    assert set(fields) == set(parse_qs(urlsplit(*quoted.values()).query))
    assert (fields["sr"], fields["sp"]) == (["b"], ["r"])
    start, end = (datetime.strptime(fields[key][0], "%Y-%m-%dT%H:%M:%SZ") for key in ("st", "se"))
    assert end - start == timedelta(hours=8, minutes=10)
    assert comparable(fields["st"][0]) == comparable("2021-06-23T13:05:49Z")


def test_the_storage_client_reads_a_log(blob: BlobClient) -> None:
    assert blob.download_blob().readall() == LOG
    assert blob.download_blob(offset=11).readall() == LOG[11:]
    assert blob.download_blob(offset=6, length=4).readall() == b"line"


def test_the_storage_client_sees_what_a_job_adds(arm: Arm, blob: BlobClient) -> None:
    before = blob.get_blob_properties()

    write(arm.emulator, b"third line\n")

    after = blob.get_blob_properties()
    assert blob.download_blob(offset=before.size).readall() == b"third line\n"
    assert after.etag != before.etag
    assert after.blob_type == "AppendBlob"
    assert after.size == len(LOG) + 11


def test_an_empty_log_is_read_as_nothing(arm: Arm) -> None:
    (log_folder(arm.emulator) / "std_log_process_1.txt").touch()

    with BlobClient.from_blob_url(log_urls(arm)["user_logs/std_log_process_1.txt"]) as client:
        assert client.download_blob().readall() == b""


@pytest.mark.parametrize(
    ("asked", "part", "content_range"),
    [
        ("bytes=11-", LOG[11:], "bytes 11-22/23"),
        ("bytes=0-4", b"first", "bytes 0-4/23"),
        ("bytes=20-999", LOG[20:], "bytes 20-22/23"),
    ],
)
def test_a_range_is_a_part(arm: Arm, url: str, asked: str, part: bytes, content_range: str) -> None:
    answer = fetch(arm, url, Range=asked)

    assert (answer.status, answer.text.encode()) == (206, part)
    assert answer.headers["Content-Range"] == content_range
    assert answer.headers["Content-Length"] == str(len(part))


def test_the_services_own_range_header_wins(arm: Arm, url: str) -> None:
    assert fetch(arm, url, Range="bytes=0-4", x_ms_range="bytes=6-9").text == "line"


def test_a_range_beyond_the_end_has_nothing_new(arm: Arm, url: str) -> None:
    answer = fetch(arm, url, Range=f"bytes={len(LOG)}-")

    assert error_of(answer)[:2] == (416, "InvalidRange")
    assert answer.headers["Content-Range"] == "bytes */23"


def test_a_whole_log_has_the_headers_of_an_append_blob(arm: Arm, url: str) -> None:
    whole, head = fetch(arm, url, x_ms_version="2021-12-02"), fetch(arm, url, "HEAD")

    assert whole.status == head.status == 200
    assert head.text == ""
    for answer in (whole, head):
        assert answer.headers["Content-Length"] == "23"
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["x-ms-blob-type"] == "AppendBlob"
        assert answer.headers["Last-Modified"].endswith("GMT")
    assert whole.headers["x-ms-version"] == "2021-12-02"


def test_a_log_that_has_changed_is_not_the_one_asked_for(arm: Arm, url: str) -> None:
    etag = fetch(arm, url, "HEAD").headers["ETag"]
    assert fetch(arm, url, If_Match=etag).status == 200

    write(arm.emulator, b"more\n")

    assert error_of(fetch(arm, url, If_Match=etag))[:2] == (412, "ConditionNotMet")


def test_an_expired_url_is_refused_with_its_times(arm: Arm, url: str, clock: ManualClock) -> None:
    arm.emulator.run(clock.advance(8 * 3600 + 1))

    status, code, detail = error_of(fetch(arm, url))

    assert (status, code) == (403, "AuthenticationFailed")
    assert detail.startswith("Signature not valid in the specified time frame: Start [")
    assert fetch(arm, log_urls(arm)["user_logs/std_log.txt"]).status == 200


def test_a_url_is_good_for_one_blob_and_unchanged(arm: Arm, url: str) -> None:
    (log_folder(arm.emulator) / "other.txt").write_bytes(b"secret")
    changed = [
        url.replace("std_log.txt", "other.txt"),
        url.replace("sp=r", "sp=rw"),
        url.replace("se=2", "se=3"),
        url.replace("sig=", "sig=A"),
        url.replace("sv=2021-12-02", "sv=2019-02-02"),
    ]

    assert [error_of(fetch(arm, each))[:2] for each in changed] == [(403, "AuthenticationFailed")] * 5
    assert error_of(fetch(arm, url.split("?", maxsplit=1)[0]))[:2] == (409, "PublicAccessNotPermitted")


def test_microsofts_own_signatures_are_accepted(arm: Arm, url: str) -> None:
    assert fetch(arm, signed_by_the_sdk(arm, url, "r")).text.encode() == LOG
    assert error_of(fetch(arm, signed_by_the_sdk(arm, url, "w")))[:2] == (403, "AuthorizationPermissionMismatch")


def signed_by_the_sdk(arm: Arm, url: str, permission: str) -> str:
    address, container, name = url.split("?", maxsplit=1)[0].partition("/azureml/")
    token = generate_blob_sas(
        account_name=datastore(arm)["accountName"],
        container_name=container.strip("/"),
        blob_name=name,
        account_key=account_key(arm),
        permission=permission,
        expiry=datetime.now(timezone.utc) + timedelta(minutes=30),
    )
    return f"{address}{container}{name}?{token}"


def datastore(arm: Arm, name: str = "workspaceartifactstore") -> dict[str, str]:
    properties: dict[str, str] = arm.call("GET", f"datastores/{name}").body["properties"]
    return properties


def account_key(arm: Arm) -> str:
    return str(arm.call("POST", "datastores/workspaceartifactstore/listSecrets").body["key"])


@pytest.mark.parametrize("name", ["workspaceartifactstore", "workspaceblobstore"])
def test_datastores_are_told_as_recorded(arm: Arm, name: str) -> None:
    short = {"workspaceartifactstore": "datastore_get_artifactstore", "workspaceblobstore": "datastore_get_blob"}
    exchange = recorded(short[name])
    expected = exchange["response_body"]

    answer = arm.call("GET", f"datastores/{name}", api_version=exchange["api_version"]).body

    for body in (answer, expected):
        body["properties"]["accountName"] = "<account>"
        body["systemData"]["createdBy"] = body["systemData"]["lastModifiedBy"] = "<person>"
    assert comparable(answer) == comparable(expected)
    assert arm.call("GET", "datastores/none").status == 404


def test_logs_are_listed_with_the_accounts_key_alone(arm: Arm) -> None:
    address = f"https://{datastore(arm)['accountName']}.blob.core.windows.net"
    stranger = base64.b64encode(b"x" * 64).decode()

    with BlobServiceClient(address, credential=account_key(arm)) as service:
        container = service.get_container_client("azureml")
        (found,) = container.list_blobs(name_starts_with="ExperimentRun/dcid.train/user_logs/")
        assert list(container.list_blobs(name_starts_with="ExperimentRun/dcid.other/")) == []
    assert (found.name, found.size) == ("ExperimentRun/dcid.train/user_logs/std_log.txt", len(LOG))
    with (
        BlobServiceClient(address, credential=stranger, retry_total=0) as service,
        pytest.raises(HttpResponseError, match="AuthenticationFailed"),
    ):
        list(service.get_container_client("azureml").list_blobs())


@pytest.mark.parametrize(
    "name",
    [
        "ExperimentRun/dcid.train/user_logs/none.txt",
        "ExperimentRun/dcid.train/user_logs/../outside.txt",
        "ExperimentRun/dcid.train/user_logs/link.txt",
        "ExperimentRun/dcid.train/outside.txt",
        "ExperimentRun/dcid.none/user_logs/std_log.txt",
        "else/where.txt",
    ],
)
def test_nothing_but_a_jobs_log_folder_is_shown(arm: Arm, name: str) -> None:
    folder = log_folder(arm.emulator)
    (folder.parent / "outside.txt").write_text("secret")
    (folder / "link.txt").symlink_to(folder.parent / "outside.txt")
    context = arm.emulator.context
    account = account_of(workspace_of(arm.emulator), context.base_url)
    url = account.sas_url(name, now=context.clock.now(), lifetime=timedelta(hours=1))

    assert error_of(fetch(arm, url.replace("/../", "/%2E%2E/")))[:2] in {
        (404, "BlobNotFound"),
        (403, "AuthenticationFailed"),
    }
    assert list(log_urls(arm)) == ["user_logs/std_log.txt"]
