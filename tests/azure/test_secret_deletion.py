"""What becomes of the secrets of jobs: they are deleted with the job, and read again for a further one."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests
from azure.core.credentials import TokenCredential

from tests.azure.secret_bench import VARIABLES, Bench, warnings
from tests.e2e.requests_of import requests_of
from tests.vault_access import values_in
from zenml_azureml import tags
from zenml_azureml.azure.compute.placement import Demands
from zenml_azureml.azure.jobs.watch import WatchOptions
from zenml_azureml.azure.keyvault.client import VaultSecrets
from zenml_azureml.contract.secret_chunks import PARTS_TAG
from zenml_azureml.emulator import Emulator
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.secrets.classification import secret_names
from zenml_azureml.specs.compute import ExistingCompute
from zenml_azureml.specs.job import JobSpec


@pytest.fixture
def bench(emulator: Emulator, credential: TokenCredential) -> Bench:
    return Bench(emulator, credential)


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


def test_the_secret_of_a_job_that_can_no_longer_be_watched_stays_until_the_job_has_ended(bench: Bench) -> None:
    bench.emulator.context.settings.simulated_seconds = 3600
    bench.let_all()
    bench.submit()
    job = bench.workspace.watch("job", WatchOptions(tag="", patience=timedelta(minutes=1)))
    job.settle(AzureMLError("Azure cannot be reached."))
    for thread in threading.enumerate():
        if thread.name == "zenml-azureml-job-monitor":
            thread.join(60)

    bench.workspace.drop_secret("job")
    assert list(values_in(bench.vault)) == ["job"]

    job.status = "Failed"
    bench.workspace.drop_secret("job")
    assert values_in(bench.vault) == {}


def test_submitting_again_after_the_secret_was_deleted_takes_another_name_each_time(bench: Bench) -> None:
    bench.let_all()
    names: list[str] = []
    for _ in range(3):
        bench.submit()
        names += values_in(bench.vault)
        bench.workspace.release("job")

    assert names[0] == "job"
    assert [name.rpartition("-")[0] for name in names[1:]] == ["job", "job"]
    assert len(set(names)) == 3
    assert values_in(bench.vault) == {}


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


@pytest.mark.parametrize("forgets", [True, False])
def test_a_secret_that_another_thread_looked_for_before_it_was_written_is_deleted_at_the_next_look(
    forgets: bool, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.let_all()
    write = VaultSecrets.set

    def stopped_meanwhile(*arguments: Any) -> Any:
        # Another thread stops the run, finds nothing to delete, and may forget the step.
        bench.workspace.drop_secret("job")
        if forgets:
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
    url = bench.submit("one", secrets_via="key-vault").vault_secret
    bench.submit("two", secrets_via="key-vault")
    vault = VaultSecrets(bench.workspace._connection, url.partition("/secrets/")[0])
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    for name, of in {"mine": {}, "elsewhere": {tags.WORKSPACE: "/subscriptions/s/another", tags.JOB: "three"}}.items():
        vault.set(name, "{}", of, tomorrow)

    assert {secret.tags.get(tags.JOB) for secret in bench.workspace.secrets.left(None)} == {"one", "two"}
    bench.workspace.drop_secret("one")
    assert {secret.tags[tags.JOB] for secret in bench.workspace.secrets.left(None)} == {"two"}


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
