"""Commands of the Azure CLI in messages: one builder, and nothing that the CLI would take from its configuration."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.azure_commands import GROUP, SUBSCRIPTION, VAULT, WORKSPACE, address_in, commands, written_by_hand
from tests.azure_ml_cli import FACTS, complaint_about, samples
from zenml_azureml.azure.cli_hints import az_ml
from zenml_azureml.clouds import AZURE, CLOUDS, Cloud

#: Commands that are about no subscription.
_OF_A_TENANT = ("login", "login tenant", "reset")


def options_of(command: str) -> dict[str, str]:
    """The options of a command as a shell takes it apart."""
    words = shlex.split(command)
    return {word: following for word, following in zip(words, [*words[1:], ""], strict=True) if word.startswith("--")}


def test_no_message_has_a_command_of_its_own() -> None:
    assert written_by_hand() == []


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=CLOUDS.keys())
def test_each_command_names_all_that_the_cli_would_take_from_its_configuration(cloud: Cloud) -> None:
    found = commands(cloud)

    assert len(found) > 12
    for kind, command in found.items():
        selected, _, rest = command.rpartition("; ")
        assert selected == ("" if cloud is AZURE else f"az cloud set --name {cloud.name}"), command
        assert rest.startswith("az ")
        options = options_of(rest)
        if kind in _OF_A_TENANT:
            continue
        assert options["--subscription"] == SUBSCRIPTION, command
        if rest.startswith("az ml "):
            assert options["--resource-group"] == GROUP, command
            in_workspace = "--name" if rest.startswith("az ml workspace ") else "--workspace-name"
            assert options[in_workspace] == WORKSPACE, command
        elif kind == "lock list":
            assert options["--resource-group"] == GROUP, command
        elif kind != "provider register":  # it is about the whole subscription
            assert options.get("--resource-group") == "vaults" or options["--scope"] == VAULT, command


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=CLOUDS.keys())
def test_the_extension_of_azure_ml_has_each_command_and_its_options(cloud: Cloud) -> None:
    """By the options that the extension's source declares; `make test-azure-cli` asks the extension, if it has it."""
    found = [command.rpartition("; ")[2] for command in commands(cloud).values()]
    found = [command for command in found if command.startswith("az ml ")]

    assert {command: what for command in found if (what := complaint_about(command))} == {}
    used = {name for name in FACTS["commands"] for command in found if command.startswith(f"az {name} ")}
    assert used == set(FACTS["commands"])
    assert [command for command in samples() if complaint_about(command)] == []


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("az ml job cancel --name x --resource-group g", "--workspace-name"),
        ("az ml job cancel --name x --resource-group g --workspace-name w --force", "--force"),
        ("az ml job cancel --name x --resource-group g --workspace w", "--workspace"),
        ("az ml job cancel --name --resource-group g --workspace-name w", "--name"),
        ("az ml workspace update --name w --resource-group g --update-dependent-resources yes", "yes"),
        ("az ml job stop --name x --resource-group g --workspace-name w", "unknown command"),
    ],
)
def test_a_command_that_the_extension_would_refuse_is_noticed(command: str, complaint: str) -> None:
    assert complaint in complaint_about(command)


@given(st.text("abz09-_.()\"'$`\\ é", min_size=1, max_size=20))
def test_a_name_is_one_word_of_the_command(name: str) -> None:
    command = az_ml(address_in(AZURE), "ml job cancel", name=name)

    assert options_of(command)["--name"] == name
