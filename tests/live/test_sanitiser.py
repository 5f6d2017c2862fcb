"""Recordings keep no id, name, token, signature, address or person; what is left of a secret is not written."""

from __future__ import annotations

import base64
import json
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.live import leaks, recorder
from tests.live.known import Known, of_run
from tests.live.sanitiser import Sanitiser

TESTS = Path(__file__).parents[1]
FOLDERS = (TESTS / "parity", TESTS / "contract" / "recorded", TESTS / "live" / "recordings")
RECORDINGS = sorted(file for folder in FOLDERS for file in folder.rglob("*.json"))

WORKSPACE = (
    "/subscriptions/9d3c1f6e-1111-4a4a-8b8b-0123456789ab/resourceGroups/Vision-Team"
    "/providers/Microsoft.MachineLearningServices/workspaces/vision-prod"
)
CLAIMS = {
    "aud": "https://management.azure.com",
    "tid": "5b6c7d8e-2222-4b4b-9c9c-fedcba987654",
    "oid": "c0ffee00-3333-4c4c-8d8d-aabbccddeeff",
    "name": "Ada Lovelace",
    "given_name": "Ada",
    "unique_name": "ada@contoso.example",
    "ipaddr": "198.51.100.77",
    "groups": ["1234abcd-4444-4d4d-9e9e-0f0f0f0f0f0f"],
    "puid": "10032002ABCDEF01",
    "scp": "user_impersonation",
}
SEGMENT = base64.urlsafe_b64encode(json.dumps({"typ": "JWT", "alg": "RS256", "kid": "x"}).encode()).decode().rstrip("=")
TOKEN = f"{SEGMENT}.{SEGMENT[::-1]}.{'s' * 43}"
KNOWN = of_run(WORKSPACE, "https://127.0.0.1:5443", CLAIMS, tokens=[TOKEN], run="ab12cd").with_secrets("swordfish-4711")
SANITISER = Sanitiser(KNOWN, b"key")

#: What may be anywhere in an exchange.
CANARIES: dict[str, str] = {
    "subscription": "9d3c1f6e-1111-4a4a-8b8b-0123456789ab",
    "group": "Vision-Team",
    "workspace": "vision-prod",
    "tenant": str(CLAIMS["tid"]),
    "principal": str(CLAIMS["oid"]),
    "name": "Ada Lovelace",
    "given name": "Ada",
    "mail": "ada@contoso.example",
    "other mail": "grace.hopper@fabrikam.example",
    "address": "198.51.100.77",
    "other address": "203.0.113.200",
    "v6": "2001:db8:85a3::8a2e:370:7334",
    "puid": "10032002ABCDEF01",
    "group of people": "1234abcd-4444-4d4d-9e9e-0f0f0f0f0f0f",
    "token": TOKEN,
    "other token": f"{SEGMENT}.{'Q' * 60}.{'r' * 43}",
    "secret of a test": "swordfish-4711",
    "account key": base64.b64encode(bytes(range(100, 164))).decode(),
    "signature": "https://x1y2z3.blob.core.windows.net/logs/a.txt?sv=2021-08-06&sig=" + quote("q" * 43 + "=") + "&sp=r",
    "operation": f"https://management.azure.com/x?api-version=1&t=1&c={'M' * 90}&s={'N' * 90}&h={'O' * 43}",
    "client secret": "abc8Q~dEfGhIjKlMnOpQrStUvWxYz0123456789a",
    "id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "vault": "https://ada-vault.vault.azure.net/secrets/db",
    "registry": "lovelaceregistry.azurecr.io/train:1",
    "storage account": "/resourceGroups/Other-Team/providers/Microsoft.Storage/storageAccounts/lovelacestore",
    "private key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----",
}
#: What of each of them must not be found, if it is not the whole.
NEEDLES = {
    "signature": ["q" * 43, "x1y2z3"],
    "operation": ["M" * 90, "N" * 90, "O" * 43],
    "vault": ["ada-vault"],
    "registry": ["lovelaceregistry"],
    "storage account": ["Other-Team", "lovelacestore"],
    "private key": ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"],
}


def exchange(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "recording",
        "api_version": "2024-04-01",
        "date": "2026-11-29",
        "region": "westeurope",
        "client": "azure-ai-ml/1.35.0",
        "method": "PUT",
        "path": f"{WORKSPACE}/jobs/run-ab12cd-echo?api-version=2024-04-01",
        "request_body": {"properties": {"tags": {"a": "b"}}},
        "status": 201,
        "response_headers": {"Content-Type": "application/json"},
        "response_body": {"id": f"{WORKSPACE}/jobs/run-ab12cd-echo", "name": "run-ab12cd-echo"},
        **changes,
    }


