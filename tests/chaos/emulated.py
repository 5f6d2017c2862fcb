"""An emulator in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import traceback
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.desk import Desk
from tests.chaos.held_jobs import HeldJobs
from tests.chaos.schedule import Part
from tests.chaos.shared_clock import EmulatorClock, SharedClock
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime


@dataclass(frozen=True)
class Address:
    """Where an emulator is, and how to sign in."""

    url: str
    ca_file: str
    tenant_id: str
    client_id: str
    token_file: str
    key: str

    def variables(self) -> dict[str, str]:
        """The environment of clients that are led to it."""
        return {
            "AZUREML_DEV_URL_MFE": self.url,
            "AZURE_AUTHORITY_HOST": self.url,
            "AZURE_TENANT_ID": self.tenant_id,
            "AZURE_CLIENT_ID": self.client_id,
            "AZURE_FEDERATED_TOKEN_FILE": self.token_file,
            "REQUESTS_CA_BUNDLE": self.ca_file,
            "NO_PROXY": "127.0.0.1",
        }


class EmulatorProcess:
    """An emulator that was forked from this process, and ends with it.

    To be made before there are threads.

    Args:
        folder: Its state folder, in the worker's.
        part: What its jobs are.
        clock: The time, which it moves.

    Attributes:
        address: Where it is.
        clock: The time.
    """

    def __init__(self, folder: Path, part: Part, clock: SharedClock) -> None:
        self.clock = clock
        reading, ready = os.pipe()
        parent_lives, self._alive = os.pipe()
        self._process = os.fork()
        if self._process == 0:
            os.close(reading)
            os.close(self._alive)
            try:
                asyncio.run(_serve(folder, part, clock, ready, parent_lives))
            except BaseException:  # noqa: BLE001 - as the interpreter, whatever it is
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(ready)
        os.close(parent_lives)
        with os.fdopen(reading) as pipe:
            self.address = Address(**json.loads(pipe.readline()))

    def close(self) -> None:
        """End it."""
        os.kill(self._process, signal.SIGTERM)
        os.waitpid(self._process, 0)
        os.close(self._alive)


async def _serve(folder: Path, part: Part, shared: SharedClock, ready: int, parent_lives: int) -> None:
    clock, settings = EmulatorClock(shared), Settings(compute_provisioning=2, job_preparation=0.5, job_finalization=1)
    runtime = HeldJobs(clock, Desk(folder.parent).folder) if part == "simulated" else ProcessRuntime(grace=1)
    emulator = Emulator(folder, runtime=runtime, clock=clock, settings=settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(parent_lives, stop.set)  # nothing is written to it: what can be read is its end
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl+C at the terminal is the suite's
    async with emulator.serve():
        moving = loop.create_task(clock.run())
        address = Address(
            emulator.base_url,
            str(emulator.ca_file),
            emulator.tenant_id,
            emulator.client_id,
            str(emulator.federated_token_file),
            emulator.context.keys.admin,
        )
        os.write(ready, (json.dumps(vars(address)) + "\n").encode())
        os.close(ready)
        await stop.wait()
        moving.cancel()
