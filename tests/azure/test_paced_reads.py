"""The operator's reads stay below the limit that Resource Manager reports with each read."""

from __future__ import annotations

import threading

from tests.azure.compute_world import ObservedTransport, World
from tests.conftest import credential_of
from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection


class EmulatorsTime:
    """The emulator's time, which passes only while somebody waits."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.waited = 0.0

    def monotonic(self) -> float:
        return self._world.clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self.waited += seconds
        self._world.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        return event.wait(seconds)


def test_reads_that_share_the_limit_with_another_process_are_never_refused(world: World) -> None:
    workspace, time = world.emulator.context.store.workspaces[0], EmulatorsTime(world)
    address = WorkspaceAddress(workspace.subscription_id, workspace.resource_group, workspace.name)
    credential = credential_of(world.emulator)
    connection = WorkspaceConnection(address, lambda: credential, ObservedTransport(world.sleep), time)
    jobs = f"{world.emulator.base_url}{workspace.path}/jobs?api-version=2024-04-01"

    for number in range(220):
        if number % 4 == 0:
            assert (
                world.arm.call("GET", "jobs").status == 200
            )  # another process of the same principal, without a limiter
        connection.get_json(jobs)

    assert {request["status"] for request in requests_of(world.emulator) if request["path"].endswith("/jobs")} == {200}
    assert time.waited > 0
    # Without a limiter, the reserve is soon used up.
    assert 429 in [world.arm.call("GET", "jobs").status for _ in range(60)]
