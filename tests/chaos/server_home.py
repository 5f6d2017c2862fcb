"""A ZenML server of the suite's own, its clients' configuration, and what goes wrong with it."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests

from tests.chaos import orchestrator
from tests.chaos.emulated import Address
from tests.chaos.home import SOURCE_ROOT, Home, register
from tests.chaos.shared_clock import SharedClock

#: For how many seconds of the shared clock the server is away; its clients give up after some 31.
AWAY = {"server restarted": 10.0, "session expired": 0.5, "server away": 180.0, "database locked": 20.0}

#: Seconds of the machine that a client waits for an answer, and for which a database is locked: more.
PATIENCE, LOCKED = 10, 12.0


_PASSWORD = "not-a-secret"


class ServerHome(Home):
    """The server in a process of its own; whoever uses it has to `enter` first, in a process of their own.

    Args:
        folder: To make it in.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{self._port}"
        self._keys = 0
        self._variables: dict[str, str] = {}
        self._until: tuple[float, float] | None = None
        self._lock: sqlite3.Connection | None = None

    def warm_up(self, emulator: Address) -> None:
        """Start the server, and register the stack.

        Args:
            emulator: Where runs are tried out.
        """
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "ZENML_CONFIG_PATH": str(self.folder / "server"),
            "ZENML_SERVER": "true",
            "ZENML_SERVER_DEPLOYMENT_TYPE": "other",
            "ZENML_SERVER_AUTO_ACTIVATE": "true",
            "ZENML_DEFAULT_USER_PASSWORD": _PASSWORD,
            "ZENML_ANALYTICS_OPT_IN": "false",
        }
        command = [sys.executable, "-m", "tests.chaos.forked_server", str(self._port)]
        with (self.folder / "server.txt").open("w") as log:
            self._process = subprocess.Popen(
                command,
                cwd=SOURCE_ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._start()
        self._variables = {
            "ZENML_CONFIG_PATH": str(self.folder / "client"),
            "ZENML_STORE_URL": self._url,
            "ZENML_STORE_API_KEY": self._api_key(),
        }
        self._database = next((self.folder / "server").rglob("zenml.db"))

        def work() -> None:
            self.enter()
            register(self.folder / "artifacts")

        output = self.folder / "register.txt"
        _, status = os.waitpid(orchestrator.fork(output, work), 0)
        if status:
            raise RuntimeError(output.read_text())
        self._variables["ZENML_STORE_HTTP_TIMEOUT"] = str(PATIENCE)

    def begin(self, _folder: Path) -> None:
        """Nothing is to be done: runs have names of their own, and the server keeps them all."""

    def enter(self) -> None:
        """Have this process, which was forked for that, use the server."""
        from zenml.client import Client
        from zenml.config.global_config import GlobalConfiguration
        from zenml.login.credentials_store import CredentialsStore
        from zenml.stack import stack

        os.environ.update(self._variables)
        GlobalConfiguration._reset_instance()
        Client._reset_instance()
        CredentialsStore.reset_instance()
        stack._STACK_CACHE.clear()

    def let_happen(self, event: str, clock: SharedClock) -> bool:
        """Let something happen to the server; whether it is such an event. `go_on` ends it."""
        if event not in AWAY:
            return False
        if event == "database locked":
            self._lock = sqlite3.connect(self._database, isolation_level=None)
            self._lock.execute("BEGIN EXCLUSIVE")
        else:
            self._ask("kill")
            self._keys += event == "session expired"
        machine = LOCKED if event == "database locked" else 0.0
        self._until = (clock.monotonic() + AWAY[event], time.monotonic() + machine)
        return True

    def go_on(self, clock: SharedClock) -> bool:
        """Bring the server back if it is time; whether it is there."""
        if self._until is None:
            return True
        if clock.monotonic() < self._until[0]:
            return False
        with clock.stopped():  # however long the machine takes for it
            if self._lock is not None:
                time.sleep(max(0.0, self._until[1] - time.monotonic()))
            self.come_back()
        return True

    def come_back(self) -> None:
        """Bring the server back, if it is away."""
        if self._until is None:
            return
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        else:
            self._start()
        self._until = None

    def close(self) -> None:
        """End the server."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def _start(self) -> None:
        self._ask(f"start {self._keys:064d}")
        deadline = time.monotonic() + 600
        while not self._answers():
            if time.monotonic() > deadline:
                raise RuntimeError((self.folder / "server.txt").read_text())
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self._url}/health", timeout=5).ok
        except requests.RequestException:
            return False

    def _api_key(self) -> str:
        login = self._post("login", data={"username": "default", "password": _PASSWORD})
        signed_in = {"Authorization": f"Bearer {login['access_token']}"}
        account = self._post("service_accounts", headers=signed_in, json={"name": "chaos", "active": True})
        key = self._post(f"service_accounts/{account['id']}/api_keys", headers=signed_in, json={"name": "chaos"})
        return str(key["body"]["key"])

    def _post(self, path: str, **request: Any) -> Any:
        answer = requests.post(f"{self._url}/api/v1/{path}", timeout=60, **request)
        if not answer.ok:
            raise RuntimeError(answer.text)
        return answer.json()

    def _ask(self, line: str) -> None:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{line}\n")
        stdin.flush()
        if not stdout.readline():
            raise RuntimeError((self.folder / "server.txt").read_text())
