"""What the emulator answers to those who have no secret of it: nothing that is of any use."""

from __future__ import annotations

import json
import ssl
import uuid
from collections.abc import Iterator
from http.client import HTTPSConnection
from urllib.parse import quote, urlsplit

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential

from tests.contract.arm import Arm
from tests.contract.test_vault import CLUSTER
from tests.contract.waiting import eventually
from tests.machine_identity import running_job
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.http.peers import Peers
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime

Answer = tuple[int, str, dict[str, str]]

ARM_RESOURCE = "https%3A%2F%2Fmanagement.azure.com"

#: Documents that hold no secret, as they do not on Azure: where to sign in, and the public half of a key.
PUBLIC = ("/discovery", "/common/discovery/instance", "/v2.0/.well-known/openid-configuration", "/discovery/v2.0/keys")


def send(
    emulator: Emulator, method: str, path: str, headers: dict[str, str] | None = None, body: str | None = None
) -> Answer:
    """Send exactly this."""
    tls = ssl.create_default_context(cafile=str(emulator.ca_file))
    connection = HTTPSConnection(urlsplit(emulator.base_url).netloc, context=tls, timeout=30)
    sent = {"Host": urlsplit(emulator.base_url).netloc, **(headers or {})}
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in sent.items():
        connection.putheader(name, value)
    data = (body or "").encode()
    if data:
        connection.putheader("Content-Length", str(len(data)))
    connection.endheaders(data or None)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, {name.lower(): value for name, value in answer.getheaders()}


def routes(emulator: Emulator) -> Iterator[tuple[str, str]]:
    """Every route of the emulator, as the application itself lists them, its variable parts filled in."""
    from zenml_azureml.emulator.app import build_app
    from zenml_azureml.emulator.http.access import Access

    workspace = emulator.context.store.workspaces[0]
    for route in build_app(emulator.context, Access(Peers())).router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        for name, value in {
            "{subscription}": workspace.subscription_id,
            "{resource_group}": workspace.resource_group,
            "{workspace}": workspace.name,
            "{tenant}": emulator.tenant_id,
        }.items():
            path = path.replace(name, value)
        while "{" in path:
            head, _, rest = path.partition("{")
            inner, _, tail = rest.partition("}")
            path = head + (inner if inner[:1].isupper() else "any") + tail
        yield route.method, path


def test_no_route_does_anything_without_a_secret(emulator: Emulator) -> None:
    for method, path in routes(emulator):
        status, text, _ = send(emulator, method, path, {"Metadata": "true", "Content-Type": "application/json"}, "{}")

        if path.endswith(PUBLIC):
            assert "access_token" not in text
        else:
            assert status >= 400, (method, path, text)


#: A letter that is an s if case does not matter, by the rules of Unicode.
LONG_S = "\u017f"


@pytest.mark.parametrize("letters", [f"{LONG_S}ubscriptions", f"SUB{LONG_S}CRIPTIONS", "%73ubscriptions"])
def test_no_spelling_of_a_path_avoids_the_check_of_tokens(arm: Arm, letters: str) -> None:
    tail = arm.workspace.removeprefix("/subscriptions")
    paths = [f"/{quote(letters, safe='%')}{tail}/jobs", f"//subscriptions{tail}/jobs", f"/./subscriptions{tail}/jobs"]
    for path in [*paths, f"/{quote(letters, safe='%')}", "/%74enants", "/HISTORY/v1.0" + arm.workspace + "/runs/any"]:
        status, text, _ = send(arm.emulator, "GET", f"{path}?api-version=2024-01-01-preview")
        assert status in (401, 404, 501), (path, text)


def test_no_spelling_of_a_path_avoids_the_check_of_roles(arm: Arm) -> None:
    arm.call("POST", "/_emulator/roles", {"roles": []})

    for path in ("jobs/a%2FcomputeOperationsStatus%2Fb", "jobs/a%2Fproviders%2FMicrosoft.Authorization%2Fpermissions"):
        assert arm.call("GET", path).status == 403
    long_s = arm.workspace.replace("/subscriptions", "/%C5%BFubscriptions")
    assert arm.call("GET", f"{long_s}/jobs").status == 501


# Managed identity


