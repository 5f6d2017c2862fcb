"""The process of an emulator: it serves from a state folder until a signal."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from zenml_azureml.emulator.local.instance import DaemonError, Options, Running
from zenml_azureml.emulator.local.private_files import in_words, write_private
from zenml_azureml.emulator.local.served_folder import (
    LOCK,
    RECORD,
    claimed,
    end_jobs_left,
    file_errors_in_words,
    try_lock,
)
from zenml_azureml.emulator.local.start_options import check
from zenml_azureml.emulator.local.state_folder import StateFolderError
from zenml_azureml.emulator.runtimes.base import EngineError
from zenml_azureml.emulator.runtimes.process.keeper import become_subreaper
from zenml_azureml.emulator.runtimes.process.tree import end_children

if TYPE_CHECKING:
    from zenml_azureml.emulator import Emulator
    from zenml_azureml.emulator.clock import Clock
    from zenml_azureml.emulator.context import Settings
    from zenml_azureml.emulator.runtimes.base import Runtime


#: What the system says of a port that cannot be listened on.
_PORT_ERRORS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM)


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
    check(options)
    state = claimed(state)
    with file_errors_in_words(state), (state / LOCK).open("ab") as lock:
        if not try_lock(lock, fcntl.LOCK_EX):
            raise DaemonError(f"Another emulator serves from {state}.")
        _serve_locked(state, options, announce)


def _serve_locked(state: Path, options: Options, announce: Callable[[Running], None] | None) -> None:
    (state / RECORD).unlink(missing_ok=True)
    end_jobs_left(state)
    asyncio.run(_serve(state, options, announce))
    (state / RECORD).unlink(missing_ok=True)


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
        write_private(state / RECORD, json.dumps(asdict(running), indent=2, default=str).encode())
        if announce is not None:
            announce(running)
        await stopping.wait()


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


def main() -> None:
    """Serve as `daemon.start` asks, with its lock: `python -m zenml_azureml.emulator.local.serving STATE OPTIONS`."""
    state, options = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        # What a job has left that has killed its keeper comes to this process, which has no other children in the end.
        become_subreaper()
        with file_errors_in_words(Path(state)):
            _serve_locked(Path(state), Options(**json.loads(options)), announce=None)
        end_children()
    except DaemonError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
