"""All commands of the Azure CLI that the code has for messages, with values of a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from zenml_azureml.azure import cli_hints
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.clouds import Cloud

SOURCE = Path(__file__).parents[1] / "src" / "zenml_azureml"
BUILDER = SOURCE / "azure" / "cli_hints.py"

#: A value for each option that has to have a certain kind of value.
VALUES: dict[str, str | Literal[True]] = {
    "update_dependent_resources": True,
    "identity_type": "system_assigned",
    "max_instances": "4",
    "public_network_enabled": "true",
    "admin_enabled": "true",
    "location": "westeurope",
    "version": "1",
}
SUBSCRIPTION, GROUP, WORKSPACE = "00000000-0000-0000-0000-000000000001", "a group (1)", "space"
VAULT = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/vaults/providers/Microsoft.KeyVault/vaults/safe"


def address_in(cloud: Cloud) -> WorkspaceAddress:
    return WorkspaceAddress(SUBSCRIPTION, GROUP, WORKSPACE, cloud)


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Each call of a builder of commands, with the builder's name."""
    for path in sorted(set(SOURCE.rglob("*.py")) - {BUILDER}):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.startswith("az_"):
                yield node.func.id, node


def commands(cloud: Cloud) -> dict[str, str]:
    """All commands, by what they are: built as the code builds them, with values of this file."""
    address = address_in(cloud)
    found: dict[str, str] = {}
    for builder, call in calls():
        if builder in ("az_ml", "az_ml_workspace", "az_resource"):
            words = ast.literal_eval(call.args[1])  # as a text of its own, so that this sees it
            assert isinstance(words, str)
            options = {str(word.arg): VALUES.get(str(word.arg), "value") for word in call.keywords}
            if builder == "az_ml":
                command = cli_hints.az_ml(address, words, **options)
            elif builder == "az_ml_workspace":
                command = cli_hints.az_ml_workspace(address, words, **options)
            else:
                command = cli_hints.az_resource(cloud, words, VAULT, **options)
            found[f"{words} {' '.join(options)}".strip()] = command
        elif builder == "az_assign_role":
            for user in (True, False):
                command = cli_hints.az_assign_role(address, "Key Vault Secrets User", "", VAULT, is_user=user)
                found[f"role assignment create {user}"] = command
        elif builder == "az_set_vault_policy":
            found["keyvault set-policy"] = cli_hints.az_set_vault_policy(cloud, VAULT, "id", ["get", "list"])
        elif builder == "az_login":
            found["login"], found["login tenant"] = cli_hints.az_login(cloud), cli_hints.az_login(cloud, "tenant")
        elif builder == "az_provider_register":
            found["provider register"] = cli_hints.az_provider_register(address, "Microsoft.Compute")
        elif builder == "az_lock_list":
            found["lock list"] = cli_hints.az_lock_list(address)
        elif builder == "az_reset_secret":
            found["reset"] = cli_hints.az_reset_secret(cloud, "client")
        else:
            raise AssertionError(f"{builder} is not known here")
    return found


def texts() -> Iterator[tuple[Path, str]]:
    """All texts in the code but docstrings."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                yield path, node.value


def written_by_hand() -> list[str]:
    """The commands that are not from the builder."""
    return [f"{path.name}: {text}" for path, text in texts() if path != BUILDER and re.search(r"\baz [a-z]", text)]