def guesses(arm: Arm) -> list[str]:
    """What follows from ids that are public, or that older versions took."""
    body = arm.call("GET", "computes/gpus", api_version="2024-04-01").body
    ids = [body["identity"]["principalId"], arm.emulator.context.identity.object_id, arm.emulator.client_id]
    derived = [str(uuid.uuid5(uuid.UUID(one), "managed identity")) for one in ids]
    return [*ids, *derived, arm.emulator.tenant_id, "", "None", "\x00", LONG_S, "\xff"]


def test_no_token_can_be_derived_from_public_ids(arm: Arm) -> None:
    arm.call("PUT", "computes/gpus", CLUSTER, api_version="2024-04-01")
    running_job(arm, "gpus")
    for guess in guesses(arm):
        header = guess.encode("utf-8").decode("latin-1").replace("\x00", "")
        for path, headers in (
            (f"/msi/token?api-version=2017-09-01&resource={ARM_RESOURCE}", {"secret": header}),
            (f"/msi/token?api-version=2019-08-01&resource={ARM_RESOURCE}", {"X-IDENTITY-HEADER": header}),
            (f"/imds/{quote(guess)}/metadata/identity/oauth2/token?resource={ARM_RESOURCE}", {"Metadata": "true"}),
            (f"/metadata/identity/oauth2/token?resource={ARM_RESOURCE}", {"Metadata": "true"}),
        ):
            status, text, _ = send(arm.emulator, "GET", path, headers)
            assert status in (400, 401, 404, 501), (guess, path)
            assert "access_token" not in text


def test_the_secret_of_a_job_is_random_and_ends_with_the_job(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    arm.call("PUT", "computes/gpus", CLUSTER, api_version="2024-04-01")
    first, second = running_job(arm, "gpus", "first"), running_job(arm, "gpus", "second")
    monkeypatch.delenv("IDENTITY_ENDPOINT", raising=False)
    monkeypatch.setenv("MSI_ENDPOINT", f"{arm.emulator.base_url}/msi/token")
    monkeypatch.setenv("MSI_SECRET", first.machine_secret)
    assert ManagedIdentityCredential().get_token("https://management.azure.com/.default").token

    arm.call("POST", "jobs/first/cancel")

    eventually(lambda: arm.call("GET", "jobs/first").body["properties"]["status"] == "Canceled")
    with pytest.raises(ClientAuthenticationError):
        ManagedIdentityCredential().get_token("https://management.azure.com/.default")
    assert len({first.machine_secret, second.machine_secret}) == 2
    monkeypatch.setenv("MSI_SECRET", second.machine_secret)
    assert ManagedIdentityCredential().get_token("https://management.azure.com/.default").token
    arm.call("POST", "/_emulator/reset")
    with pytest.raises(ClientAuthenticationError):
        ManagedIdentityCredential().get_token("https://management.azure.com/.default")


def test_the_secret_in_the_metadata_services_path_is_not_recorded(emulator: Emulator) -> None:
    secret = emulator.context.keys.machine
    path = f"/imds/{secret}/metadata/identity/oauth2/token?resource={ARM_RESOURCE}"

    assert send(emulator, "GET", path, {"Metadata": "true"})[0] == 200

    recorded = Arm(emulator).call("GET", "/_emulator/requests").text
    assert "/imds/REDACTED/metadata/identity/oauth2/token" in recorded
    assert secret not in recorded


# The emulator's own interface, and pages in browsers


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer wrong", "Basic {key}", "{key}", "Bearer {key}x", "Bearer {arm}", f"Bearer {LONG_S}"],
)
def test_the_interface_of_the_emulator_needs_its_key(arm: Arm, authorization: str) -> None:
    value = authorization.format(key=arm.emulator.context.keys.admin, arm=arm.token()).encode().decode("latin-1")
    for method, path in (("GET", "/_emulator/health"), ("POST", "/_emulator/reset"), ("GET", "/_emulator/nothing")):
        status, text, headers = send(arm.emulator, method, path, {"Authorization": value} if value else {})

        assert status == 401
        assert "emulator env" in json.loads(text)["error"]
        assert headers["www-authenticate"].startswith("Bearer")


