"""An emulator as a process of its own: started, found and stopped through its state folder.

While an emulator runs it holds a lock on a file in the folder, which the system takes from it however
it ends. So the check if one runs needs no process id, which another process may have by now.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from zenml_azureml.emulator.local.address import AddressError, Advertised, is_loopback
from zenml_azureml.emulator.local.instance import Options, Running
from zenml_azureml.emulator.local.private_files import full_disk, in_words, write_private
from zenml_azureml.emulator.local.state_folder import StateFolderError, claim, is_state_folder
from zenml_azureml.emulator.runtimes.base import EngineError
from zenml_azureml.emulator.runtimes.cleanup import end_leftovers
from zenml_azureml.emulator.runtimes.process.keeper import become_subreaper
from zenml_azureml.emulator.runtimes.process.tree import end_children

if TYPE_CHECKING:
    from zenml_azureml.emulator import Emulator
    from zenml_azureml.emulator.clock import Clock
    from zenml_azureml.emulator.context import Settings
    from zenml_azureml.emulator.runtimes.base import Runtime


_LOCK = "lock"
_RECORD = "emulator.json"
_LOG = "emulator.log"
_POLL_SECONDS = 0.05
_LOG_LINES_SHOWN = 15
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._()-]{0,89}")
_LAST_PORT = 65_535
#: What the system says of a port that cannot be listened on.
_PORT_ERRORS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM)


class DaemonError(Exception):
    """An emulator could not be started or stopped; the message says why."""


def find(state: Path) -> Running | None:
    """Return the emulator of this user that serves from a state folder, or None.

    Args:
        state: The state folder; need not exist.
    """
    if not is_state_folder(state) or not _is_locked(state):
        return None
    try:
        content = json.loads((state / _RECORD).read_text())
    except FileNotFoundError:  # it is starting
        return None
    paths = {name: Path(content[name]) for name in ("state", "ca_file", "ca_bundle", "federated_token_file")}
    content.setdefault("local_url", content["base_url"])  # one that an older version has started
    return Running(**{**content, **paths, "options": Options(**content["options"])})


def start(state: Path, options: Options) -> Running:
    """Start an emulator in the background, unless one runs there already.

    Args:
        state: The state folder; created if it is missing.
        options: Options of the start.

    Returns:
        The emulator, which serves.

    Raises:
        DaemonError: If it could not be started, with the end of its log; if an option cannot be used; or if the folder
            is not an emulator's.
    """
    _check(options)
    state = _claimed(state)
    while True:
        if (running := find(state)) is not None:
            return running
        with _file_errors_in_words(state), (state / _LOCK).open("ab") as lock:
            # Taken here and handed on: of several starts at once, all but one wait for that one's emulator.
            if _try_lock(lock, fcntl.LOCK_EX):
                return _spawn(state, options, lock.fileno())
        time.sleep(_POLL_SECONDS)


@contextmanager
def _file_errors_in_words(state: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DaemonError(in_words(error, state)) from error


def _claimed(state: Path) -> Path:
    try:
        return claim(state)
    except StateFolderError as error:
        raise DaemonError(str(error)) from error


def _spawn(state: Path, options: Options, lock: int) -> Running:
    (state / _RECORD).unlink(missing_ok=True)
    with (state / _LOG).open("ab") as log:
        log_begins = log.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(state), json.dumps(asdict(options))],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=state,
            start_new_session=True,
            pass_fds=[lock],
        )
    while process.poll() is None:
        if (running := find(state)) is not None:
            return running
        time.sleep(_POLL_SECONDS)
    said = (state / _LOG).read_bytes()[log_begins:].decode(errors="replace").strip() or full_disk(state)
    raise DaemonError(f"The emulator did not start:\n{_last_lines(said)}\nIts log: {state / _LOG}")


def stop(state: Path, *, patience: float = 30.0) -> bool:
    """Stop the emulator of a state folder and end all its jobs, those too that a killed one left behind.

    Args:
        state: The state folder; need not exist.
        patience: Seconds to wait for it to end itself, before it is killed.

    Returns:
        Whether one ran.

    Raises:
        DaemonError: If one is starting and neither serves nor fails, or its jobs cannot be ended.
    """
    state = state.resolve()
    if not is_state_folder(state):  # there is nothing of an emulator's to end, and the rest is not touched
        return False
    deadline = time.monotonic() + patience
    while (running := find(state)) is None and _is_locked(state):  # it is starting
        if time.monotonic() > deadline:
            raise DaemonError(f"An emulator has been starting for {patience:g} s. Its log: {state / _LOG}")
        time.sleep(_POLL_SECONDS)
    if running is not None:
        with suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGTERM)
        while (found := find(state)) is not None and found.pid == running.pid:
            if time.monotonic() > deadline:
                with suppress(ProcessLookupError):
                    os.kill(running.pid, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)
    _end_leftovers(state)
    with _file_errors_in_words(state):
        (state / _RECORD).unlink(missing_ok=True)
    return running is not None


def serve(state: Path, options: Options, *, announce: Callable[[Running], None] | None = None) -> None:
    """Serve in this process until SIGTERM, SIGINT or SIGHUP; then end all jobs.

    Args:
        state: The state folder; created if it is missing.
        options: Options of the server.
        announce: Called once it serves.

    Raises:
        DaemonError: If another emulator serves from that folder, the port is taken, an option cannot be used, or no
            Docker engine answers.
    """
    _check(options)
    state = _claimed(state)
    with _file_errors_in_words(state), (state / _LOCK).open("ab") as lock:
        if not _try_lock(lock, fcntl.LOCK_EX):
            raise DaemonError(f"Another emulator serves from {state}.")
        _serve_locked(state, options, announce)


def _serve_locked(state: Path, options: Options, announce: Callable[[Running], None] | None) -> None:
    (state / _RECORD).unlink(missing_ok=True)
    _end_leftovers(state)
    asyncio.run(_serve(state, options, announce))
    (state / _RECORD).unlink(missing_ok=True)


async def _serve(state: Path, options: Options, announce: Callable[[Running], None] | None) -> None:
    emulator = _emulator(state, options)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with emulator.serve():
        running = Running(
            state=state,
            pid=os.getpid(),
            base_url=emulator.base_url,
            local_url=emulator.local_url,
            proxy_url=emulator.proxy_url,
            started_at=datetime.now(timezone.utc).isoformat(),
            ca_file=emulator.ca_file,
            ca_bundle=emulator.ca_bundle,
            tenant_id=emulator.tenant_id,
            client_id=emulator.client_id,
            federated_token_file=emulator.federated_token_file,
            options=options,
        )
        write_private(state / _RECORD, json.dumps(asdict(running), indent=2, default=str).encode())
        if announce is not None:
            announce(running)
        await stopping.wait()


def _end_leftovers(state: Path) -> None:
    try:
        end_leftovers(state)
    except EngineError as error:
        raise DaemonError(f"Containers of jobs may be left, and cannot be removed. {error}") from error


def _emulator(state: Path, options: Options) -> Emulator:
    from zenml_azureml.emulator import Emulator, WorkspaceName
    from zenml_azureml.emulator.clock import SystemClock
    from zenml_azureml.emulator.context import Settings
    from zenml_azureml.emulator.local.shell_env import own_variables

    clock, settings = SystemClock(), Settings()
    workspace = WorkspaceName(options.subscription_id, options.resource_group, options.workspace_name, options.location)
    try:
        return Emulator(
            state,
            port=options.port,
            listen=options.listen,
            advertise=options.advertise,
            workspaces=[workspace],
            runtime=_runtime(state, options, clock, settings),
            clock=clock,
            settings=settings,
            cloud=options.cloud,
            proxy_port=(options.port and options.port + 1) if options.proxy else None,
            # The shell that starts it may be using another emulator's proxy, or this one's of yesterday.
            environ=own_variables(os.environ),
            keep_state=True,
            fresh=options.fresh,
        )
    except StateFolderError as error:
        raise DaemonError(str(error)) from error
    except OSError as error:
        if error.filename is not None or error.errno not in _PORT_ERRORS:
            raise DaemonError(in_words(error, state)) from error
        ports = f"{options.port} or {options.port + 1}, its proxy's" if options.proxy else f"{options.port}"
        if options.advertise is not None and options.port:
            ports = f"{options.port} or {options.port + 2}, its key vault's"
        raise DaemonError(
            f"Cannot listen on port {ports}: {error.strerror}. Another program has it; `--port 0` takes a free one."
        ) from error


def _check(options: Options) -> None:
    """Refuse names that no address can have, and a port without a next one for the proxy.

    Raises:
        DaemonError: Names the option.
    """
    names = {
        "--subscription": options.subscription_id,
        "--resource-group": options.resource_group,
        "--workspace": options.workspace_name,
        "--location": options.location,
    }
    for option, name in names.items():
        if not _NAME.fullmatch(name):
            raise DaemonError(
                f"{option} cannot be {name[:100]!a}. Next steps: use 1 to 90 letters, digits, dots, hyphens, "
                "underscores or parentheses, with a letter or a digit first."
            )
    _check_addresses(options)
    if options.proxy and options.port == _LAST_PORT:
        raise DaemonError(f"The proxy needs the port after --port, and {_LAST_PORT} is the last one.")


def _check_addresses(options: Options) -> None:
    """Refuse addresses that clients could not use.

    Raises:
        DaemonError: Names the option.
    """
    try:
        shared = not is_loopback(options.listen)
    except AddressError as error:
        raise DaemonError(f"--listen: {error}") from error
    try:
        if options.advertise is not None:
            Advertised.parse(options.advertise)
    except AddressError as error:
        raise DaemonError(f"--advertise: {error}") from error
    if shared and options.advertise is None:
        raise DaemonError(
            f"--listen {options.listen} needs --advertise: the URL at which other machines or containers reach the "
            "emulator, which its answers name. For example: --advertise https://emulator:10443"
        )
    if options.proxy and (shared or options.advertise is not None):
        raise DaemonError("--proxy serves this machine alone: leave out --listen and --advertise, or --proxy.")


def _runtime(state: Path, options: Options, clock: Clock, settings: Settings) -> Runtime:
    if options.runtime == "simulated":
        from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime

        return SimulatedRuntime(clock, settings)
    if options.runtime == "docker":
        from zenml_azureml.emulator.runtimes.docker.runtime import DockerRuntime

        try:
            return DockerRuntime(state, network=options.docker_network)
        except EngineError as error:
            raise DaemonError(str(error)) from error
    from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime

    interpreters = {image: Path(python) for image, python in options.interpreters.items()}
    return ProcessRuntime(interpreters, Path(options.default_interpreter))


def _is_locked(state: Path) -> bool:
    try:
        with (state / _LOCK).open("rb") as file:
            return not _try_lock(file, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def _try_lock(file: IO[Any], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _last_lines(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines()[-_LOG_LINES_SHOWN:])


def main() -> None:
    """Serve as `start` asks: `python -m zenml_azureml.emulator.local.daemon STATE OPTIONS`, the lock inherited."""
    state, options = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        # What a job has left that has killed its keeper comes to this process, which has no other children in the end.
        become_subreaper()
        with _file_errors_in_words(Path(state)):
            _serve_locked(Path(state), Options(**json.loads(options)), announce=None)
        end_children()
    except DaemonError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
