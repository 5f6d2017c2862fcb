"""How the secrets of jobs travel: by a key vault that works, and by none that does not."""

from __future__ import annotations

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import requests
from azure.core.credentials import TokenCredential

from tests.contract.arm import Arm
from tests.contract.test_vault import CLUSTER, VAULTS
from tests.e2e.requests_of import requests_of
from tests.vault_access import grant, own_vault, values_in
from zenml_azureml import tags
from zenml_azureml.azure.client import Workspace
from zenml_azureml.azure.compute.placement import Demands
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.azure.jobs.submitter import SubmittedJob
from zenml_azureml.azure.keyvault.client import VaultSecrets
from zenml_azureml.clock import SystemTime
from zenml_azureml.contract.secret_chunks import PARTS_TAG
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.secrets.classification import certain_secrets, secret_names
from zenml_azureml.specs.compute import ExistingCompute, Serverless
from zenml_azureml.specs.job import JobIdentity, JobOptions, JobSpec

WRITER, READER = "Key Vault Secrets Officer", "Key Vault Secrets User"
VARIABLES = {"ZENML_STORE_API_TOKEN": "hush-hush", "ZENML_STORE_URL": "https://zenml.example"}
IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/trainer"


class FastTime(SystemTime):
    """A time that passes where somebody waits, and at once."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Bench:
    """A workspace of an emulator, with a cluster that has an identity."""

    def __init__(self, emulator: Emulator, credential: TokenCredential) -> None:
        self.emulator = emulator
        self.arm = Arm(emulator)
        self.arm.call("PUT", "computes/gpus", CLUSTER, api_version="2024-04-01")
        body = self.arm.call("GET", "computes/gpus", api_version="2024-04-01").body
        self.principal = str(body["identity"]["principalId"])
        self.vault = own_vault(emulator)
        name = WorkspaceName()
        address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
        self.time = FastTime()
        self.workspace = Workspace(address, lambda: credential, self.time)

    @property
    def slept(self) -> list[float]:
        """The pauses, in seconds."""
        return self.time.slept

    def let_all(self) -> None:
        """Let the operator write, and the cluster's jobs read."""
        grant(self.emulator, WRITER)
        grant(self.emulator, READER, self.principal)

    def submit(
        self, name: str = "job", *, serverless: bool = False, variables: dict[str, str] | None = None, **options: Any
    ) -> SubmittedJob:
        own = options.pop("environment_variables", {})
        every = {**(VARIABLES if variables is None else variables), **own}
        request = JobSpec(
            *(name, name, "tests", "image", "python train.py"),
            environment_variables=VARIABLES if variables is None else variables,
            tags={"zenml_step_run_id": name},
            options=JobOptions(environment_variables=own, **options),
            own_tag="zenml_step_run_id",
            secret_names=secret_names(every),
            certain_secret_names=certain_secrets(every),
            secret_tags={"zenml_step_run_id": name},
        )
        return self.workspace.submit(request, Serverless() if serverless else ExistingCompute("gpus"), Demands())

    def job(self, name: str = "job") -> dict[str, Any]:
        """A job as Azure ML has it."""
        return self.emulator.context.store.workspaces[0].jobs[name].properties

    def asked(self, begin: int = 0) -> list[tuple[str, str]]:
        """The requests to vaults, and about them."""
        return [
            (entry["method"], entry["path"].rpartition("/")[2])
            for entry in requests_of(self.emulator)[begin:]
            if "/secrets" in entry["path"] or "/Microsoft.Key" in entry["path"]
        ]

    def fail(self, path: str, times: int = 1, method: str = ".*", **fault: Any) -> None:
        answer = self.arm.call("POST", "/_emulator/faults", {"path": path, "method": method, "times": times, **fault})
        assert answer.status == 201, answer.text


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


def test_the_secret_is_deleted_with_the_job(bench: Bench) -> None:
    bench.let_all()
    bench.submit()

    bench.workspace.release("job")
    bench.workspace.release("job")

    assert values_in(bench.vault) == {}
    assert bench.asked().count(("DELETE", "job")) == 1