def test_the_key_of_one_emulator_is_not_that_of_another(emulator: Emulator) -> None:
    with Emulator(emulator.context.folder.parent / "second") as second:
        assert send(second, "GET", "/_emulator/health", emulator.admin_headers)[0] == 401
        assert send(second, "GET", "/_emulator/health", second.admin_headers)[0] == 200


#: What a browser sends for a page of another origin: a form or `fetch` without a preflight, a preflight, an image, a
#: link; and for a page whose name has come to mean 127.0.0.1 (DNS rebinding), which has no other origin.
PAGES: dict[str, tuple[str, dict[str, str], str]] = {
    "fetch of text": (
        "POST",
        {"Origin": "https://evil.example", "Content-Type": "text/plain;charset=UTF-8", "Sec-Fetch-Site": "cross-site"},
        "{}",
    ),
    "form": (
        "POST",
        {"Origin": "null", "Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "cross-site"},
        "a=b",
    ),
    "preflight": (
        "OPTIONS",
        {
            "Origin": "https://evil.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
        "",
    ),
    "another port of this machine": ("POST", {"Origin": "https://127.0.0.1:1", "Sec-Fetch-Site": "same-site"}, ""),
    "without encryption": ("POST", {"Origin": "http://127.0.0.1"}, ""),
    "image": ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, ""),
    "rebinding": ("POST", {"Host": "evil.example", "Sec-Fetch-Site": "same-origin"}, ""),
    "rebinding with an origin": ("POST", {"Host": "evil.example:443", "Origin": "https://evil.example:443"}, ""),
    "a name that begins as ours": ("POST", {"Host": "127.0.0.1.evil.example"}, ""),
    "a name that ends as ours": ("POST", {"Host": "evil.localhost"}, ""),
    "no name": ("POST", {"Host": ""}, ""),
    "a cloud's name": ("POST", {"Host": "management.azure.com"}, ""),
}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_another_origin_is_refused_even_with_the_key(emulator: Emulator, page: str) -> None:
    method, headers, body = PAGES[page]

    status, text, answered = send(emulator, method, "/_emulator/reset", {**emulator.admin_headers, **headers}, body)

    assert status == 403, text
    assert not [name for name in answered if name.startswith("access-control-")]


@pytest.mark.parametrize("page", [name for name, (_, headers, _) in PAGES.items() if {"Origin"} & headers.keys()])
def test_a_page_of_another_origin_is_refused_by_every_other_route(arm: Arm, page: str) -> None:
    method, headers, _ = PAGES[page]
    headers = {"Authorization": f"Bearer {arm.token()}", **headers}

    for path in (f"{arm.workspace}/jobs?api-version=2024-04-01", "/discovery", f"/{arm.emulator.tenant_id}/any"):
        assert send(arm.emulator, method, path, headers)[0] == 403


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_a_body_that_is_not_json_is_refused(emulator: Emulator, content_type: str) -> None:
    headers = {**emulator.admin_headers, **({"Content-Type": content_type} if content_type else {})}

    status, text, _ = send(emulator, "POST", "/_emulator/settings", headers, '{"latency": 1}')

    assert (status, "Content-Type: application/json" in text) == (415, True)
    assert emulator.context.settings.latency == 0


def test_the_origin_of_the_emulator_itself_and_its_names_are_no_others(emulator: Emulator) -> None:
    port = urlsplit(emulator.base_url).port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}"):
        headers = {**emulator.admin_headers, "Host": host, "Origin": f"https://{host}", "Sec-Fetch-Site": "same-origin"}
        assert send(emulator, "GET", "/_emulator/health", headers)[0] == 200


# Another user of the machine; see tests/docker/test_second_user.py for a real one


@pytest.mark.parametrize("path", ["/discovery", "/_emulator/health", "/nothing"])
def test_another_user_is_refused_whatever_they_send(emulator: Emulator, path: str) -> None:
    class Strangers(Peers):
        def refusal(self, client: object, server: object) -> str | None:
            return "This emulator belongs to another user."

    folder = emulator.context.folder.parent / "theirs"
    with Emulator(folder, runtime=ProcessRuntime(), peers=Strangers()) as theirs:
        status, text, _ = send(theirs, "GET", path, theirs.admin_headers)

    assert (status, json.loads(text)) == (403, {"error": "This emulator belongs to another user."})
