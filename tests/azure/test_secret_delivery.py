"""How the secrets of jobs travel: by a key vault that works, and by none that does not."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from azure.core.credentials import TokenCredential

from tests.azure.secret_bench import IDENTITY, READER, VARIABLES, WRITER, Bench, warnings
from tests.contract.test_vault import VAULTS
from tests.e2e.requests_of import requests_of
from tests.vault_access import grant, values_in
from zenml_azureml.emulator import Emulator
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.job import JobIdentity


@pytest.fixture
def bench(emulator: Emulator, credential: TokenCredential) -> Bench:
    return Bench(emulator, credential)


def test_a_jobs_secrets_are_in_the_vault_and_not_in_its_definition(bench: Bench) -> None:
    bench.let_all()

    submitted = bench.submit(environment_variables={"MY_PASSWORD": "swordfish", "EPOCHS": "3"})

    job = bench.job()
    assert "hush" not in json.dumps(job)
    assert "swordfish" not in json.dumps(job)
    variables = job["environmentVariables"]
    assert (variables["ZENML_STORE_URL"], variables["EPOCHS"]) == ("https://zenml.example", "3")
    assert job["command"] == "python -m zenml_azureml.in_job python train.py"
    (text,) = values_in(bench.vault).values()
    assert json.loads(text) == {"MY_PASSWORD": "swordfish", "ZENML_STORE_API_TOKEN": "hush-hush"}
    secret = bench.vault.secrets["job"][0]
    assert secret.tags["zenml_step_run_id"] == "job"
    assert secret.tags["azureml_workspace"] == bench.arm.workspace
    assert secret.expires is not None
    assert submitted.vault_secret == f"{bench.vault.address}/secrets/job" == job["tags"]["zenml_vault_secret"]


def test_a_further_job_takes_one_more_request(bench: Bench) -> None:
    bench.let_all()
    bench.submit("first")
    before = len(requests_of(bench.emulator))

    bench.submit("second")

    sent = [(entry["method"], entry["path"].rpartition("/")[2]) for entry in requests_of(bench.emulator)[before:]]
    assert sent == [("GET", "gpus"), ("PUT", "second"), ("PUT", "second")]


def test_long_secrets_take_several_of_the_vaults(bench: Bench) -> None:
    bench.let_all()
    bench.submit(variables={"MY_TOKEN": "x" * 60_000})

    assert sorted(values_in(bench.vault)) == ["job", "job-part2", "job-part3"]
    bench.workspace.release("job")
    assert values_in(bench.vault) == {}


@pytest.mark.parametrize(
    ("serverless", "options", "reason"),
    [
        (True, {}, "A job on serverless compute has no managed identity"),
        (False, {"identity": JobIdentity("user")}, "A job with `identity='user'` has no managed identity"),
        (False, {"identity": JobIdentity("aml_token")}, "A job with `identity='aml_token'` has no managed identity"),
    ],
)
def test_where_the_request_tells_that_nobody_could_read_them_nobody_is_asked(
    serverless: bool, options: dict[str, Any], reason: str, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.let_all()
    for name in ("first", "second"):
        bench.submit(name, serverless=serverless, **options)

    assert bench.asked() == []
    assert bench.job("second")["environmentVariables"]["ZENML_STORE_API_TOKEN"] == "hush-hush"
    (warning,) = warnings(caplog)
    assert "(ZENML_STORE_API_TOKEN). Anyone with Reader access to workspace `emulator` can read them" in warning
    assert reason in warning
    assert "hush" not in warning
    with pytest.raises(AzureMLError, match=reason):
        bench.submit("third", serverless=serverless, secrets_via="key-vault", **options)
    assert "third" not in bench.emulator.context.store.workspaces[0].jobs


def test_that_one_identity_reads_the_vault_says_nothing_about_another_one(bench: Bench) -> None:
    bench.let_all()
    bench.submit("first")
    bench.submit("second", identity=JobIdentity("user"))

    assert list(values_in(bench.vault)) == ["first"]
    assert bench.job("second")["environmentVariables"]["ZENML_STORE_API_TOKEN"] == "hush-hush"


def test_an_identity_that_may_not_read_is_named_with_the_role(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    grant(bench.emulator, WRITER)
    for name in ("first", "second"):
        bench.submit(name)

    assert bench.job("second")["environmentVariables"]["ZENML_STORE_API_TOKEN"] == "hush-hush"
    assert bench.asked() == [("GET", bench.vault.name), ("GET", "roleAssignments")]  # once per operator
    (warning,) = warnings(caplog)
    command = f'az role assignment create --role "{READER}" --assignee-object-id {bench.principal}'
    assert f"The identity of `gpus` may not read secrets of the key vault `{bench.vault.name}`." in warning
    assert command in warning
    with pytest.raises(AzureMLError) as error:
        bench.submit("third", secrets_via="key-vault")
    assert command in str(error.value)
    assert f"--scope {bench.vault.path}" in str(error.value)
    assert "third" not in bench.emulator.context.store.workspaces[0].jobs

    grant(bench.emulator, READER, bench.principal)
    bench.submit("fourth", secrets_via="key-vault")
    assert "hush" not in json.dumps(bench.job("fourth"))


def test_who_may_not_write_is_told_the_role_in_azures_words(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    grant(bench.emulator, READER, bench.principal)
    for name in ("first", "second"):
        bench.submit(name)

    assert [asked for asked in bench.asked() if asked[0] == "PUT"] == [("PUT", "first")]
    me = bench.emulator.context.identity.object_id
    (warning,) = warnings(caplog)
    assert "(Forbidden) Caller is not authorized to perform action on resource." in warning
    assert f'az role assignment create --role "{WRITER}" --assignee-object-id {me}' in warning
    with pytest.raises(AzureMLError, match=WRITER) as error:
        bench.submit("third", secrets_via="key-vault")
    assert "hush" not in str(error.value)
    assert "third" not in bench.emulator.context.store.workspaces[0].jobs


def test_a_right_that_is_taken_away_is_noticed(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.let_all()
    bench.submit("first")
    bench.emulator.context.store.role_assignments.pop(-2)

    bench.submit("second")
    bench.submit("third")

    assert bench.job("third")["environmentVariables"]["ZENML_STORE_API_TOKEN"] == "hush-hush"
    assert bench.asked().count(("PUT", "third")) == 0
    assert len(warnings(caplog)) == 1


def test_access_policies_are_understood(bench: Bench) -> None:
    me = bench.emulator.context.identity.object_id
    policies = [{"objectId": me, "permissions": {"secrets": ["set", "delete"]}}]

    def set_policies(*more: dict[str, Any]) -> None:
        changes = {"enableRbacAuthorization": False, "accessPolicies": [*policies, *more]}
        bench.arm.call("PATCH", bench.vault.path, {"properties": changes}, api_version=VAULTS)

    set_policies()
    with pytest.raises(AzureMLError, match=f"set-policy --name {bench.vault.name} --object-id {bench.principal}"):
        bench.submit("first", secrets_via="key-vault")
    set_policies({"objectId": bench.principal, "permissions": {"secrets": ["Get"]}})
    bench.submit("second")
    bench.workspace.release("second")

    assert "hush" not in json.dumps(bench.job("second"))
    assert values_in(bench.vault) == {}


def test_serverless_compute_has_the_workspaces_user_assigned_identity(bench: Bench) -> None:
    options: dict[str, Any] = {"serverless": True, "identity": JobIdentity("managed"), "secrets_via": "key-vault"}
    with pytest.raises(AzureMLError, match="Add a user-assigned identity to the workspace"):
        bench.submit("first", **options)
    changes = {"identity": {"type": "SystemAssigned,UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}}
    body = bench.arm.call("PATCH", bench.arm.workspace, changes).body
    grant(bench.emulator, WRITER)
    grant(bench.emulator, READER, body["identity"]["userAssignedIdentities"][IDENTITY]["principalId"])

    bench.submit("second", **options)

    assert "hush" not in json.dumps(bench.job("second"))


@pytest.mark.parametrize("named", ["by name", "by URL", "by id"])
def test_another_vault_is_named(
    named: str, tmp_path: Any, credential: TokenCredential, emulator: Emulator, bench: Bench
) -> None:
    other = replace(bench.vault, name="team-secrets", secrets={}, deleted={}, names={})
    emulator.context.store.vaults.insert(1, other)
    grant(emulator, WRITER, at=other)
    grant(emulator, READER, bench.principal, at=other)
    # Its address is that of the first, which has no rights and would refuse.
    emulator.context.store.vaults.pop(0)
    name = {"by name": "Team-Secrets", "by URL": f"{other.address}/", "by id": other.path}[named]

    bench.submit(key_vault=name, secrets_via="key-vault")

    assert list(values_in(other)) == ["job"]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 429, "headers": {"Retry-After": "3"}},
        {"reset": True},
        {"reset": True, "processed": True},
        {"truncated": True},
        {"status": 500, "processed": True},
    ],
    ids=str,
)
def test_a_write_is_tried_again_and_gives_one_secret(fault: dict[str, Any], bench: Bench) -> None:
    bench.let_all()
    bench.fail("^/secrets/", times=2, method="PUT", **fault)

    bench.submit()

    assert list(values_in(bench.vault)) == ["job"]
    assert "hush" not in json.dumps(bench.job())
    assert len(bench.slept) == 2
    bench.workspace.release("job")
    assert values_in(bench.vault) == {}


def test_a_vault_out_of_reach_is_left_alone_after_a_minute(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.let_all()
    bench.fail("^/secrets/", times=100_000, status=503)

    bench.submit("first")
    bench.submit("second")

    assert 55 < sum(bench.slept) < 65
    assert bench.job("second")["environmentVariables"]["ZENML_STORE_API_TOKEN"] == "hush-hush"
    assert len([warning for warning in warnings(caplog) if "The job definition contains secrets" in warning]) == 1
    with pytest.raises(AzureMLError, match="Failed to write the job's secrets to the key vault"):
        bench.submit("third", secrets_via="key-vault")
    assert sum(bench.slept) > 60 * 30


def test_a_vault_that_has_worked_is_not_given_up_for_the_definition(bench: Bench) -> None:
    bench.let_all()
    bench.submit("first")
    bench.fail("^/secrets/", times=100_000, status=503)

    with pytest.raises(AzureMLError, match="Failed to write the job's secrets"):
        bench.submit("second")

    assert "second" not in bench.emulator.context.store.workspaces[0].jobs


def test_a_token_goes_to_key_vaults_only(bench: Bench) -> None:
    bench.let_all()

    with pytest.raises(AzureMLError, match="it is not in a known key vault"):
        bench.workspace.secrets.delete(f"{bench.emulator.base_url}/secrets/job")


def test_a_hundred_first_jobs_find_out_once(bench: Bench) -> None:
    bench.let_all()
    barrier = threading.Barrier(8)

    def submit(number: int) -> None:
        barrier.wait()
        bench.submit(f"job-{number}")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(submit, range(8)))

    assert len(values_in(bench.vault)) == 8
    assert [asked for asked in bench.asked() if asked[0] == "GET"] == [
        ("GET", bench.vault.name),
        ("GET", "roleAssignments"),
    ]


def test_the_definition_is_left_alone_where_that_is_asked_for(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.let_all()

    bench.submit("first", secrets_via="environment")
    bench.submit("second", variables={"EPOCHS": "3"}, secrets_via="key-vault")

    assert bench.job("first")["environmentVariables"] == VARIABLES
    assert bench.job("second")["command"] == "python train.py"
    assert bench.asked() == []
    assert warnings(caplog) == []
