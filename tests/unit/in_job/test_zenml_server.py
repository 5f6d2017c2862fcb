"""How the watcher asks a ZenML server: with the job's token, proxies and certificates, and what counts as an answer."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import certifi
import pytest

from tests.unit.in_job.answering import RUN, Answering, answering
from zenml_azureml.contract.variables import is_rest
from zenml_azureml.emulator import Emulator
from zenml_azureml.in_job.watcher import zenml_server
from zenml_azureml.in_job.watcher.over import NoAnswerError
from zenml_azureml.in_job.watcher.zenml_server import ZenMLServer


@pytest.fixture
def server() -> Iterator[Answering]:
    with answering() as server:
        yield server


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def asked_of(server: Answering, **variables: str) -> dict[str, Any]:
    return ZenMLServer({**server.variables(), **variables}).get(f"runs/{RUN}", {"hydrate": "false"})


def test_it_asks_by_get_with_the_jobs_token(server: Answering) -> None:
    server.step_is("running", run="stopped")

    assert asked_of(server, ZENML_STORE_URL=f"{server.url}/")["body"]["status"] == "stopped"

    ((method, path, query, headers),) = server.asked
    assert (method, path, query) == ("GET", f"/api/v1/runs/{RUN}", "hydrate=false")
    assert headers["Authorization"] == "Bearer token"


def test_a_server_without_sign_in_is_asked_without_a_token(server: Answering) -> None:
    server.step_is("running")

    asked_of(server, ZENML_STORE_API_TOKEN="")

    assert "Authorization" not in server.asked[0][3]


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 403, 404, 422, 429, 500, 502, 503, 504])
def test_only_200_is_an_answer(server: Answering, status: int) -> None:
    server.step_is("running", run="stopped")
    server.answers[f"runs/{RUN}"] = (status, server.answers[f"runs/{RUN}"][1])

    with pytest.raises(NoAnswerError, match=f"^it answered {status}$"):
        asked_of(server)


@pytest.mark.parametrize(
    "body", ["<html>Sign in to continue</html>", "", '["stopped"]', '"stopped"', '{"id": ', "[" * 100_000]
)
def test_only_a_json_object_is_an_answer(server: Answering, body: str) -> None:
    server.answers[f"runs/{RUN}"] = 200, body

    with pytest.raises(NoAnswerError, match="without a JSON object"):
        asked_of(server)


def test_it_takes_its_token_nowhere_else(server: Answering) -> None:
    with answering() as other:
        other.step_is("running", run="stopped")
        server.answers[f"runs/{RUN}"] = 307, f"{other.url}/api/v1/runs/{RUN}"

        with pytest.raises(NoAnswerError, match="it answered 307"):
            asked_of(server)

        assert other.asked == []


def test_no_server_is_no_answer_and_names_no_token() -> None:
    variables = {"ZENML_STORE_URL": "http://127.0.0.1:1", "ZENML_STORE_API_TOKEN": "token"}

    with pytest.raises(NoAnswerError, match="refused") as failed:
        ZenMLServer(variables).get("runs/1", {})
    assert "token" not in str(failed.value)


def test_a_server_that_never_answers_is_no_answer(server: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zenml_server, "_TIMEOUT_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()

        with pytest.raises(NoAnswerError, match="timed out"):
            asked_of(server, ZENML_STORE_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_it_uses_the_jobs_proxy(server: Answering, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, server.url)
    server.answers[f"runs/{RUN}"] = 200, {"id": RUN}

    answer = asked_of(server, ZENML_STORE_URL="http://zenml.example.invalid")

    assert answer == {"id": RUN}
    assert server.asked[0][3]["Host"] == "zenml.example.invalid"


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "127.0.0.0/8", "localhost, 127.0.0.0/16", "*"])
def test_it_goes_round_the_proxy_where_the_job_does(
    server: Answering, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    server.step_is("running")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(NoAnswerError):
        asked_of(server)
    monkeypatch.setenv("NO_PROXY", no_proxy)

    assert asked_of(server)["id"] == RUN


def test_a_server_with_a_certificate_of_its_own(emulator: Emulator, tmp_path: Path) -> None:
    bundle = Path(emulator.ca_bundle)
    folder = tmp_path / "certificates"
    folder.mkdir()
    trusted: list[dict[str, str]] = [
        {"REQUESTS_CA_BUNDLE": str(bundle)},
        {"CURL_CA_BUNDLE": str(bundle)},
        {"ZENML_STORE_VERIFY_SSL": str(bundle)},
        {"ZENML_STORE_VERIFY_SSL": bundle.read_text()},
        {"ZENML_STORE_VERIFY_SSL": "False"},
        {"ZENML_STORE_VERIFY_SSL": "0"},
        {"ZENML_STORE_VERIFY_SSL": "True", "REQUESTS_CA_BUNDLE": str(bundle)},
    ]
    refused: list[dict[str, str]] = [
        {},
        {"ZENML_STORE_VERIFY_SSL": "True"},
        {"ZENML_STORE_VERIFY_SSL": str(tmp_path / "missing.pem")},
        {"REQUESTS_CA_BUNDLE": str(folder)},
    ]

    def outcome(variables: dict[str, str]) -> str:
        try:
            ZenMLServer({"ZENML_STORE_URL": emulator.base_url, **variables}).get("runs/1", {})
        except NoAnswerError as error:
            return str(error)
        return "an answer"

    # Azure's own error, which is an answer of the server whose certificate was to be trusted.
    assert {outcome(variables)[:11] for variables in trusted} == {"it answered"}
    assert all("CERTIFICATE_VERIFY_FAILED" in outcome(variables) for variables in refused)


def test_certificates_named_for_openssl_count(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(emulator.ca_bundle))

    with pytest.raises(NoAnswerError, match="it answered"):
        ZenMLServer({"ZENML_STORE_URL": emulator.base_url}).get("runs/1", {})


def test_certificates_may_be_less_strict_than_newer_pythons_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = ssl.create_default_context()
    strict.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 creates it
    monkeypatch.setattr(ssl, "create_default_context", lambda: strict)

    assert not zenml_server._trust({}).verify_flags & ssl.VERIFY_X509_STRICT


@pytest.mark.parametrize(
    ("url", "rest"),
    [
        ("https://zenml.example.com", True),
        ("http://127.0.0.1:8080", True),
        ("sqlite:////config/zenml.db", False),
        ("mysql://user@host/zenml", False),
        ("", False),
    ],
)
def test_only_a_server_is_asked(url: str, rest: bool) -> None:
    assert is_rest({"ZENML_STORE_URL": url}) is rest


def test_localhost_in_a_container_is_the_machine_that_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostbyname", lambda _name: "127.0.0.1")

    inside = ZenMLServer({"ZENML_STORE_URL": "http://localhost:8080", "ZENML_CONTAINER": "True"})
    outside = ZenMLServer({"ZENML_STORE_URL": "http://localhost:8080"})

    assert inside._url == "http://host.docker.internal:8080/api/v1"
    assert outside._url == "http://localhost:8080/api/v1"


@pytest.mark.parametrize(
    ("known", "url"),
    [
        (["host.docker.internal", "host.k3d.internal"], "http://host.docker.internal:8080"),
        (["host.k3d.internal"], "http://host.k3d.internal:8080"),
        ([], "http://127.0.0.1:8080"),
    ],
)
def test_the_machine_that_runs_a_container_has_the_first_name_that_is_known_there(
    known: list[str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(name: str) -> str:
        if name not in known:
            raise OSError(-2, "Name or service not known")
        return "192.0.2.1"

    monkeypatch.setattr(socket, "gethostbyname", look_up)

    assert ZenMLServer({"ZENML_STORE_URL": "http://127.0.0.1:8080", "ZENML_CONTAINER": "1"})._url == f"{url}/api/v1"


def test_a_server_elsewhere_has_the_same_address_in_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostbyname", lambda _name: "192.0.2.1")
    given = {"ZENML_STORE_URL": "https://zenml.example", "ZENML_CONTAINER": "yes"}

    assert ZenMLServer(given)._url == "https://zenml.example/api/v1"


class Trust:
    """Notes what is to be trusted."""

    def __init__(self, error: Exception | None = None) -> None:
        self.loaded: list[dict[str, str]] = []
        self.error = error

    def load_verify_locations(self, **given: str) -> None:
        self.loaded.append(given)
        if self.error is not None:
            raise self.error


def test_certificates_are_a_text_a_folder_or_a_file(tmp_path: Path) -> None:
    trust, file = Trust(), tmp_path / "bundle.pem"

    for certificates in ("-----BEGIN CERTIFICATE-----", str(tmp_path), str(file), ""):
        zenml_server._load(cast("Any", trust), certificates)

    text = {"cadata": "-----BEGIN CERTIFICATE-----"}
    assert trust.loaded == [text, {"capath": str(tmp_path)}, {"cafile": str(file)}]
    for error in (OSError("missing"), ssl.SSLError("no certificate"), ValueError("empty")):
        zenml_server._load(cast("Any", Trust(error)), str(file))


def test_the_certificates_of_pythons_packages_count(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certifi, "where", lambda: str(emulator.ca_bundle))

    with pytest.raises(NoAnswerError, match="it answered"):
        ZenMLServer({"ZENML_STORE_URL": emulator.base_url}).get("runs/1", {})


def test_many_may_ask_at_once(server: Answering) -> None:
    server.step_is("running")
    threads = [threading.Thread(target=asked_of, args=[server]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(server.asked) == 8
