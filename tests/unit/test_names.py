"""The names that Azure ML takes."""

from __future__ import annotations

import pytest

from zenml_azureml.settings.naming_rules import NameRuleError, check_compute_name, check_key_vault, check_shm_size


@pytest.mark.parametrize("name", ["cpu", "GPU-cluster", "a1b", "ci-1a", "ci1", "a" * 24])
def test_a_compute_can_be_called(name: str) -> None:
    check_compute_name(name)


@pytest.mark.parametrize(
    "name", ["", "ci", "a" * 25, "1cpu", "-cpu", "my_cpu", "my cpu", "cpü", "ci-1", "train-cluster-42", "cpu\n"]
)
def test_a_compute_cannot_be_called(name: str) -> None:
    with pytest.raises(NameRuleError, match="3 to 24 letters, digits and hyphens"):
        check_compute_name(name)


@pytest.mark.parametrize("size", ["2g", "512m", "1024K", "9B"])
def test_a_size_of_shared_memory(size: str) -> None:
    check_shm_size(size)


@pytest.mark.parametrize("size", ["", "2", "2gb", "g", "1.5g", "-2g", "2 g", "٢g"])
def test_no_size_of_shared_memory(size: str) -> None:
    with pytest.raises(NameRuleError, match="a whole number with a unit"):
        check_shm_size(size)


@pytest.mark.parametrize(
    "vault", ["kv1", "Team-Secrets", "https://team.vault.azure.net/", "/subscriptions/s/resourceGroups/g/x/vaults/v"]
)
def test_key_vaults_are_named_in_three_ways(vault: str) -> None:
    check_key_vault(vault)


@pytest.mark.parametrize(
    "vault", ["kv", "1team", "team--secrets", "team-", "http://team", "https://team/secrets/x", ""]
)
def test_what_can_be_no_key_vault_is_refused(vault: str) -> None:
    with pytest.raises(NameRuleError, match="a key vault is given by its name"):
        check_key_vault(vault)
