"""What ZenML stores of the flavor and of a step operator's configuration."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from zenml.integrations.azure import flavors as built_in_package

from zenml_azureml import AzureMLStepOperatorConfig, AzureMLStepOperatorFlavor, AzureMLStepOperatorSettings
from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.settings.aliases import ALIASES

WORKSPACE = {"subscription_id": "s", "resource_group": "r", "workspace_name": "w"}

#: The fields of the built-in flavor's configuration in ZenML 0.96 to 0.98.
BUILT_IN_FIELDS = {
    *("subscription_id", "resource_group", "workspace_name"),
    *("tenant_id", "service_principal_id", "service_principal_password"),
    *("mode", "compute_name", "size", "idle_time_before_shutdown_minutes", "idle_time_before_scaledown_down"),
    *("location", "min_instances", "max_instances", "tier", "shm_size", "compute_target_name"),
}


@pytest.mark.parametrize("ours", [AzureMLStepOperatorConfig, AzureMLStepOperatorFlavor, AzureMLStepOperatorSettings])
def test_the_built_in_names_are_ours(ours: type) -> None:
    assert getattr(built_in_package, ours.__name__) is ours


def test_the_stored_source_is_the_built_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # ZenML looks for the source root of a development install beside the main module, and a test worker has none.
    monkeypatch.setattr(sys.modules["__main__"], "__file__", __file__, raising=False)

    assert AzureMLStepOperatorFlavor().to_model().source == (
        "zenml.integrations.azure.flavors.azureml_step_operator_flavor.AzureMLStepOperatorFlavor"
    )


def test_a_stored_configuration_holds_only_words_that_the_built_in_flavor_knows() -> None:
    everything: dict[str, Any] = {
        **WORKSPACE,
        "mode": "compute-cluster",
        "compute_name": "cluster",
        "compute_size": "Standard_DS3_v2",
        "idle_type_before_shutdown_minutes": 5,
        "idle_time_before_scale_down": 60,
        "location": "westeurope",
        "min_instances": 0,
        "max_instances": 1,
        "tier": "dedicated",
        "shm_size": "2g",
        "compute_target_name": "target",
        "tenant_id": "t",
        "service_principal_id": "i",
        "service_principal_password": "p",
    }

    stored = AzureMLStepOperatorConfig(**everything).model_dump(mode="json", exclude_unset=True)

    assert set(stored) == BUILT_IN_FIELDS
    assert set(AzureMLStepOperatorConfig.model_fields) == BUILT_IN_FIELDS | set(ALIASES)


def test_an_update_in_another_spelling_takes_the_place_of_what_is_stored(caplog: pytest.LogCaptureFixture) -> None:
    """As `zenml step-operator update NAME --compute_size=...` does it: stored values first, new ones after them."""
    stored = AzureMLStepOperatorConfig(**WORKSPACE, mode="compute-instance", compute_name="mine", compute_size="old")
    updated = AzureMLStepOperatorConfig(**stored.model_dump(exclude_unset=True), compute_size="new")

    assert updated.size == "new"
    assert "`compute_size=new` replaces `size=old`." in caplog.text


def test_the_password_is_not_in_the_repr() -> None:
    config = AzureMLStepOperatorConfig(**WORKSPACE, service_principal_password="hunter2")

    assert "hunter2" not in repr(config)
    assert "hunter2" not in str(config)


@pytest.mark.parametrize(
    "configuration",
    [
        {"resource_group": "r", "workspace_name": "w", "service_principal_password": "hunter2"},
        {**WORKSPACE, "service_principal_password": ["hunter2"]},
        {**WORKSPACE, "service_principal_password": 4711},
    ],
    ids=["another field is missing", "a list", "a number"],
)
def test_no_secret_is_in_the_message_of_an_error(configuration: dict[str, Any]) -> None:
    with pytest.raises(AzureMLSettingsError) as raised:
        AzureMLStepOperatorConfig(**configuration)

    assert "hunter2" not in str(raised.value)
    assert "4711" not in str(raised.value)
    assert "`subscription_id`" in str(raised.value) or "`service_principal_password`" in str(raised.value)


def test_a_key_that_a_newer_zenml_stored_does_not_keep_the_stack_from_loading(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = AzureMLStepOperatorConfig(**WORKSPACE, quantum_tier="q")

    assert config.workspace_name == "w"
    assert "`quantum_tier`" in caplog.text


@pytest.mark.parametrize(
    ("endpoint", "remote"),
    [
        (None, True),
        ("https://management.azure.com", True),
        ("https://10.0.0.4:8443", True),
        ("https://127.0.0.1:8443", False),
        ("https://localhost:8443/", False),
        ("https://[::1]:8443", False),
    ],
)
def test_jobs_run_on_another_machine_unless_the_endpoint_is_this_one(
    monkeypatch: pytest.MonkeyPatch, endpoint: str | None, remote: bool
) -> None:
    monkeypatch.delenv("AZUREML_DEV_URL_MFE", raising=False)
    if endpoint:
        monkeypatch.setenv("AZUREML_DEV_URL_MFE", endpoint)

    assert AzureMLStepOperatorConfig(**WORKSPACE).is_remote is remote
