"""The names that Azure ML accepts."""

from __future__ import annotations

import pytest

from zenml_azureml.settings.naming_rules import (
    NameRuleError,
    bare_compute_name,
    check_compute_name,
    check_experiment_name,
    check_key_vault,
    check_shm_size,
    check_variable_name,
)
from zenml_azureml.specs.limits import is_new_compute_name


# The last four exist: MicrosoftDocs/azure-docs#55961 and DP100#50 have names of 2 to 16 characters with any ending.
@pytest.mark.parametrize("name", ["cpu", "GPU-cluster", "a" * 24, "my_cpu", "k8", "cpu-cluster-1", "ci-1", "gpu-2"])
def test_a_compute_that_exists_can_have_the_name(name: str) -> None:
    check_compute_name(name)


@pytest.mark.parametrize("name", ["", "c", "-cpu", "my cpu", "cpü", "cpu\n", "a/b", "a:b", "a" * 65])
def test_no_compute_has_the_name(name: str) -> None:
    with pytest.raises(NameRuleError, match="at least two letters, digits, hyphens and underscores"):
        check_compute_name(name)


@pytest.mark.parametrize("name", ["cpu", "GPU-cluster", "a1b", "ci-1a", "ci1", "a" * 24])
def test_a_new_compute_can_have_the_name(name: str) -> None:
    assert is_new_compute_name(name)


@pytest.mark.parametrize("name", ["ci", "a" * 25, "1cpu", "my_cpu", "ci-1", "train-cluster-42", "cpu\n"])
def test_a_new_compute_cannot_have_the_name(name: str) -> None:
    assert not is_new_compute_name(name)


@pytest.mark.parametrize(
    ("reference", "name"),
    [("azureml:gpus", "gpus"), ("AzureML:gpus", "gpus"), ("gpus", "gpus"), ("azureml", "azureml")],
)
def test_a_reference_to_a_compute_is_its_name(reference: str, name: str) -> None:
    assert bare_compute_name(reference) == name


# Source: https://github.com/Azure/dstoolkit-mlops-v2/issues/180
@pytest.mark.parametrize("name", ["a", "1", "team_A-2", "x" * 256])
def test_an_experiment_can_have_the_name(name: str) -> None:
    check_experiment_name(name)


@pytest.mark.parametrize("name", ["", "_a", "-a", "team/model", "my model", "größe", "x" * 257, "a\n", "a.b"])
def test_an_experiment_cannot_have_the_name(name: str) -> None:
    with pytest.raises(NameRuleError, match="1 to 256 letters, digits, hyphens and underscores"):
        check_experiment_name(name)


@pytest.mark.parametrize("name", ["A", "_a1", "spring.datasource.url", "my-name"])
def test_an_environment_variable_can_have_the_name(name: str) -> None:
    check_variable_name(name)


@pytest.mark.parametrize("name", ["", "1A", "A=B", "A B", "A\n", "Ä", "-A", "A;B", "$A"])
def test_an_environment_variable_cannot_have_the_name(name: str) -> None:
    with pytest.raises(NameRuleError, match="the name of an environment variable has"):
        check_variable_name(name)


@pytest.mark.parametrize("size", ["2g", "512m", "1024K", "9B"])
def test_shared_memory_can_have_the_size(size: str) -> None:
    check_shm_size(size)


@pytest.mark.parametrize("size", ["", "2", "2gb", "g", "1.5g", "-2g", "2 g", "٢g"])
def test_shared_memory_cannot_have_the_size(size: str) -> None:
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
def test_other_names_of_key_vaults_are_refused(vault: str) -> None:
    with pytest.raises(NameRuleError, match="a key vault is given by its name"):
        check_key_vault(vault)
