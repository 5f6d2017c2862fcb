"""A job that fetches its secrets: what runs in it, with a vault and the identity endpoint of an emulated compute."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import certifi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.arm import Arm
from tests.contract.test_vault import CLUSTER
from tests.machine_identity import running_job
from tests.unit.in_job.answering import RUN, STEP_RUN, answering
from tests.vault_access import grant, own_vault
from zenml_azureml.contract.secret_chunks import PARTS_TAG, further_parts, parts_of, variables_in
from zenml_azureml.contract.variables import VAULT_AUDIENCE, VAULT_SECRET
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.services.entra.machine_identities import ENDPOINT, identities_in
from zenml_azureml.emulator.services.keyvault.store import SecretVersion
from zenml_azureml.in_job.exceptions import BootstrapError
from zenml_azureml.in_job.fetch_secrets import prepare

VALUES = {"TOKEN": "hush-hush", "LINES": "one\ntwo", "NOT_ASCII": "schlüssel"}


class Machine:
    """A node of a cluster, and a secret in the vault for a job on it."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self.vault = own_vault(arm.emulator)
        arm.call("PUT", "computes/gpus", CLUSTER, api_version="2024-04-01")
        body = arm.call("GET", "computes/gpus", api_version="2024-04-01").body
        (self.identity,) = identities_in(body["identity"], body["id"])
        self.put(VALUES)
        self.slept: list[float] = []
        self.environment = {
            VAULT_SECRET: f"{self.vault.address}/secrets/job",
            VAULT_AUDIENCE: "https://vault.azure.net",
            "MSI_ENDPOINT": f"{arm.emulator.base_url}{ENDPOINT}",
            "MSI_SECRET": running_job(arm, "gpus").machine_secret,
            "DEFAULT_IDENTITY_CLIENT_ID": self.identity.client_id,
            "REQUESTS_CA_BUNDLE": str(arm.emulator.ca_file),
            "TOKEN": "of the image",
        }

    def put(self, values: dict[str, str]) -> None:
        parts = parts_of(values)
        tags = {PARTS_TAG: str(len(parts))}
        for name, part in zip(["job", *further_parts("job", tags)], parts, strict=True):
            self.vault.names[name] = name
            self.vault.secrets[name] = [SecretVersion(part, created=0, updated=0, tags=tags)]

    def fail(self, path: str, times: int = 1, **fault: Any) -> None:
        self.arm.call("POST", "/_emulator/faults", {"path": path, "times": times, **fault})

    def prepare(self) -> dict[str, str]:
        """The environment that a step has."""
        environment = dict(self.environment)
        prepare(environment, self.slept.append)
        return environment


@pytest.fixture
def machine(arm: Arm) -> Machine:
    machine = Machine(arm)
    grant(arm.emulator, "Key Vault Secrets User", machine.identity.object_id)
    return machine


def test_the_step_has_the_secrets_in_its_environment(machine: Machine) -> None:
    environment = machine.prepare()

    assert {name: environment[name] for name in VALUES} == VALUES
    assert machine.slept == []