@st.composite
def places(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A canary somewhere in an exchange: in a path, a header, a value, a key, within text, at any depth."""
    name = draw(st.sampled_from(sorted(CANARIES)))
    canary = CANARIES[name]
    if draw(st.booleans()):
        canary = quote(canary, safe="")
    before, after = draw(st.sampled_from([("", ""), ("see ", "."), ('{"x": "', '"}'), ("a=", ";b=c"), ("/", "/tail")]))
    value: Any = f"{before}{canary}{after}"
    for step in draw(st.lists(st.sampled_from(["key", "value", "list", "properties", "createdBy"]), max_size=4)):
        if step == "list":
            value = ["first", value]
        elif step == "key" and isinstance(value, str):
            value = {value: 1}
        else:
            value = {step: value}
    place = draw(st.sampled_from(["path", "client", "response_headers", "request_body", "response_body"]))
    if place in ("path", "client"):
        text = f"{before}{canary}{after}"
        return name, exchange(**{place: f"{exchange()[place]}&q={text}" if place == "path" else f"{text}/1.0"})
    if place == "response_headers":
        header = draw(st.sampled_from(["Location", "x-ms-error", "Set-Cookie", "Azure-AsyncOperation"]))
        return name, exchange(response_headers={header: f"{before}{canary}{after}"})
    return name, exchange(**{place: {"inner": value}})


@given(places())
def test_no_canary_is_left_wherever_it_was(place: tuple[str, dict[str, Any]]) -> None:
    name, given_exchange = place

    clean = SANITISER.exchange(given_exchange)
    leaks.check(clean, KNOWN)

    text = leaks.as_text(clean)
    for needle in NEEDLES.get(name, [CANARIES[name]]):
        for spelt in (needle, quote(needle, safe=""), json.dumps(needle)[1:-1]):
            assert spelt.lower() not in text.lower()
    assert SANITISER.exchange(clean) == clean  # what stands instead is replaced by nothing


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_recording_that_we_have_stays_as_it_is(file: Path) -> None:
    recording = json.loads(file.read_text(encoding="utf-8"))

    assert SANITISER.exchange(recording) == recording
    leaks.check(recording, Known())


def test_there_are_recordings() -> None:
    assert len(RECORDINGS) > 80


def test_a_reference_keeps_the_identity_of_a_value() -> None:
    one, other = str(uuid.UUID(int=7**40)), str(uuid.UUID(int=11**36))

    clean = SANITISER.exchange(exchange(response_body={"a": one, "b": f"x/{one.upper()}/y", "c": other, "d": [one]}))

    body = clean["response_body"]
    assert body["a"] == body["d"][0] == body["b"].split("/")[1]
    assert body["a"] != body["c"]
    # In another file of the same run too, and not in another run.
    again = Sanitiser(KNOWN, b"key").exchange(exchange(response_body={"e": one}))
    assert again["response_body"]["e"] == body["a"]
    other_run = Sanitiser(KNOWN, b"other").exchange(exchange(response_body={"e": one}))
    assert other_run["response_body"]["e"] != body["a"]


def test_what_is_no_secret_stays() -> None:
    body = {
        "properties": {
            "vmSize": "STANDARD_DS3_V2",
            "provisioningState": "Succeeded",
            "createdOn": "2026-03-27T04:02:21.6716179+00:00",
            "command": "echo hello && python train.py --epochs 3",
            "environmentId": "azureml:AzureML-sklearn-1.5:33",
            "currentNodeCount": 0,
            "errors": None,
            "keyVault": "managed",
        }
    }

    assert SANITISER.exchange(exchange(response_body=body))["response_body"] == body


def test_the_value_of_a_vaults_secret_is_replaced_whatever_it_is() -> None:
    given_exchange = exchange(
        path="https://x.vault.azure.net/secrets/zenml-1?api-version=7.4",
        request_body={"value": "hunter2", "tags": {"a": "b"}},
        response_body={"value": "hunter2", "id": "https://x.vault.azure.net/secrets/zenml-1/2"},
    )

    clean = SANITISER.exchange(given_exchange)

    assert "hunter2" not in leaks.as_text(clean)
    assert clean["request_body"]["value"] == clean["response_body"]["value"]


#: What is neither a secret nor of the credential: only the first line of defence replaces it.
ONLY_REPLACED = {"other address", "v6", "operation", "id", "vault", "registry", "storage account"}


@pytest.mark.parametrize("name", sorted(CANARIES.keys() - ONLY_REPLACED))
def test_a_file_with_something_left_is_not_written(name: str, tmp_path: Path) -> None:
    """The second line of defence, as if the first one had replaced nothing."""

    class Idle(Sanitiser):
        def exchange(self, exchange: Any) -> dict[str, Any]:
            return dict(exchange)

    harmless = exchange(path="/jobs/x", response_body={})
    writer = recorder.Writer(tmp_path, Idle(KNOWN, b"key"), KNOWN)
    with pytest.raises(leaks.LeakError) as refusal:
        writer.write("test", {**harmless, "response_body": {"a": [{"b": f"see {CANARIES[name]} here"}]}})

    assert list(tmp_path.rglob("*.json")) == []
    assert CANARIES[name] not in str(refusal.value)
    assert ".response_body.a[].b" in str(refusal.value)
    writer.write("test", harmless)
    assert len(list(tmp_path.rglob("*.json"))) == 1


@pytest.mark.parametrize("offset", range(3))
def test_a_claim_in_base64_is_found(offset: int) -> None:
    text = base64.b64encode(b"x" * offset + str(CLAIMS["oid"]).encode() + b"more").decode()

    assert list(leaks.leaks({"a": text}, KNOWN))
