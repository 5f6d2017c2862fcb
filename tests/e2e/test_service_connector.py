"""Signing in by ZenML's own Azure service connector: registered as users do it, connected, and used in a run."""

from __future__ import annotations

import re
from pathlib import Path

import pexpect
import pytest

from tests.contract.arm import Arm
from tests.e2e.conftest import Project, project_at
from tests.e2e.killed import read_until
from tests.e2e.requests_of import requests_of
from zenml_azureml.emulator import Emulator

pytestmark = pytest.mark.long

AZURE = ("--type", "azure", "--resource-type", "azure-generic")

RUN = """
@step(step_operator="azureml")
def train() -> int:
    print("trained")
    return 6

@pipeline(enable_cache=False, settings=NO_BUILD)
def training():
    train()

if __name__ == "__main__":
    training()
    print("STATUS", last_run().status, last_run().steps["train"].outputs["output"][0].load())
"""


@pytest.fixture
def project(tmp_path: Path, zenml_with_stack: Path, proxied: Emulator) -> Project:
    """A project where nobody can sign in to Azure but by a service connector."""
    project = project_at(tmp_path, zenml_with_stack, proxied)
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        del project.environment[name]
    return project


def zenml(project: Project, *arguments: str) -> str:
    """What the `zenml` command says, which has to succeed."""
    done = project.zenml(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def sign_ins(emulator: Emulator) -> int:
    return sum(request["path"].endswith("/oauth2/v2.0/token") for request in requests_of(emulator))


def test_a_service_principal_signs_in_for_the_steps_and_again_when_its_token_expires(
    project: Project, proxied: Emulator
) -> None:
    principal = (
        "--auth-method=service-principal",
        f"--tenant_id={proxied.tenant_id}",
        f"--client_id={proxied.client_id}",
        f"--client_secret={proxied.client_secret}",
    )
    registered = zenml(project, "service-connector", "register", "principal", *AZURE, *principal)
    assert re.search(r"azure-generic +Emulator", registered)
    connected = zenml(project, "step-operator", "connect", "azureml", "--connector", "principal")
    assert "Successfully connected step operator `azureml`" in connected
    signed_in_before = sign_ins(proxied)
    proxied.context.settings.token_lifetime = 5  # seconds: more than one request is made with each

    output = project.succeed(RUN)

    assert "STATUS completed 6" in output
    assert sign_ins(proxied) > signed_in_before + 1
    assert proxied.client_secret not in output


#: Waits in a job for the file GO, with a token that is valid for long enough to submit the job.
WAIT = """
import sys
from datetime import datetime, timezone

go = sys.argv[1]

@pipeline(enable_cache=False, settings=NO_BUILD)
def waiting():
    CommandStep(["bash", "-c", f"until test -e {go}; do sleep 0.1; done"], name="it", step_operator="azureml")()

if __name__ == "__main__":
    from azure.identity import ClientSecretCredential
    from zenml_azureml.azure import client  # so that nothing slow is left to do while the token is valid

    token = ClientSecretCredential(*sys.argv[2:]).get_token("https://management.azure.com/.default")
    Client().update_service_connector(
        "token",
        configuration={"token": token.token},
        expires_at=datetime.fromtimestamp(token.expires_on, timezone.utc).replace(tzinfo=None),
        expires_skew_tolerance=5,  # which would otherwise be 5 minutes
    )
    waiting()
    print("STATUS", last_run().status)
"""


def test_an_access_token_that_expires_in_a_run_is_told_and_a_new_one_used(
    project: Project, proxied: Emulator, tmp_path: Path
) -> None:
    def token_options(token: str) -> tuple[str, ...]:
        return f"--token={token}", "--expires-at=2099-01-01"

    token = Arm(proxied).token()
    register = ("service-connector", "register", "token", *AZURE, "--auth-method=access-token")
    zenml(project, *register, *token_options(token))
    zenml(project, "step-operator", "connect", "azureml", "--connector", "token")
    proxied.context.settings.token_lifetime = 30
    principal = (proxied.tenant_id, proxied.client_id, proxied.client_secret)

    run = project.start(WAIT, str(tmp_path / "go"), *principal)
    said = read_until(run, "Cannot get the status of Azure ML job")
    assert "service connector `token` of the step operator `azureml` could not sign in: " in said
    assert "credentials have expired" in said
    zenml(project, "service-connector", "update", "token", *token_options(Arm(proxied).token()))
    (tmp_path / "go").touch()
    rest, _ = run.communicate(timeout=120)

    assert "STATUS completed" in rest
    assert token not in said + rest


def test_an_implicit_one_signs_in_with_what_the_environment_offers(project: Project, proxied: Emulator) -> None:
    application = {"AZURE_TENANT_ID": proxied.tenant_id, "AZURE_CLIENT_ID": proxied.client_id}
    project.environment |= {**application, "AZURE_CLIENT_SECRET": proxied.client_secret}
    register = ("service-connector", "register", "implicit", *AZURE, "--auth-method=implicit")
    refused = project.zenml(*register)
    assert "ZENML_ENABLE_IMPLICIT_AUTH_METHODS" in refused.stdout + refused.stderr
    project.environment["ZENML_ENABLE_IMPLICIT_AUTH_METHODS"] = "true"

    zenml(project, *register)
    zenml(project, "step-operator", "connect", "azureml", "--connector", "implicit")

    assert "STATUS completed 6" in project.succeed(RUN)


def test_it_is_registered_at_the_terminal_question_by_question(project: Project, proxied: Emulator) -> None:
    program = str(Path(project.python).parent / "zenml")
    arguments = ["service-connector", "register", "-i", "--no-docs"]
    terminal = pexpect.spawn(
        program,
        arguments,
        env={**project.environment, "TERM": "xterm"},
        cwd=str(project.folder),
        encoding="utf-8",
        timeout=120,
        dimensions=(50, 200),
    )
    for question, answer in (
        ("enter a name", "typed"),
        ("enter a description", "for the tests"),
        ("select a service connector type", "azure"),
        ("select a resource type", "azure-generic"),
        ("attempt auto-configuration", "n"),
        ("select an authentication method", "service-principal"),
        (r"\[client_secret\]", proxied.client_secret),
        (r"\[subscription_id\]", ""),
        (r"\[tenant_id\]", proxied.tenant_id),
        (r"\[resource_group\]", ""),
        (r"\[storage_account\]", ""),
        (r"\[client_id\]", proxied.client_id),
        ("credentials you configured temporary", "n"),
    ):
        terminal.expect(question)
        terminal.expect(": ")
        terminal.sendline(answer)
    terminal.expect("Successfully registered service connector `typed`")
    terminal.expect("azure-generic .*Emulator")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