def test_as_a_process_it_shows_them_to_nobody_but_the_step(machine: Machine) -> None:
    code = "import os, sys; print(len(os.environ['TOKEN']), sys.argv[1:], 'ZENML_AZUREML' in ' '.join(os.environ))"
    done = subprocess.run(
        [sys.executable, "-m", "zenml_azureml.in_job", sys.executable, "-c", code, "an argument"],
        env={"PATH": os.environ["PATH"], **machine.environment},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "9 ['an argument'] False\n"
    assert done.stderr == ""


def test_the_watcher_of_a_step_uses_the_token_that_comes_from_the_vault(machine: Machine) -> None:
    machine.put({"ZENML_STORE_API_TOKEN": "from-the-vault", "TOKEN": "hush-hush"})
    with answering() as server:
        server.step_is("running")
        given = server.variables()
        del given["ZENML_STORE_API_TOKEN"]
        step = subprocess.Popen(
            [sys.executable, "-m", "zenml_azureml.in_job", "sh", "-c", "read line; echo $ZENML_STORE_API_TOKEN"],
            env={"PATH": os.environ["PATH"], **machine.environment, **given},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        server.wait_for(4)  # two looks: at the step run, and at its run

        output, _ = step.communicate("go\n", timeout=60)

        assert output == "from-the-vault\n"
        assert {path for _, path, _, _ in server.asked} == {f"/api/v1/steps/{STEP_RUN}", f"/api/v1/runs/{RUN}"}
        assert {headers.get("Authorization") for *_, headers in server.asked} == {"Bearer from-the-vault"}


def test_the_secret_of_the_identity_endpoint_is_shown_to_no_proxy(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("no_proxy", urlsplit(machine.vault.address).netloc)
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there

    assert machine.prepare()["TOKEN"] == "hush-hush"


def test_many_secrets_come_from_several_of_the_vaults(machine: Machine) -> None:
    machine.put({"LONG": "x" * 60_000, "TOKEN": "new"})

    environment = machine.prepare()

    assert (len(environment["LONG"]), environment["TOKEN"]) == (60_000, "new")


def test_both_kinds_of_identity_endpoint_are_known(machine: Machine) -> None:
    machine.environment["IDENTITY_ENDPOINT"] = machine.environment.pop("MSI_ENDPOINT")
    machine.environment["IDENTITY_HEADER"] = machine.environment.pop("MSI_SECRET")

    assert machine.prepare()["TOKEN"] == "hush-hush"


@pytest.mark.parametrize("path", ["^/msi/token", "^/secrets/"])
@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 429}, {"reset": True}, {"truncated": True}, {"status": 200, "html": "<p>"}]
)
def test_what_passes_is_waited_for(path: str, fault: dict[str, Any], machine: Machine) -> None:
    machine.fail(path, times=2, **fault)

    assert machine.prepare()["TOKEN"] == "hush-hush"
    assert machine.slept == [1, 2]


@pytest.mark.parametrize(
    ("path", "doing"),
    [("^/msi/token", "Signing in with the job's managed identity"), ("^/secrets/", "Reading the step's secrets")],
)
def test_what_does_not_pass_ends_the_job(path: str, doing: str, machine: Machine) -> None:
    machine.fail(path, times=99, status=503, body={"error": {"code": "Busy", "message": "Come\nagain."}})

    with pytest.raises(BootstrapError) as error:
        machine.prepare()

    assert str(error.value).startswith(f"{doing} failed (https://127.0.0.1:")
    assert str(error.value).endswith("503 (Busy) Come again.")
    assert sum(machine.slept) == 61


def test_each_retry_is_in_the_log_before_the_pause(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.fail("^/secrets/", times=2, status=503, body={"error": {"code": "Busy", "message": "Come again."}})
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output))
    seen: list[str] = []

    prepare(dict(machine.environment), lambda _seconds: seen.append(output.getvalue().decode().splitlines()[-1]))

    failure = f"Reading the step's secrets failed ({machine.environment[VAULT_SECRET]}): 503 (Busy) Come again."
    assert seen == [f"zenml-azureml: {failure} Retrying in {pause} s." for pause in (1, 2)]


def test_what_cannot_be_reached_is_named_with_the_reason(machine: Machine) -> None:
    machine.environment["MSI_ENDPOINT"] = "http://127.0.0.1:1/msi"

    with pytest.raises(BootstrapError, match=r"failed \(http://127\.0\.0\.1:1/msi\): .*Connection refused\.$"):
        machine.prepare()


@pytest.mark.parametrize("answer", [{"token_type": "Bearer"}, {"access_token": ""}])
def test_an_answer_without_a_token_ends_the_job(answer: dict[str, str], machine: Machine) -> None:
    machine.fail("^/msi/token", status=200, body=answer)

    with pytest.raises(BootstrapError, match="Signing in with the job's managed identity failed: the answer has no"):
        machine.prepare()


def test_half_of_an_identity_endpoint_is_none(machine: Machine) -> None:
    machine.environment["IDENTITY_ENDPOINT"] = "http://127.0.0.1:1/identity"
    assert machine.prepare()["TOKEN"] == "hush-hush"
    machine.environment["MSI_SECRET"] = ""

    with pytest.raises(BootstrapError, match="this job has no managed identity to read them with"):
        machine.prepare()


def test_who_may_not_read_is_told_the_role(arm: Arm) -> None:
    machine = Machine(arm)

    with pytest.raises(BootstrapError, match="the role `Key Vault Secrets User` on the vault") as error:
        machine.prepare()

    assert machine.identity.object_id in str(error.value)
    assert machine.slept == []


