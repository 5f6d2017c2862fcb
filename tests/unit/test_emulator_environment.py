"""The shell lines of `zenml-azureml emulator env`, evaluated by a real shell."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zenml_azureml.emulator.local import shell_env
from zenml_azureml.emulator.local.instance import Options, Running

EMULATOR = Running(
    state=Path("/home/me/my state"),
    pid=1,
    base_url="https://127.0.0.1:10443",
    proxy_url=None,
    started_at="2026-01-01T00:00:00+00:00",
    ca_file=Path("/home/me/my state/ca.pem"),
    ca_bundle=Path("/home/me/my state/ca-bundle.pem"),
    tenant_id="tenant",
    client_id="client",
    federated_token_file=Path("/home/me/my state/token"),
    options=Options(),
    local_url="https://127.0.0.1:10443",
)

PROXIED = replace(EMULATOR, proxy_url="http://127.0.0.1:10444")


def evaluate(lines: list[str], shell: Mapping[str, str]) -> dict[str, str]:
    """The variables of a shell after it has evaluated some lines."""
    script = 'eval "$1" && env -0'
    done = subprocess.run(
        ["/bin/bash", "-euc", script, "bash", "\n".join(lines)], env=dict(shell), stdout=subprocess.PIPE, check=True
    )
    pairs = (entry.split("=", 1) for entry in done.stdout.decode("utf-8", "surrogateescape").split("\0") if entry)
    return {name: value for name, value in pairs if name not in {"_", "PWD", "SHLVL", "OLDPWD"}}


def switch_on(shell: Mapping[str, str], emulator: Running = EMULATOR) -> dict[str, str]:
    values = shell_env.variables(emulator, emulator.ca_bundle, shell)
    return evaluate(shell_env.set_lines(values, shell), shell)


PATH = {"PATH": "/usr/bin:/bin"}


def test_a_shell_gets_what_the_sdk_and_azure_identity_look_for() -> None:
    assert switch_on(PATH) == {
        **PATH,
        "AZUREML_DEV_URL_MFE": "https://127.0.0.1:10443",
        "AZURE_AUTHORITY_HOST": "https://127.0.0.1:10443",
        "AZUREML_CURRENT_CLOUD": "AzureCloud",
        "AZURE_CONFIG_DIR": "/home/me/my state/azure-cli",
        "AZURE_TENANT_ID": "tenant",
        "AZURE_CLIENT_ID": "client",
        "AZURE_FEDERATED_TOKEN_FILE": "/home/me/my state/token",
        "REQUESTS_CA_BUNDLE": "/home/me/my state/ca-bundle.pem",
        "AZUREML_ARM_SUBSCRIPTION": Options().subscription_id,
        "AZUREML_ARM_RESOURCEGROUP": "emulator",
        "AZUREML_ARM_WORKSPACE_NAME": "emulator",
        "ZENML_AZUREML_EMULATOR_STATE": "/home/me/my state",
        "ZENML_AZUREML_EMULATOR_ENV": "1",
    }


@pytest.mark.parametrize(
    "name",
    ["AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_TOKEN_CREDENTIALS"],
)
def test_what_would_win_over_it_is_unset(name: str) -> None:
    assert name not in switch_on({**PATH, name: "theirs"})


def test_the_lines_hold_no_secret_of_the_shell() -> None:
    shell = {**PATH, "AZURE_CLIENT_SECRET": "hush"}
    values = shell_env.variables(EMULATOR, EMULATOR.ca_bundle, shell)

    assert "hush" not in "\n".join(shell_env.set_lines(values, shell))
    assert "hush" not in "\n".join(shell_env.unset_lines(switch_on(shell)))


VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@settings(max_examples=30, deadline=None)
@given(
    before=st.fixed_dictionaries(
        {},
        optional={
            "AZURE_CLIENT_SECRET": VALUES,
            "AZURE_TENANT_ID": VALUES,
            "REQUESTS_CA_BUNDLE": VALUES,
            "NO_PROXY": VALUES,
            "HTTPS_PROXY": VALUES,
        },
    ),
    emulators=st.lists(st.sampled_from([EMULATOR, PROXIED]), min_size=1, max_size=2),
)
def test_undoing_it_leaves_the_shell_as_it_was(before: dict[str, str], emulators: list[Running]) -> None:
    shell = {**PATH, **before}
    for emulator in emulators:
        shell = switch_on(shell, emulator)

    assert evaluate(shell_env.unset_lines(shell), shell) == {**PATH, **before}


def test_undoing_it_where_it_was_not_done_does_nothing() -> None:
    assert shell_env.unset_lines({**PATH, "AZURE_TENANT_ID": "theirs"}) == []


def test_behind_a_proxy_the_emulator_is_reached_without_it() -> None:
    shell = switch_on({**PATH, "HTTPS_PROXY": "http://proxy:3128", "no_proxy": "intranet"})

    assert shell["no_proxy"] == "intranet,127.0.0.1"
    assert shell["NO_PROXY"] == "127.0.0.1"


class TestAnEmulatorWithAProxy:
    def test_clients_find_it_at_azures_own_addresses(self) -> None:
        shell = switch_on(PATH, PROXIED)

        assert shell["HTTPS_PROXY"] == shell["https_proxy"] == "http://127.0.0.1:10444"
        assert shell["NO_PROXY"] == shell["no_proxy"] == "127.0.0.1"
        assert shell["AZURE_AUTHORITY_HOST"] == "https://login.microsoftonline.com"

    def test_in_its_own_cloud(self) -> None:
        china = replace(PROXIED, options=Options(cloud="AzureChinaCloud"))

        assert switch_on(PATH, china)["AZURE_AUTHORITY_HOST"] == "https://login.partner.microsoftonline.cn"

    def test_the_shells_own_proxy_is_back_when_it_has_none_any_more(self) -> None:
        shell = {**PATH, "HTTPS_PROXY": "http://proxy:3128"}

        again = switch_on(switch_on(shell, PROXIED))

        assert again == switch_on(shell)
        assert again["HTTPS_PROXY"] == "http://proxy:3128"
        assert "https_proxy" not in again

    def test_one_that_is_started_in_such_a_shell_finds_the_shells_own_proxy(self) -> None:
        shell = {**PATH, "HTTPS_PROXY": "http://proxy:3128"}

        own = shell_env.own_variables(switch_on(shell, PROXIED))

        assert own["HTTPS_PROXY"] == "http://proxy:3128"
        assert not {"https_proxy", "NO_PROXY", "AZURE_AUTHORITY_HOST"} & own.keys()


class TestTheCertificatesToTrust:
    @pytest.fixture
    def emulator(self, tmp_path: Path) -> Running:
        (tmp_path / "state").mkdir()
        bundle = tmp_path / "state" / "ca-bundle.pem"
        bundle.write_text("everybody's and the emulator's")
        return Running(**{**vars(EMULATOR), "state": tmp_path / "state", "ca_bundle": bundle})

    @pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_those_that_the_shell_trusted_before_stay_among_them(
        self, emulator: Running, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / "theirs.pem").write_text("theirs")

        bundle = shell_env.ca_bundle(emulator, {name: str(tmp_path / "theirs.pem")})

        assert bundle.read_text() == "everybody's and the emulator's\ntheirs"
        assert bundle.parent == emulator.state

    def test_also_when_they_are_a_folder(self, emulator: Running, tmp_path: Path) -> None:
        (tmp_path / "certs").mkdir()
        (tmp_path / "certs" / "theirs.pem").write_text("theirs")

        bundle = shell_env.ca_bundle(emulator, {"REQUESTS_CA_BUNDLE": str(tmp_path / "certs")})

        assert bundle.read_text().endswith("\ntheirs")

    def test_also_when_the_variables_are_set_a_second_time(self, emulator: Running, tmp_path: Path) -> None:
        (tmp_path / "theirs.pem").write_text("theirs")
        shell = {"REQUESTS_CA_BUNDLE": str(tmp_path / "theirs.pem")}
        first = shell_env.ca_bundle(emulator, shell)
        lines = shell_env.set_lines(shell_env.variables(emulator, first, shell), shell)

        assert shell_env.ca_bundle(emulator, evaluate(lines, {**PATH, **shell})) == first

    def test_without_any_of_its_own_the_emulators_bundle_does(self, emulator: Running) -> None:
        assert shell_env.ca_bundle(emulator, {}) == emulator.ca_bundle
