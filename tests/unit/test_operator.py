"""The step operator by itself: which workspace its steps use, and what ZenML asks of it without a run."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from uuid import uuid4

import pytest
from zenml.enums import StackComponentType

from zenml_azureml import AzureMLStepOperator, AzureMLStepOperatorConfig, AzureMLStepOperatorSettings
from zenml_azureml.exceptions import AzureMLSettingsError


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch) -> AzureMLStepOperator:
    monkeypatch.delenv("AZUREML_DEV_URL_MFE", raising=False)
    now = datetime.now(timezone.utc)
    return AzureMLStepOperator(
        name="azureml",
        id=uuid4(),
        config=AzureMLStepOperatorConfig(subscription_id="s", resource_group="r", workspace_name="w"),
        flavor="azureml",
        type=StackComponentType.STEP_OPERATOR,
        user=None,
        created=now,
        updated=now,
    )


@pytest.mark.parametrize("order", [("AzureCloud", "AzureChinaCloud"), ("AzureChinaCloud", "AzureCloud")])
def test_steps_in_two_clouds_use_a_workspace_of_their_own_in_either_order(
    operator: AzureMLStepOperator, order: tuple[str, str]
) -> None:
    before = dict(os.environ)

    first, second = (operator.workspace(AzureMLStepOperatorSettings(cloud=cloud)) for cloud in order)

    assert (first.address.cloud.name, second.address.cloud.name) == order
    assert operator.workspace(AzureMLStepOperatorSettings(cloud=order[0])) is first
    assert dict(os.environ) == before


def test_an_endpoint_in_the_settings_is_used_without_a_word_in_the_environment(operator: AzureMLStepOperator) -> None:
    settings = AzureMLStepOperatorSettings(arm_endpoint="https://arm.example:8443/")

    assert operator.workspace(settings).address.cloud.resource_manager == "https://arm.example:8443"
    assert "AZUREML_DEV_URL_MFE" not in os.environ


def test_an_endpoint_that_is_none_is_an_error_that_names_the_setting(operator: AzureMLStepOperator) -> None:
    with pytest.raises(AzureMLSettingsError, match="arm_endpoint"):
        operator.workspace(AzureMLStepOperatorSettings(arm_endpoint="https://?"))


def test_all_threads_share_one_workspace(operator: AzureMLStepOperator) -> None:
    settings = AzureMLStepOperatorSettings()
    with ThreadPoolExecutor(32) as threads:
        workspaces = {id(workspace) for workspace in threads.map(lambda _: operator.workspace(settings), range(64))}

    assert len(workspaces) == 1


def test_zenml_finds_the_settings_class_and_allocates_no_resource_pool(operator: AzureMLStepOperator) -> None:
    assert operator.settings_class is AzureMLStepOperatorSettings
    assert getattr(operator, "supports_resource_pool_allocation", False) is False