def test_a_secret_that_was_deleted_is_told_of(machine: Machine) -> None:
    machine.vault.secrets.clear()

    with pytest.raises(BootstrapError, match="The secret is deleted when its step ends"):
        machine.prepare()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"MSI_ENDPOINT": ""}, "this job has no managed identity to read them with"),
        ({"MSI_SECRET": "wrong"}, "401 The secret header is missing or wrong."),
        ({"AZURE_CLIENT_ID": "another's"}, "No User Assigned or Delegated Managed Identity found"),
        ({VAULT_SECRET: "http://vault.example/secrets/job"}, "does not begin with https://"),
        ({"REQUESTS_CA_BUNDLE": "/nowhere.pem"}, "REQUESTS_CA_BUNDLE names cannot be read"),
    ],
    ids=str,
)
def test_what_is_wrong_with_the_job_is_told(changes: dict[str, str], words: str, machine: Machine) -> None:
    machine.environment.update(changes)

    with pytest.raises(BootstrapError, match=words):
        machine.prepare()


def test_what_is_no_environment_is_told_without_its_content(machine: Machine) -> None:
    machine.vault.secrets["job"][0].value = '{"TOKEN": 4711}'

    with pytest.raises(BootstrapError) as error:
        machine.prepare()

    assert "4711" not in str(error.value)


def test_a_tag_that_says_too_many_parts_is_told_and_none_is_asked_for(machine: Machine, emulator: Emulator) -> None:
    machine.vault.secrets["job"][0].tags[PARTS_TAG] = "1001"
    seen: list[str] = []
    emulator.context.on_request = lambda _method, path, _body: seen.append(path)

    with pytest.raises(BootstrapError, match=r"^The secret .*/secrets/job does not contain environment variables\.$"):
        machine.prepare()

    assert [path.partition("?")[0] for path in seen if path.startswith("/secrets/")] == ["/secrets/job"]


@pytest.mark.parametrize("answer", [{}, {"value": "{}", "tags": ["zenml_parts"]}, {"value": None, "tags": None}])
def test_an_answer_that_is_no_secret_ends_the_job(answer: dict[str, Any], machine: Machine) -> None:
    machine.fail("^/secrets/", status=200, body=answer)

    with pytest.raises(BootstrapError, match="does not contain environment variables"):
        machine.prepare()


def test_a_redirect_does_not_take_the_token_along(machine: Machine, emulator: Emulator) -> None:
    seen: list[str] = []
    emulator.context.on_request = lambda _method, path, _body: seen.append(path)
    machine.fail("^/secrets/", status=307, headers={"Location": f"{machine.arm.emulator.base_url}/elsewhere"})

    with pytest.raises(BootstrapError, match="307"):
        machine.prepare()

    assert [path for path in seen if "elsewhere" in path] == []


def test_the_certificates_of_pythons_packages_count(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = machine.environment.pop("REQUESTS_CA_BUNDLE")
    monkeypatch.setattr(certifi, "where", lambda: bundle)

    assert machine.prepare()["TOKEN"] == "hush-hush"


@pytest.mark.parametrize(
    ("number", "parts"),
    [
        ("3", ["job-part2", "job-part3"]),
        ("1", []),
        ("0", []),
        ("", []),
        ("-2", []),
        ("²", []),
        (None, []),
        (2, ["job-part2"]),
    ],
)
def test_the_tag_of_the_first_part_says_how_many_there_are(number: Any, parts: list[str]) -> None:
    assert further_parts("job", {PARTS_TAG: number}) == parts
    assert further_parts("job", {}) == []


def test_no_tag_makes_a_job_ask_for_a_million_parts() -> None:
    assert len(further_parts("job", {PARTS_TAG: "1000"})) == 999
    with pytest.raises(ValueError, match="at most 1000 parts, and its tag says 1001"):
        further_parts("job", {PARTS_TAG: "1001"})


@given(st.dictionaries(st.text(), st.text()), st.integers(0, 3))
def test_any_variables_survive_being_cut(variables: dict[str, str], long: int) -> None:
    variables = {**variables, "LONG": "x" * long * 20_000}
    parts = parts_of(variables)

    assert variables_in(parts) == variables
    assert all(len(part.encode()) <= 24_000 for part in parts)
    assert len(further_parts("name", {PARTS_TAG: str(len(parts))})) == len(parts) - 1
    assert json.loads("".join(parts)) == variables
