"""Which cloud, and where its Resource Manager is."""

from __future__ import annotations

import pytest
from azure.ai.ml import _azure_environments as sdk

from zenml_azureml.clouds import AZURE, CLOUDS, cloud_named, cloud_of, is_loopback, redirects

CHINA = CLOUDS["AzureChinaCloud"]
ELSEWHERE = "https://arm.example.org:8443"


@pytest.mark.parametrize("name", CLOUDS)
def test_a_cloud_has_the_addresses_that_the_sdk_knows_for_it(name: str) -> None:
    known = {key: str(value).rstrip("/") for key, value in sdk._get_cloud_details(name).items()}

    cloud = CLOUDS[name]

    assert cloud.resource_manager == cloud.audience == known["resource_manager"]
    assert cloud.authority == known["active_directory"]
    assert cloud.studio == known["aml_resource_id"]
    assert cloud.portal == known["azure_portal"]


def test_all_clouds_of_the_sdk_are_known() -> None:
    assert list(CLOUDS) == ["AzureCloud", "AzureChinaCloud", "AzureUSGovernment"]
    assert set(sdk._environments) == set(CLOUDS)


@pytest.mark.parametrize("name", ["AzureChinaCloud", "azurechinacloud", "AZURECHINACLOUD"])
def test_a_cloud_is_found_by_its_name_in_any_case(name: str) -> None:
    assert cloud_named(name) is CHINA


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("AzureChina", "AzureChinaCloud"), ("AzureUSGov", "AzureUSGovernment"), ("azure", "AzureCloud")],
)
def test_an_unknown_cloud_is_an_error_that_names_the_nearest(misspelt: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"no Azure cloud named '{misspelt}'. Did you mean `{meant}`"):
        cloud_named(misspelt)


def test_settings_and_environment_say_where_resource_manager_is() -> None:
    environ = {"AZUREML_DEV_URL_MFE": "https://127.0.0.1:4433/"}

    assert cloud_of(None, None, {}) == AZURE
    assert cloud_of("AzureChinaCloud", None, {}) == CHINA
    assert cloud_of(None, None, environ).resource_manager == "https://127.0.0.1:4433"
    assert cloud_of("AzureChinaCloud", ELSEWHERE, environ).resource_manager == ELSEWHERE


def test_a_custom_endpoint_changes_the_address_alone() -> None:
    custom = CHINA.at(ELSEWHERE + "/")

    assert custom.resource_manager == ELSEWHERE
    assert custom.token_scope == CHINA.token_scope == "https://management.chinacloudapi.cn/.default"
    assert (custom.name, custom.authority, custom.studio) == (CHINA.name, CHINA.authority, CHINA.studio)


@pytest.mark.parametrize("endpoint", ["http://arm.example.org", "arm.example.org", "https://", "https://host?a=b", ""])
def test_an_endpoint_that_is_no_https_url_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="`arm_endpoint`, or the environment variable AZUREML_DEV_URL_MFE"):
        AZURE.at(endpoint)


def test_nothing_is_redirected_without_a_custom_endpoint() -> None:
    assert redirects(CHINA, {"AZUREML_DEV_URL_MFE": ELSEWHERE}) == {}


def test_a_custom_endpoint_gets_what_is_for_the_clouds_own_and_for_the_one_in_the_environment() -> None:
    environ = {"AZUREML_DEV_URL_MFE": "https://127.0.0.1:4433"}

    assert redirects(CHINA.at(ELSEWHERE), {}) == {CHINA.resource_manager: ELSEWHERE}
    assert redirects(CHINA.at(ELSEWHERE), environ) == {
        CHINA.resource_manager: ELSEWHERE,
        "https://127.0.0.1:4433": ELSEWHERE,
    }


def test_a_scope_of_another_cloud_becomes_the_same_one_of_this() -> None:
    assert CHINA.own_scope("https://management.azure.com/.default") == "https://management.chinacloudapi.cn/.default"
    assert CHINA.own_scope("https://ml.azure.us/.default") == "https://ml.azure.cn/.default"
    assert AZURE.own_scope("https://management.chinacloudapi.cn/.default") == AZURE.token_scope
    assert CHINA.own_scope("https://storage.azure.com/.default") == "https://storage.azure.com/.default"


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("https://127.0.0.1:4433", True),
        ("https://localhost", True),
        ("https://[::1]:4433", True),
        ("https://management.azure.com", False),
        ("https://10.0.0.1", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine(url: str, here: bool) -> None:
    assert is_loopback(url) is here
