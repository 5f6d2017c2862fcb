"""Mutants of what a shell in a job has to do with the job: it ends with it, and is nothing else to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.chaos.catalogue import HELD_SHELL, SHELL
from tests.chaos.mutants.mutant import Mutant, put


def _keep_the_client() -> None:
    import asyncio

    from zenml_azureml.azure.jobs.tunnel import Tunnel

    def lingering(way: Any) -> Any:
        async def carry(self: Any, end: Any) -> None:
            await way(self, end)
            await asyncio.Event().wait()  # its end is not told

        return carry

    for name in ("_up", "_down"):
        put(Tunnel, name, lingering(getattr(Tunnel, name)))


def _cancel_where_the_user_leaves() -> None:
    from zenml_azureml.azure.client import Workspace

    shell = Workspace.shell

    @contextmanager
    def cancelling(self: Any, job_name: str, node: int) -> Iterator[Any]:
        try:
            with shell(self, job_name, node) as tunnel:
                yield tunnel
        finally:
            self.cancel(job_name)

    put(Workspace, "shell", cancelling)


def _release_nothing() -> None:
    from zenml_azureml.cli import jobs_release
    from zenml_azureml.job_admin.cancellation import Cancelled

    put(jobs_release, "cancel_all", lambda found, _timeout: [Cancelled(place, job) for place, job in found])


MUTANTS = (
    Mutant("a shell outlives its job", _keep_the_client, "shells", ((f"{HELD_SHELL}job GET", "hold over"),)),
    Mutant(
        "who leaves cancels the job",
        _cancel_where_the_user_leaves,
        "shells",
        ((f"{SHELL}job GET", "shell left"), (f"{HELD_SHELL}job GET", "shell left")),
    ),
    Mutant("a shell keeps a released job", _release_nothing, "shells", ((f"{HELD_SHELL}job GET", "released"),)),
)
