"""Tokens that are revoked and secrets that are rotated, as the real SDKs meet them."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import jwt
import pytest
import requests
from azure.ai.ml import MLClient
from azure.core.exceptions import ClientAuthenticationError

from tests.conftest import credential_of
from tests.contract.arm import Arm
from tests.e2e.requests_of import requests_of
from zenml_azureml.emulator import Emulator

ARM_SCOPE = "https://management.azure.com/.default"


def challenged_client(emulator: Emulator) -> MLClient:
    """The real SDK, with the option by which it says that it understands claims challenges."""
    workspace = emulator.context.store.workspaces[0]
    names = (workspace.subscription_id, workspace.resource_group, workspace.name)
    return MLClient(credential_of(emulator), *names, cloud="AzureCloud", enable_cae=True)


def bearer(emulator: Emulator, **options: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential_of(emulator).get_token(ARM_SCOPE, **options).token}"}


def claims_of(challenge: str) -> Any:
    found = re.search(r'claims="([^"]+)"', challenge)
    return json.loads(base64.b64decode(found[1])) if found else None


@pytest.mark.parametrize(("enable_cae", "capability"), [(True, ["CP1"]), (False, None)])
def test_a_token_says_whether_its_client_understands_challenges(
    emulator: Emulator, enable_cae: bool, capability: list[str] | None
) -> None:
    token = credential_of(emulator).get_token(ARM_SCOPE, enable_cae=enable_cae).token

    assert jwt.decode(token, options={"verify_signature": False}).get("xms_cc") == capability


@pytest.mark.parametrize(
    ("answer", "error", "wanted"),
    [
        (
            "insufficient_claims",
            'realm="", authorization_uri="{}/common/oauth2/authorize", error="insufficient_claims"',
            True,
        ),
        ("session_revoked", 'error="invalid_token", error_description="User session has been revoked"', True),
        ("invalid_token", 'error="invalid_token", error_description="The access token is invalid."', False),
        ("none", None, False),
    ],
)
def test_a_revoked_token_is_answered_in_the_form_that_was_asked_for(
    arm: Arm, answer: str, error: str | None, wanted: bool
) -> None:
    header = bearer(arm.emulator, enable_cae=True)
    assert arm.call("POST", "/_emulator/tokens/revoke", {"answer": answer}).body["revoked"] >= 1

    for path in ("jobs", f"/history/v1.0{arm.workspace}/rundata"):
        refused = arm.call("GET", path, headers=header)
        assert refused.status == 401
        assert refused.body["error"]["code"] == "InvalidAuthenticationToken"
        challenge = refused.headers["WWW-Authenticate"]
        if error is None:
            assert challenge is None
            continue
        assert error.format(arm.emulator.base_url) in challenge
        claims = claims_of(challenge)
        assert (claims is not None) is wanted
        if wanted:
            assert claims["access_token"]["nbf"]["essential"] is True
            assert int(claims["access_token"]["nbf"]["value"]) > 0
    assert arm.call("GET", "jobs", headers=bearer(arm.emulator)).status == 200


def test_who_does_not_understand_challenges_gets_none(arm: Arm) -> None:
    header = bearer(arm.emulator)
    arm.call("POST", "/_emulator/tokens/revoke", {})

    refused = arm.call("GET", "jobs", headers=header)

    assert refused.status == 401
    assert claims_of(refused.headers["WWW-Authenticate"]) is None


def test_the_real_sdk_answers_a_claims_challenge_by_itself(arm: Arm) -> None:
    client = challenged_client(arm.emulator)
    assert list(client.jobs.list()) == []
    arm.call("POST", "/_emulator/tokens/revoke", {})

    assert list(client.jobs.list()) == []

    asked = [entry["status"] for entry in requests_of(arm.emulator) if entry["path"].endswith("/jobs")]
    assert asked == [200, 401, 200]


@pytest.mark.parametrize("answer", ["session_revoked", "invalid_token", "none"])
def test_the_real_sdk_has_no_answer_to_any_other_refusal(arm: Arm, answer: str) -> None:
    client = challenged_client(arm.emulator)
    assert list(client.jobs.list()) == []
    arm.call("POST", "/_emulator/tokens/revoke", {"answer": answer})

    # Not even the second time: azure-identity has the token in its cache.
    for _ in range(2):
        with pytest.raises(ClientAuthenticationError, match="InvalidAuthenticationToken"):
            list(client.jobs.list())


def test_a_rotated_secret_is_unknown_and_the_new_one_signs_in(arm: Arm) -> None:
    emulator = arm.emulator
    old, header = credential_of(emulator), bearer(emulator)
    before = emulator.client_secret

    assert arm.call("POST", "/_emulator/secret/rotate", {}).status == 204

    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215: Invalid client secret provided"):
        old.get_token(ARM_SCOPE)
    assert emulator.client_secret != before
    assert credential_of(emulator).get_token(ARM_SCOPE).token
    # Tokens live on: a secret is only for getting them.
    assert arm.call("GET", "jobs", headers=header).status == 200


def test_an_expired_secret_is_told_from_a_wrong_one(arm: Arm) -> None:
    old = credential_of(arm.emulator)
    arm.call("POST", "/_emulator/secret/rotate", {"old": "expired"})

    words = f"AADSTS7000222: The provided client secret keys for app '{arm.emulator.client_id}' are expired. Visit the"
    with pytest.raises(ClientAuthenticationError, match=re.escape(words)):
        old.get_token(ARM_SCOPE)


def test_rotated_secrets_are_kept_for_the_next_start(arm: Arm) -> None:
    old = arm.emulator.client_secret
    arm.call("POST", "/_emulator/secret/rotate", {"old": "expired"})

    again = Emulator(arm.emulator.context.folder)
    again.close()

    assert again.client_secret == arm.emulator.client_secret
    assert again.context.identity.is_expired_secret(old)


@pytest.mark.parametrize(
    ("path", "body"),
    [("tokens/revoke", {"answer": "politely"}), ("secret/rotate", {"old": "kept"}), ("secret/rotate", {"new": "mine"})],
)
def test_what_the_interface_does_not_know_it_refuses(arm: Arm, path: str, body: dict[str, str]) -> None:
    secret = arm.emulator.client_secret

    assert arm.call("POST", f"/_emulator/{path}", body).status == 400
    assert arm.emulator.client_secret == secret


@pytest.mark.parametrize("claims", ["no json", "[]", '{"access_token": {"xms_cc": {"values": 1}}}'])
def test_claims_that_make_no_sense_are_refused(emulator: Emulator, claims: str) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": emulator.client_id,
        "client_secret": emulator.client_secret,
        "scope": ARM_SCOPE,
        "claims": claims,
    }
    url = f"{emulator.base_url}/{emulator.tenant_id}/oauth2/v2.0/token"

    answer = requests.post(url, data=form, verify=str(emulator.ca_bundle), timeout=10)

    assert (answer.status_code, answer.json()["error_codes"]) == (400, [9002313])
