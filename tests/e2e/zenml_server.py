"""A ZenML server that is not local: a process of its own, which clients reach over HTTP and sign in to."""

from __future__ import annotations

import shutil
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.contract.waiting import eventually
from tests.e2e import warm
from tests.e2e.warm_home import home

PASSWORD = "not-a-secret"
_PROGRAM = Path(__file__).with_name("serve_zenml.py")


class ZenMLServer:
    """A server, and the process that it is.

    Args:
        folder: A folder for its database.
        python: The interpreter that it runs in.
        variables: Further environment variables for it.

    Attributes:
        url: Where it is reached.
        log: Its log, with a line for each request.
    """

    def __init__(self, folder: Path, python: Path, variables: Mapping[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.log = folder / "log"
        self._folder = folder
        self._python = python
        self._variables = variables
        self._process: subprocess.Popen[bytes] | warm.ForkedProcess | None = None
        self._session: str | None = None

    def start(self) -> None:
        """Start it, also after it was killed, with the same database and address."""
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self._folder),
            "ZENML_CONFIG_PATH": str(self._folder / "zenml"),
            "ZENML_SERVER": "true",
            "ZENML_SERVER_DEPLOYMENT_TYPE": "other",
            "ZENML_SERVER_AUTO_ACTIVATE": "true",
            "ZENML_DEFAULT_USER_PASSWORD": PASSWORD,
            "ZENML_ANALYTICS_OPT_IN": "false",
            **self._variables,
        }
        self._session = None
        self._take_new_database()
        with (self._folder / "log").open("a") as log:
            process = self._begin(environment, log.fileno())
        self._process = process
        eventually(lambda: self.answers() or process.poll() is not None, seconds=240)
        assert process.poll() is None, (self._folder / "log").read_text()
        self._share_new_database()

    def _take_new_database(self) -> None:
        """Begin with the database with which another server of this test run has begun: to make one takes seconds."""
        if self._new_database.exists() and not self._database.exists():
            self._database.parent.mkdir(parents=True)
            shutil.copy(self._new_database, self._database)

    def _share_new_database(self) -> None:
        if self._new_database.exists():
            return
        copy = self._folder / "new.db"
        with closing(sqlite3.connect(self._database)) as used, closing(sqlite3.connect(copy)) as new:
            used.backup(new)
        copy.replace(self._new_database)

    @property
    def _database(self) -> Path:
        return self._folder / "zenml" / "local_stores" / "default_zen_store" / "zenml.db"

    @property
    def _new_database(self) -> Path:
        return home() / "new-server.db"

    def _begin(self, environment: dict[str, str], log: int) -> subprocess.Popen[bytes] | warm.ForkedProcess:
        if self._python in warm.PYTHONS_OF_SERVERS:
            program = [str(_PROGRAM), str(self._port)]
            return warm.ForkedProcess(program, environment, self._folder, log, log, python=str(self._python))
        command = [str(self._python), "-m", "uvicorn", "zenml.zen_server.zen_server_api:app", "--port", str(self._port)]
        return subprocess.Popen(command, cwd=self._folder, env=environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """Kill its process, so that connections are refused."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def suspend(self) -> None:
        """Stop its process, so that connections are accepted and no request is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let its process run again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def register(self, kind: str, **request: Any) -> str:
        """Register something by the REST API, as Terraform's provider does.

        Args:
            kind: The path of its kind, e.g. `components`.
            request: What to register.

        Returns:
            Its id.
        """
        return str(self._post(kind, headers=self._signed_in(), json=request)["id"])

    def get(self, path: str, **parameters: str) -> Any:
        """What the REST API answers, as the dashboard asks it.

        Args:
            path: Below `/api/v1/`.
            parameters: Of the query.
        """
        answer = requests.get(f"{self.url}/api/v1/{path}", headers=self._signed_in(), params=parameters, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    def update(self, path: str, **values: str) -> None:
        """Change something by the REST API.

        Args:
            path: Below `/api/v1/`.
            values: What to change, e.g. `status="stopping"`.
        """
        answer = requests.put(f"{self.url}/api/v1/{path}", headers=self._signed_in(), json=values, timeout=60)
        assert answer.ok, answer.text

    def client_variables(self) -> dict[str, str]:
        """The environment variables of a client that has signed in, with an API key of its own."""
        signed_in = self._signed_in()
        account = self._post("service_accounts", headers=signed_in, json={"name": "tests", "active": True})
        key = self._post(f"service_accounts/{account['id']}/api_keys", headers=signed_in, json={"name": "tests"})
        return {"ZENML_STORE_URL": self.url, "ZENML_STORE_API_KEY": str(key["body"]["key"])}

    def set_accounts_active(self, *, active: bool) -> None:
        """Let the service accounts sign in or not; requests with their sessions are refused with 401, if not."""
        for account in self.get("service_accounts")["items"]:
            answer = requests.put(
                f"{self.url}/api/v1/service_accounts/{account['id']}",
                headers=self._signed_in(),
                json={"active": active},
                timeout=60,
            )
            assert answer.ok, answer.text

    def answers(self) -> bool:
        """Whether it is up."""
        try:
            return requests.get(f"{self.url}/health", timeout=5).ok
        except (requests.ConnectionError, requests.Timeout):
            return False

    def _signed_in(self) -> dict[str, str]:
        if self._session is None:
            login = self._post("login", data={"username": "default", "password": PASSWORD})
            self._session = str(login["access_token"])
        return {"Authorization": f"Bearer {self._session}"}

    def _post(self, path: str, **request: Any) -> dict[str, Any]:
        answer = requests.post(f"{self.url}/api/v1/{path}", timeout=60, **request)
        assert answer.ok, answer.text
        body: dict[str, Any] = answer.json()
        return body


@contextmanager
def zenml_server(folder: Path, python: Path, variables: Mapping[str, str] | None = None) -> Iterator[ZenMLServer]:
    """A server for the length of a `with`.

    Args:
        folder: A new folder for its database.
        python: The interpreter that it runs in, which need not have the plugin.
        variables: Further environment variables for it.
    """
    folder.mkdir()
    server = ZenMLServer(folder, python, variables or {})
    try:
        server.start()
        yield server
    finally:
        server.kill()
