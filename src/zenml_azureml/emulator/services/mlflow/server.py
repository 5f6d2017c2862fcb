"""The MLflow server of one workspace: a child process on a socket in the state folder, started by the first request."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector

KEEPER = Path(__file__).with_name("keeper.py")

#: What the server names as the place of artifacts. The emulator replaces it: it stores them itself.
ARTIFACT_ROOT = "azureml://emulator"

#: What the server needs and the emulator does not. MLflow itself comes without a server, as `mlflow-skinny`.
_PACKAGES = ("mlflow", "flask", "flask_cors", "huey", "pandas", "sqlalchemy", "alembic")

_START_SECONDS = 180
_POLL_SECONDS = 0.1
_REQUEST_SECONDS = 120
#: A socket's longest path is 104 bytes on macOS, 108 on Linux.
_LONGEST_SOCKET_PATH = 100


class ServerError(Exception):
    """The server does not start; the message says what it has said."""


@dataclass(frozen=True)
class Answer:
    """An answer of the server.

    Attributes:
        status: HTTP status.
        body: The body.
    """

    status: int
    body: bytes


def missing_packages() -> list[str]:
    """Return the packages that the server needs and this Python does not have."""
    return [name for name in _PACKAGES if find_spec(name) is None]


class MlflowServer:
    """A server that starts with the first request.

    Args:
        folder: Folder for its database, its log and its socket; exists. Only its owner may read it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._starting = asyncio.Lock()
        self._keeper: asyncio.subprocess.Process | None = None
        self._session: ClientSession | None = None
        self._open_folder: int | None = None

    async def ask(
        self, method: str, path: str, query: Mapping[str, str | list[str]] | None = None, body: bytes = b""
    ) -> Answer:
        """Send a request to the server, which starts if it does not run.

        Args:
            method: HTTP method.
            path: Path, e.g. `/api/2.0/mlflow/runs/get`.
            query: Values by name.
            body: JSON; empty for none.

        Raises:
            ServerError: If the server does not start, or ends meanwhile.
        """
        async with self._starting:
            if self._session is None or self._keeper is None or self._keeper.returncode is not None:
                await self.close()
                self._session = await self._start()
        pairs = [(name, value) for name, found in (query or {}).items() for value in _listed(found)]
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            async with self._session.request(
                method, f"http://localhost{path}", params=pairs, data=body or None, headers=headers
            ) as answer:
                return Answer(answer.status, await answer.read())
        except (ClientError, asyncio.TimeoutError) as error:
            raise ServerError(f"The MLflow server does not answer: {error!r}") from error

    async def close(self) -> None:
        """End the server, if it runs."""
        if self._session is not None:
            await self._session.close()
        if self._keeper is not None:
            assert self._keeper.stdin is not None  # noqa: S101 - asked for at its start
            self._keeper.stdin.close()
            await self._keeper.wait()
        if self._open_folder is not None:
            os.close(self._open_folder)
        self._session = self._keeper = self._open_folder = None

    async def _start(self) -> ClientSession:
        socket = self._folder / "socket"
        socket.unlink(missing_ok=True)
        with (self._folder / "log").open("wb") as log:
            self._keeper = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(KEEPER)),
                *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", "sqlite:///mlflow.db"),
                *("--default-artifact-root", ARTIFACT_ROOT, "--no-serve-artifacts", "--workers", "1"),
                *("--uvicorn-opts", "--uds socket --log-level warning"),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={
                    "PATH": os.environ.get("PATH", ""),
                    "HOME": str(self._folder),
                    "MLFLOW_DISABLE_TELEMETRY": "true",
                    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # which is not about tracking
                },
                start_new_session=True,
            )
        session = ClientSession(
            connector=UnixConnector(path=self._path_of(socket)), timeout=ClientTimeout(total=_REQUEST_SECONDS)
        )
        try:
            await asyncio.wait_for(self._until_ready(session), _START_SECONDS)
        except asyncio.CancelledError:
            await session.close()
            raise
        except (ServerError, asyncio.TimeoutError) as error:
            await session.close()
            await self.close()
            words = (self._folder / "log").read_text(encoding="utf-8", errors="replace")[-1_000:]
            raise ServerError(f"The MLflow server does not start. The end of its log:\n{words}") from error
        return session

    async def _until_ready(self, session: ClientSession) -> None:
        assert self._keeper is not None  # noqa: S101 - started before
        while self._keeper.returncode is None:
            with suppress(ClientError, OSError):
                async with session.get("http://localhost/health") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(_POLL_SECONDS)
        raise ServerError

    def _path_of(self, socket: Path) -> str:
        """Return a path by which this process reaches the socket, whose own may be too long for the system."""
        if len(os.fsencode(socket)) <= _LONGEST_SOCKET_PATH or not sys.platform.startswith("linux"):
            return str(socket)
        self._open_folder = os.open(socket.parent, os.O_RDONLY | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._open_folder}/{socket.name}"


def _listed(found: str | list[str]) -> list[str]:
    return [found] if isinstance(found, str) else found