def test_whoever_asks_for_a_status_does_not_wait_until_the_secret_is_deleted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.let_all()
    bench.submit()
    senders: set[str] = set()
    send = requests.Session.send

    def noting(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        senders.add(threading.current_thread().name)
        return send(session, request, **options)

    monkeypatch.setattr(requests.Session, "send", noting)
    bench.workspace.drop_secret("job", in_background=True)
    bench.workspace.release("job")  # comes right after it, on the same thread

    for thread in threading.enumerate():
        if thread.name == "zenml-azureml-secret-drop":
            thread.join(30)
    assert values_in(bench.vault) == {}
    assert senders == {"zenml-azureml-secret-drop"}


def test_a_deletion_that_is_interrupted_is_left_to_whoever_ends_the_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.let_all()
    bench.submit()
    with monkeypatch.context() as interrupted:

        def interrupt(*_arguments: object, **_options: object) -> None:
            raise KeyboardInterrupt

        interrupted.setattr(requests.Session, "send", interrupt)
        with pytest.raises(KeyboardInterrupt):
            bench.workspace.drop_secret("job")

    bench.workspace.drop_secret("job")

    assert values_in(bench.vault) == {}


def test_long_secrets_take_several_of_the_vaults(bench: Bench) -> None:
    bench.let_all()
    bench.submit(variables={"MY_TOKEN": "x" * 60_000})

    assert sorted(values_in(bench.vault)) == ["job", "job-part2", "job-part3"]
    bench.workspace.release("job")
    assert values_in(bench.vault) == {}


def test_submitting_again_after_the_secret_was_deleted_takes_another_name(bench: Bench) -> None:
    bench.let_all()
    bench.submit()
    bench.workspace.release("job")

    bench.submit()

    ((name, _),) = values_in(bench.vault).items()
    assert name.startswith("job-")
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


def test_a_job_that_is_refused_leaves_no_secret(bench: Bench) -> None:
    bench.let_all()
    bench.fail("/jobs/job$", method="PUT", status=400, body={"error": {"code": "UserError", "message": "No."}})

    with pytest.raises(AzureMLError):
        bench.submit()

    assert values_in(bench.vault) == {}


def test_an_interrupted_submit_leaves_no_secret(bench: Bench) -> None:
    bench.let_all()
    bench.fail("/jobs/job$", method="PUT", status=503)

    def interrupt() -> None:
        raise KeyboardInterrupt

    request = JobSpec(
        *("job", "job", "tests", "image", "true"),
        environment_variables=VARIABLES,
        tags={},
        own_tag="",
        secret_names=secret_names(VARIABLES),
    )
    with pytest.raises(KeyboardInterrupt):
        bench.workspace.submit(request, ExistingCompute("gpus"), Demands(), check=interrupt)

    assert list(bench.vault.deleted) == ["job"]
    assert values_in(bench.vault) == {}


def test_a_secret_that_cannot_be_deleted_is_told_of(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.let_all()
    bench.submit()
    bench.fail("^/secrets/", times=100_000, status=503)

    bench.workspace.release("job")

    told = warnings(caplog)[-1]
    assert f"{bench.vault.address}/secrets/job" in told
    assert "`zenml-azureml jobs cancel --orphans`" in told
    assert sum(bench.slept) < 25


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


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was warned of."""
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_secret_that_another_thread_looked_for_before_it_was_written_is_deleted_at_the_next_look(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.let_all()
    write = VaultSecrets.set

    def stopped_meanwhile(*arguments: Any) -> Any:
        # Another thread stops the run, finds nothing to delete, and forgets the step.
        bench.workspace.drop_secret("job")
        bench.workspace.release("job")
        return write(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(VaultSecrets, "set", stopped_meanwhile)
        bench.submit(secrets_via="key-vault")
    before = values_in(bench.vault)

    bench.workspace.drop_secret("job")

    assert before
    assert values_in(bench.vault) == {}


def test_the_secrets_that_are_left_are_those_of_the_workspaces_jobs(bench: Bench) -> None:
    bench.let_all()
    bench.submit("one", secrets_via="key-vault")
    bench.submit("two", secrets_via="key-vault")

    assert {secret.tags[tags.JOB] for secret in bench.workspace.secrets.left(None)} == {"one", "two"}
    bench.workspace.drop_secret("one")
    assert {secret.tags[tags.JOB] for secret in bench.workspace.secrets.left(None)} == {"two"}


def test_a_further_job_has_the_secrets_of_the_one_before_again(bench: Bench) -> None:
    bench.let_all()
    bench.submit(environment_variables={"MY_PASSWORD": "swordfish", "EPOCHS": "3"})
    spec = bench.workspace.spec_from_job("job", "zenml_step_run_id")

    variables = {**VARIABLES, "MY_PASSWORD": "swordfish", "EPOCHS": "3"}
    assert spec.environment_variables == variables, "and nothing of the vault"
    assert spec.command == "python train.py"
    assert spec.tags["zenml_step_run_id"] == "job"
    assert "zenml_vault_secret" not in spec.tags
    assert spec.secret_names == {"ZENML_STORE_API_TOKEN", "MY_PASSWORD"}
    assert spec.certain_secret_names == {"ZENML_STORE_API_TOKEN", "MY_PASSWORD"}
    assert spec.secret_tags == {"zenml_step_run_id": "job"}


def test_a_variable_that_was_in_a_vault_goes_to_a_vault_again_whatever_its_name(bench: Bench) -> None:
    bench.let_all()
    bench.submit(variables={"ZENML_STORE_API_TOKEN": "hush-hush"})
    bench.vault.secrets["job"][0].value = json.dumps({"COLOUR": "blue"})
    spec = bench.workspace.spec_from_job("job", "zenml_step_run_id")

    assert spec.environment_variables == {"COLOUR": "blue"}
    assert spec.secret_names == {"COLOUR"}
    assert spec.certain_secret_names == frozenset()


def test_a_job_without_secrets_is_restored_without_a_question(bench: Bench) -> None:
    bench.submit(variables={"EPOCHS": "3"})
    before = len(requests_of(bench.emulator))
    spec = bench.workspace.spec_from_job("job", "zenml_step_run_id")

    assert spec.environment_variables == {"EPOCHS": "3"}
    assert bench.asked(before) == []


def test_secrets_that_cannot_be_read_again_are_an_error(bench: Bench) -> None:
    bench.let_all()
    bench.submit()
    bench.vault.secrets["job"][0].value = "no JSON"
    with pytest.raises(AzureMLError, match="does not contain environment variables"):
        bench.workspace.spec_from_job("job", "zenml_step_run_id")
    del bench.vault.secrets["job"]
    with pytest.raises(AzureMLError, match="read the job's secrets"):
        bench.workspace.spec_from_job("job", "zenml_step_run_id")


def test_a_secret_of_a_job_is_read_from_key_vaults_only(bench: Bench) -> None:
    bench.let_all()
    bench.submit()
    job = bench.job()
    job["environmentVariables"]["ZENML_AZUREML_JOB_VAULT_SECRET"] = f"{bench.emulator.base_url}/secrets/job"
    before = len(requests_of(bench.emulator))
    with pytest.raises(AzureMLError, match="not in a known key vault"):
        bench.workspace.spec_from_job("job", "zenml_step_run_id")

    assert ("GET", "job") not in bench.asked(before)


def test_a_tag_that_says_too_many_parts_fails_no_end_of_a_step(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.let_all()
    bench.submit()
    bench.vault.secrets["job"][0].tags[PARTS_TAG] = "1001"
    with pytest.raises(AzureMLError, match="does not contain environment variables"):
        bench.workspace.spec_from_job("job", "zenml_step_run_id")

    bench.workspace.drop_secret("job")

    assert values_in(bench.vault) == {}
    assert [asked for asked in bench.asked() if "part" in asked[1]] == []
    assert warnings(caplog)[-1].endswith(
        "a secret has at most 1000 parts, and its tag says 1001.\n"
        "Next steps: Delete the secrets of that vault whose names begin with `job-part`."
    )


def test_a_tag_that_says_too_many_parts_is_told_to_who_deletes_the_secret(bench: Bench) -> None:
    bench.let_all()
    bench.submit()
    bench.vault.secrets["job"][0].tags[PARTS_TAG] = "1001"

    with pytest.raises(AzureMLError, match=r"Only the first part of the secret .*/secrets/job was deleted"):
        bench.workspace.secrets.delete(f"{bench.vault.address}/secrets/job")
