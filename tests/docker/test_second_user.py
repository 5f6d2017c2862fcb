"""A second user of this machine, who has every address and every secret. Needs root, and no Docker engine."""

from __future__ import annotations

import http.client
import json
import os
import pwd
import re
import socket
import ssl
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.contract.waiting import eventually
from zenml_azureml.emulator.http.peers import Peers, read_table
from zenml_azureml.emulator.local import daemon, instance, shell_env
from zenml_azureml.emulator.local.keys import stored_keys
from zenml_azureml.emulator.runtimes.docker.runtime import DockerRuntime
from zenml_azureml.emulator.services.entra.identity import stored_names

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

NAME = "azureml-second"


@pytest.fixture(scope="module")
def uid() -> Iterator[int]:
    """The second user's number."""
    subprocess.run(["useradd", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME], check=True)
    yield pwd.getpwnam(NAME).pw_uid
    subprocess.run(["userdel", NAME], check=True)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[instance.Running]:
    state = tmp_path_factory.mktemp("second-user") / "state"
    yield daemon.start(state, instance.Options(proxy=True))
    daemon.stop(state)


def as_user(uid: int, work: Callable[[], Any]) -> Any:
    """What a function returns in a process of another user; an exception's text if it raises one."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            answer = work()
        except Exception as error:  # noqa: BLE001 - the parent shows it
            answer = repr(error)
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text)


def ask(
    emulator: instance.Running,
    method: str,
    path: str,
    headers: dict[str, str],
    body: str | None = None,
    host: str = "127.0.0.1",
) -> Callable[[], list[Any]]:
    """A function that sends a request; its certificates are read before, by the user that may."""
    tls = ssl.create_default_context(cafile=str(emulator.ca_file))
    port = int(str(urlsplit(emulator.base_url).port))

    def send() -> list[Any]:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20)
        connection.sock = tls.wrap_socket(socket.create_connection((host, port)), server_hostname="127.0.0.1")
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return [answer.status, answer.read().decode()]

    return send


def requests_of(emulator: instance.Running) -> dict[str, tuple[str, str, dict[str, str], str | None]]:
    """What the owner could do, with each of their secrets."""
    names, keys = stored_names(emulator.state), stored_keys(emulator.state)
    form = {
        "grant_type": "client_credentials",
        "client_id": emulator.client_id,
        "client_secret": names["client_secret"],
        "scope": "https://management.azure.com/.default",
    }
    resource = "resource=https%3A%2F%2Fmanagement.azure.com"
    metadata = f"/imds/{keys.machine}/metadata/identity/oauth2/token?{resource}"
    encoded = {"Content-Type": "application/x-www-form-urlencoded"}
    return {
        "own interface": ("GET", "/_emulator/requests", keys.admin_headers, None),
        "sign-in": ("POST", f"/{emulator.tenant_id}/oauth2/v2.0/token", encoded, urlencode(form)),
        "managed identity": (
            "GET",
            f"/msi/token?api-version=2019-08-01&{resource}",
            {"X-IDENTITY-HEADER": keys.machine},
            None,
        ),
        "metadata": ("GET", metadata, {"Metadata": "true"}, None),
        "public": ("GET", "/discovery", {}, None),
    }


@pytest.mark.parametrize("door", ["own interface", "sign-in", "managed identity", "metadata", "public"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_another_user_is_refused_with_every_secret(emulator: instance.Running, uid: int, door: str, host: str) -> None:
    send = ask(emulator, *requests_of(emulator)[door], host=host)

    assert send()[0] == 200  # the owner
    status, text = as_user(uid, send)

    assert status == 403
    assert f"refuses user {uid}" in json.loads(text)["error"]


def test_another_user_gets_no_token_by_the_header_that_was_enough_once(emulator: instance.Running, uid: int) -> None:
    path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com"

    for user, expected in ((uid, 403), (0, 501)):  # for its owner, the emulator has no such operation
        status, text = as_user(user, ask(emulator, "GET", path, {"Metadata": "true"}))
        assert status == expected
        assert "access_token" not in text


def test_another_user_gets_no_tunnel(emulator: instance.Running, uid: int) -> None:
    address = urlsplit(str(emulator.proxy_url))

    def connect() -> str:
        with socket.create_connection((str(address.hostname), int(str(address.port))), timeout=20) as client:
            client.sendall(b"CONNECT management.azure.com:443 HTTP/1.1\r\n\r\n")
            return client.recv(1000).decode()

    assert connect().startswith("HTTP/1.1 200 ")
    assert as_user(uid, connect).startswith("HTTP/1.1 403 This emulator belongs to user 0")


def test_another_user_cannot_look_into_the_state_folder(emulator: instance.Running, uid: int) -> None:
    files = [path for path in emulator.state.rglob("*") if path.is_file()]
    assert len(files) > 8

    for path in files:
        assert "PermissionError" in as_user(uid, path.read_text)


def test_another_user_cannot_use_the_owners_folder_as_a_state_folder(emulator: instance.Running, uid: int) -> None:
    assert as_user(uid, lambda: daemon.find(emulator.state) is None) is True
    # Which part of the folder refuses first depends on whether its upper folders can be entered.
    assert re.search(r"cannot (be|use)", as_user(uid, lambda: refusal_of(emulator.state)))


def refusal_of(state: Path) -> str:
    try:
        daemon.start(state, instance.Options())
    except instance.DaemonError as error:
        return str(error)
    return "it was started"


def test_a_process_of_a_job_counts_as_the_user_after_it_has_changed_its_user(
    emulator: instance.Running, uid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from azure.ai.ml import MLClient
    from azure.ai.ml import command as command_job
    from azure.ai.ml.entities import Environment
    from azure.identity import DefaultAzureCredential

    program = textwrap.dedent(
        f"""
        import encodings.idna, os, ssl, urllib.request  # before: the user that follows may not read them
        tls = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
        os.setgroups([]); os.setgid({uid}); os.setuid({uid})
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=tls))
        print("as", os.getuid(), opener.open("{emulator.base_url}/discovery").status)
        """
    )
    values = shell_env.variables(emulator, emulator.ca_bundle, {})
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", emulator.base_url)
    options = emulator.options
    client = MLClient(DefaultAzureCredential(), options.subscription_id, options.resource_group, options.workspace_name)
    quoted = program.replace('"', '\\"').strip()
    job = client.jobs.create_or_update(
        command_job(command=f'python -c "{quoted}"', environment=Environment(name="any", version="1", image="any"))
    )
    eventually(lambda: client.jobs.get(str(job.name)).status in ("Completed", "Failed"), seconds=60)

    log = (emulator.state / "jobs" / str(job.name) / "user_logs" / "std_log.txt").read_text()
    assert f"as {uid} 200" in log, log


def test_with_containers_only_the_credential_decides() -> None:
    """An image chooses its user; `may_own_socket` needs nothing of a Docker engine."""
    runtime = object.__new__(DockerRuntime)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, name = listening.accept()
        with client, server:
            read = [table.replace(" 0 ", " 4711 ") for table in map(read_table, ("/proc/net/tcp", "/proc/net/tcp6"))]
            tables = dict(zip(("/proc/net/tcp", "/proc/net/tcp6"), read, strict=True))
            strict = Peers(uid=1, read=tables.__getitem__)
            assert "refuses user 4711" in str(strict.refusal(name, server.getsockname()))
            trusting = Peers(runtime.may_own_socket, uid=1, read=tables.__getitem__)
            assert trusting.refusal(name, server.getsockname()) is None


def test_root_needs_only_the_credential(uid: int) -> None:
    """Root can read the state folder of any user, and a container in the machine's network mostly is root."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, name = listening.accept()
        with client, server:
            assert Peers(uid=uid).refusal(name, server.getsockname()) is None
