"""Blob storage as azure-storage-blob and adlfs use it."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.storage.blob import (
    AccountSasPermissions,
    BlobBlock,
    BlobSasPermissions,
    BlobServiceClient,
    ContainerClient,
    ContainerSasPermissions,
    ContentSettings,
    ResourceTypes,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)

from tests.conftest import point_clients_at
from tests.contract.arm import Arm
from zenml_azureml.emulator import Emulator

CONTAINER = "ours"


ADLFS = """
import os
from adlfs import AzureBlobFileSystem

files = AzureBlobFileSystem(connection_string=os.environ["CONNECTION"])
with files.open("ours/folder/file.txt", "wb") as file:
    file.write(b"hello " * 1000)
assert files.ls("ours/folder") == ["ours/folder/file.txt"]
assert files.cat("ours/folder/file.txt") == b"hello " * 1000
assert files.info("ours/folder")["type"] == "directory"
files.mv("ours/folder/file.txt", "ours/other/moved.txt")
assert files.find("ours") == ["ours/other/moved.txt"]
files.rm("ours/other", recursive=True)
files.pipe("ours/folder/kept.txt", b"kept")
"""


@pytest.fixture(autouse=True)
def _trusting(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    point_clients_at(emulator, monkeypatch)


@pytest.fixture
def key(arm: Arm) -> str:
    return str(arm.call("POST", "datastores/workspaceblobstore/listSecrets").body["key"])


@pytest.fixture
def account(arm: Arm) -> str:
    return str(arm.call("GET", "datastores/workspaceblobstore").body["properties"]["accountName"])


@pytest.fixture
def service(account: str, key: str) -> Iterator[BlobServiceClient]:
    address = f"https://{account}.blob.core.windows.net"
    with BlobServiceClient(
        address, credential=key, retry_total=0, max_single_put_size=1000, max_block_size=600
    ) as made:
        yield made


@pytest.fixture
def container(service: BlobServiceClient) -> ContainerClient:
    return service.create_container(CONTAINER)


def test_empty_blobs_follow_each_other(container: ContainerClient) -> None:
    for name in ("first/__init__.py", "second/__init__.py", "third/__init__.py"):
        assert container.upload_blob(name, b"").download_blob().readall() == b""


def test_blobs_are_written_in_blocks_and_read_in_ranges(container: ContainerClient) -> None:
    content = bytes(range(256)) * 20
    settings = ContentSettings(content_type="text/x-ours", cache_control="no-store", content_encoding="zip")
    blob = container.upload_blob("a/b c%20ü.txt", content, metadata={"first_name": "1"}, content_settings=settings)

    assert blob.download_blob().readall() == content
    assert blob.download_blob(offset=700, length=1000).readall() == content[700:1700]
    found = blob.get_blob_properties()
    assert (found.size, found.metadata) == (len(content), {"first_name": "1"})
    assert found.content_settings.content_type == "text/x-ours"
    assert found.content_settings.cache_control == "no-store"
    assert found.content_settings.content_encoding == "zip"
    committed, uncommitted = blob.get_block_list("all")
    assert (sum(block.size for block in committed), uncommitted) == (len(content), [])


def test_a_block_is_compared_with_its_md5_and_has_none_in_the_answer_otherwise(container: ContainerClient) -> None:
    blob = container.get_blob_client("blocks")
    digest = hashlib.md5(b"content", usedforsecurity=False).digest()

    assert blob.stage_block("1", b"content")["content_md5"] is None
    assert bytes(blob.stage_block("2", b"content", validate_content=True)["content_md5"]) == digest
    with pytest.raises(HttpResponseError, match="Md5Mismatch"):
        blob.stage_block("3", b"content", headers={"Content-MD5": base64.b64encode(b"x" * 16).decode()})


def test_parts_of_blocks_and_of_the_blob_before_make_the_next_one(container: ContainerClient) -> None:
    blob, parts = container.get_blob_client("blocks"), [os.urandom(size) for size in (1_500_000, 1, 300_000, 2_000_000)]
    for number, part in enumerate(parts[:3]):
        blob.stage_block(str(number), part)
    blob.commit_block_list([BlobBlock(block_id=str(number)) for number in (2, 0, 1)])
    assert blob.download_blob().readall() == parts[2] + parts[0] + parts[1]

    blob.stage_block("3", parts[3])
    blob.commit_block_list([BlobBlock(block_id=str(number)) for number in (0, 3, 2)])

    assert blob.download_blob().readall() == parts[0] + parts[3] + parts[2]
    assert blob.download_blob(offset=1_499_990, length=500_000).readall() == (parts[0] + parts[3])[1_499_990:1_999_990]


def test_a_small_blob_has_its_md5(container: ContainerClient) -> None:
    blob = container.upload_blob("small", b"content")

    digest = blob.get_blob_properties().content_settings.content_md5
    assert digest is not None
    assert bytes(digest) == hashlib.md5(b"content", usedforsecurity=False).digest()
    assert blob.download_blob(validate_content=False).readall() == b"content"
    with pytest.raises(HttpResponseError, match="Md5Mismatch"):
        container.upload_blob("wrong", b"content", headers={"Content-MD5": base64.b64encode(b"x" * 16).decode()})


def test_metadata_changes_alone_and_moves_the_etag(container: ContainerClient) -> None:
    blob = container.upload_blob("blob", b"1", metadata={"old": "1"})
    before = blob.get_blob_properties()

    blob.set_blob_metadata({"new": "2"})
    blob.set_http_headers(ContentSettings(content_type="text/plain"))

    after = blob.get_blob_properties()
    assert (after.metadata, after.content_settings.content_type) == ({"new": "2"}, "text/plain")
    assert after.etag != before.etag
    assert after.creation_time == before.creation_time
    with pytest.raises(ResourceModifiedError):
        blob.download_blob(etag=before.etag, match_condition=MatchConditions.IfNotModified)


def test_a_blob_is_not_overwritten_unless_asked(container: ContainerClient) -> None:
    container.upload_blob("blob", b"1")

    with pytest.raises(ResourceExistsError):
        container.upload_blob("blob", b"2")
    assert container.upload_blob("blob", b"3", overwrite=True).download_blob().readall() == b"3"


def test_blocks_are_replaced_one_by_one(container: ContainerClient) -> None:
    blob = container.get_blob_client("blob")
    for name, content in (("a", b"one "), ("b", b"two ")):
        blob.stage_block(name, content)
    with pytest.raises(ResourceNotFoundError):
        blob.download_blob()
    blob.commit_block_list([BlobBlock("a"), BlobBlock("b")])
    blob.stage_block("c", b"three ")

    blob.commit_block_list([BlobBlock("b"), BlobBlock("c")])

    assert blob.download_blob().readall() == b"two three "
    with pytest.raises(HttpResponseError, match="InvalidBlockList"):
        blob.commit_block_list([BlobBlock("none")])


def test_lists_come_in_pages_with_prefixes_and_metadata(container: ContainerClient) -> None:
    names = ["a-1", "a.txt", "a/1", "a/2/x", "a/2/y", "b"]
    for name in reversed(names):
        container.upload_blob(name, b"x", metadata={"name": "x"})

    assert [found.name for found in container.list_blobs()] == names
    assert [found.name for found in container.list_blobs(name_starts_with="a/2")] == ["a/2/x", "a/2/y"]
    assert sorted(found.name for found in container.walk_blobs(name_starts_with="a/")) == ["a/1", "a/2/"]
    assert sorted(found.name for found in container.walk_blobs()) == ["a-1", "a.txt", "a/", "b"]
    pages = container.list_blobs(results_per_page=4, include="metadata").by_page()
    assert [[(found.name, found.metadata) for found in page] for page in pages] == [
        [(name, {"name": "x"}) for name in names[:4]],
        [(name, {"name": "x"}) for name in names[4:]],
    ]


def test_containers_are_created_once_listed_and_deleted(service: BlobServiceClient, container: ContainerClient) -> None:
    container.upload_blob("folder/blob", b"1")

    assert CONTAINER in [found.name for found in service.list_containers()]
    assert container.exists()
    with pytest.raises(ResourceExistsError):
        service.create_container(CONTAINER)
    with pytest.raises(HttpResponseError, match="InvalidResourceName"):
        service.create_container("Not_A_Name")
    service.delete_container(CONTAINER)
    assert not container.exists()
    with pytest.raises(ResourceNotFoundError, match="ContainerNotFound"):
        container.upload_blob("blob", b"1")


def test_a_deleted_blob_leaves_no_folder_behind(container: ContainerClient) -> None:
    container.upload_blob("a/b/c", b"1")
    container.delete_blob("a/b/c")

    container.upload_blob("a", b"2")

    assert [found.name for found in container.list_blobs()] == ["a"]
    with pytest.raises(ResourceNotFoundError):
        container.delete_blob("a/b/c")
    with pytest.raises(ResourceExistsError, match="ResourceTypeMismatch"):
        container.upload_blob("a/b", b"3")


def test_a_blob_is_copied_and_appended_to(container: ContainerClient) -> None:
    source = container.upload_blob("source", b"1", metadata={"kept": "yes"})
    copy = container.get_blob_client("copy")
    assert copy.start_copy_from_url(source.url)["copy_status"] == "success"
    log = container.get_blob_client("log")
    log.create_append_blob()
    log.append_block(b"one ")
    log.append_block(b"two")

    assert copy.download_blob().readall() == b"1"
    assert copy.get_blob_properties().metadata == {"kept": "yes"}
    assert log.download_blob().readall() == b"one two"


def test_names_that_no_file_can_have_are_refused(container: ContainerClient) -> None:
    for name in ("a//b", "x" * 300, "line\nend"):
        with pytest.raises(HttpResponseError, match="InvalidResourceName"):
            container.upload_blob(name, b"1")
    assert list(container.list_blobs()) == []


def test_a_sas_grants_what_it_says(account: str, key: str, container: ContainerClient) -> None:
    container.upload_blob("blob", b"1")
    address, name = f"https://{account}.blob.core.windows.net", account.rpartition("/")[2]
    expiry = datetime.now(timezone.utc) + timedelta(hours=1)

    def client(sas: str) -> ContainerClient:
        return BlobServiceClient(address, credential=sas, retry_total=0).get_container_client(CONTAINER)

    reading = generate_container_sas(
        name, CONTAINER, key, permission=ContainerSasPermissions(read=True, list=True), expiry=expiry
    )
    assert client(reading).download_blob("blob").readall() == b"1"
    assert [found.name for found in client(reading).list_blobs()] == ["blob"]
    with pytest.raises(HttpResponseError, match="AuthorizationPermissionMismatch"):
        client(reading).upload_blob("other", b"1")
    one = generate_blob_sas(
        name, CONTAINER, "blob", account_key=key, permission=BlobSasPermissions(read=True), expiry=expiry
    )
    assert client(one).download_blob("blob").readall() == b"1"
    for refused in ("other", "blob2"):
        with pytest.raises(HttpResponseError, match="AuthenticationFailed"):
            client(one).download_blob(refused)
    with pytest.raises(HttpResponseError):
        list(client(one).list_blobs())
    objects = generate_account_sas(
        name, key, ResourceTypes(object=True), AccountSasPermissions(read=True, write=True), expiry
    )
    assert client(objects).upload_blob("new", b"2").download_blob().readall() == b"2"
    with pytest.raises(HttpResponseError, match="AuthorizationResourceTypeMismatch"):
        list(client(objects).list_blobs())
    with pytest.raises(HttpResponseError, match="AuthorizationPermissionMismatch"):
        client(objects).delete_blob("new")


def test_a_datastores_sas_writes_and_expires(arm: Arm, account: str) -> None:
    asked = {"expirableSecret": True, "expireAfterHours": 1}
    found = arm.call("POST", "datastores/workspaceblobstore/listSecrets", asked).body
    service = BlobServiceClient(f"https://{account}.blob.core.windows.net", credential=found["sasToken"], retry_total=0)
    container = service.get_container_client("azureml")

    assert found["secretsType"] == "Sas"
    container.upload_blob("x/y", b"1")
    assert [blob.name for blob in container.list_blobs(name_starts_with="x")] == ["x/y"]
    service.get_blob_client("azureml", "x/y").delete_blob()
    with pytest.raises(HttpResponseError, match="AuthorizationResourceTypeMismatch"):
        list(service.list_containers())


def test_a_token_reads_and_writes(account: str, credential: ClientSecretCredential) -> None:
    service = BlobServiceClient(f"https://{account}.blob.core.windows.net", credential=credential)

    blob = service.get_container_client("azureml").upload_blob("by/token", b"1")

    assert blob.download_blob().readall() == b"1"


def test_another_key_opens_nothing(account: str) -> None:
    other = base64.b64encode(b"x" * 64).decode()
    service = BlobServiceClient(f"https://{account}.blob.core.windows.net", credential=other, retry_total=0)

    with pytest.raises(HttpResponseError, match="AuthenticationFailed"):
        service.get_container_client("azureml").upload_blob("blob", b"1")


def test_what_is_missing_says_so(container: ContainerClient) -> None:
    blob = container.upload_blob("blob", b"1")

    with pytest.raises(HttpResponseError, match="NotEmulated") as caught:
        blob.create_snapshot()
    assert caught.value.status_code == 501


def test_adlfs_reads_and_writes_with_a_connection_string(
    account: str, key: str, container: ContainerClient, emulator: Emulator
) -> None:
    address, name = f"https://{account}.blob.core.windows.net", account.rpartition("/")[2]
    text = f"DefaultEndpointsProtocol=https;AccountName={name};AccountKey={key};BlobEndpoint={address}"
    # A process of its own: the client's HTTP library reads its certificates once, when it is imported.
    variables = {**os.environ, "SSL_CERT_FILE": str(emulator.ca_bundle), "CONNECTION": text}

    done = subprocess.run([sys.executable, "-c", ADLFS], env=variables, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr[-2000:]) == (0, "")
    assert container.download_blob("folder/kept.txt").readall() == b"kept"
    assert [found.name for found in container.list_blobs()] == ["folder/kept.txt"]
