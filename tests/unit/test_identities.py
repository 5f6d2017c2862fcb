"""Who a token says its owner is."""

from __future__ import annotations

import jwt
import pytest

from zenml_azureml.azure.auth.token_claims import SignedIn, signed_in_as

AZURE_CLI, POWERSHELL = "04b07795-8ddb-461a-bbee-02f9e1bf7b46", "1950a258-227b-4e31-a9cf-717495945fc2"
MACHINE = "/subscriptions/s/resourcegroups/r/providers/Microsoft.ManagedIdentity/userAssignedIdentities/train"


@pytest.mark.parametrize(
    ("claims", "who", "is_user"),
    [
        ({"upn": "ada@example.org", "appid": AZURE_CLI}, "`ada@example.org` of tenant `T` by the Azure CLI", True),
        (
            {"unique_name": "ada@example.org", "appid": POWERSHELL},
            "`ada@example.org` of tenant `T` by Azure PowerShell",
            True,
        ),
        ({"preferred_username": "ada@example.org", "azp": "x"}, "`ada@example.org` of tenant `T`", True),
        ({"appid": "1234", "idtyp": "app"}, "the application `1234` of tenant `T`", False),
        ({"appid": "1234", "xms_mirid": MACHINE}, "the managed identity `train` of tenant `T`", False),
    ],
)
def test_a_token_tells_its_owner(claims: dict[str, str], who: str, is_user: bool) -> None:
    token = jwt.encode({"tid": "T", **claims}, "key" * 16)

    assert signed_in_as(token) == SignedIn(who, is_user, "T")


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", "a.W10.c", jwt.encode({"tid": "T"}, "key" * 16)])
def test_a_token_that_does_not_tell_has_no_known_owner(token: str) -> None:
    assert signed_in_as(token) is None
