"""The real Azure CLI: its login, made at the emulator, and the commands of messages: `make test-azure-cli`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from azure.ai.ml import MLClient
from azure.core.credentials import TokenCredential
from azure.identity import AzureCliCredential, CredentialUnavailableError, DefaultAzureCredential

from tests.azure_commands import commands
from tests.azure_ml_cli import samples
from tests.contract.test_implicit_sign_in import running
from zenml_azureml.azure.auth.identity import credential_for
from zenml_azureml.clouds import CLOUDS, cloud_of
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.local import shell_env

PROGRAM = shutil.which(os.environ.get("AZ", "az"))

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs the Azure CLI, which `make test-azure-cli` installs")


@pytest.fixture(autouse=True)
def _shell(proxied: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `eval "$(zenml-azureml emulator env --sign-in azure-cli)"`, with `az` in the PATH."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in shell_env.variables(running(proxied), proxied.ca_bundle, os.environ, "azure-cli").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(str(PROGRAM)).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("AZURE_CORE_COLLECT_TELEMETRY", "false")


def az(*arguments: str) -> str:
    """Run the Azure CLI, which has to succeed; its output."""
    done = subprocess.run([str(PROGRAM), *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def log_in(emulator: Emulator) -> str:
    principal = ("-u", emulator.client_id, "-p", emulator.client_secret, "--tenant", emulator.tenant_id)
    return az("login", "--service-principal", *principal)


def test_it_logs_in_and_finds_the_subscription(proxied: Emulator) -> None:
    (account,) = json.loads(log_in(proxied))

    workspace = proxied.context.store.workspaces[0]
    assert (account["id"], account["tenantId"]) == (workspace.subscription_id, proxied.tenant_id)
    assert account["user"] == {"name": proxied.client_id, "type": "servicePrincipal"}


@pytest.mark.parametrize("whose", ["a script's", "the step operator's"])
def test_its_login_is_found_by(proxied: Emulator, whose: str) -> None:
    log_in(proxied)
    credential: TokenCredential = DefaultAzureCredential()
    if whose == "the step operator's":
        credential = credential_for(None, cloud_of(None, None))
    workspace = proxied.context.store.workspaces[0]
    names = (workspace.subscription_id, workspace.resource_group, workspace.name)

    assert list(MLClient(credential, *names, cloud="AzureCloud").jobs.list()) == []


def test_without_a_login_there_is_none() -> None:
    """The one that the machine may have is not used: the emulator's shell has a place of its own for logins."""
    with pytest.raises(CredentialUnavailableError, match="az login"):
        AzureCliCredential().get_token("https://management.azure.com/.default")


def complaints(commands: list[str]) -> dict[str, str]:
    """What the CLI says of each command that it cannot parse; it runs none."""
    python = Path(str(PROGRAM)).parent / "python"
    words = [shlex.split(command)[1:] for command in commands]
    done = subprocess.run(
        [str(python), str(Path(__file__).with_name("azure_cli_parser.py"))],
        input=json.dumps(words),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    return {command: what for command, what in zip(commands, said, strict=True) if what != "parsed"}


def commands_of_messages() -> list[str]:
    lines = [line for cloud in CLOUDS.values() for line in commands(cloud).values()]
    return sorted({command for line in lines for command in line.split("; ")})


def test_each_command_of_a_message_parses() -> None:
    found = [command for command in commands_of_messages() if not command.startswith("az ml ")]

    assert len(found) > 8
    assert complaints(found) == {}
    assert complaints([f"{found[0]} --unheard-of"])  # it is really parsed


@pytest.fixture
def _extension() -> None:
    """The extension `ml`, which `make test-azure-cli` installs where Microsoft's index of extensions is reached."""
    extensions = {extension["name"] for extension in json.loads(az("extension", "list", "--output", "json"))}
    if "ml" not in extensions:
        pytest.skip("the Azure CLI has no extension `ml` here; tests/unit/test_cli_hints.py has the rest")


@pytest.mark.usefixtures("_extension")
def test_each_command_of_a_message_about_a_workspace_parses() -> None:
    found = [command for command in commands_of_messages() if command.startswith("az ml ")]

    assert len(found) > 8
    assert complaints(found) == {}


@pytest.mark.usefixtures("_extension")
def test_the_extension_has_the_options_that_the_unit_tests_suppose() -> None:
    assert complaints(samples()) == {}
