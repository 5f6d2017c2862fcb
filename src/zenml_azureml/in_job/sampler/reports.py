"""Reports of the use of a node: to the log of the job, and to the metadata of its step run. Standard library only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from zenml_azureml.contract import variables
from zenml_azureml.contract.usage import Usage, key_of_node, line_of
from zenml_azureml.in_job.watcher.over import NoAnswerError
from zenml_azureml.in_job.watcher.zenml_server import ZenMLServer

#: A server that has refused so many reports in a row gets no further ones.
_MOST_REFUSED: Final = 5

#: Time that the last report to a server may take: nothing waits for it but the end of this process.
_LAST_SECONDS: Final = 10.0


class Reports:
    """Reports the use of this node. A server that is slow delays no sample: it gets the next report instead.

    Args:
        environment: Environment variables of the job.
        write: Writes a line to the job's log.
    """

    def __init__(self, environment: Mapping[str, str], write: Callable[[str], None]) -> None:
        self._write = write
        self._step_run_id = environment.get(variables.STEP_RUN_ID, "")
        is_posted = self._step_run_id and variables.is_rest(environment)
        self._server = ZenMLServer(environment) if is_posted else None
        self._project_id = ""
        self._refused = 0
        self._posting: threading.Thread | None = None

    def report(self, usage: Usage) -> None:
        """Report the use so far."""
        self._write(line_of(usage))
        busy = self._posting is not None and self._posting.is_alive()
        if self._server is not None and self._refused < _MOST_REFUSED and not busy:
            self._posting = threading.Thread(
                target=self._post, args=(self._server, usage), name="zenml-azureml-usage", daemon=True
            )
            self._posting.start()

    def finish(self, usage: Usage | None) -> None:
        """Wait for the last report, for a limited time.

        Args:
            usage: The use that was reported last; None for none.
        """
        was_busy = self._posting is not None and self._posting.is_alive()
        if self._posting is not None:
            self._posting.join(_LAST_SECONDS)
        if was_busy and usage is not None and self._server is not None and not self._refused:
            with suppress(Exception):
                self._post(self._server, usage)

    def _post(self, server: ZenMLServer, usage: Usage) -> None:
        try:
            if not self._project_id:
                step_run = server.get(f"steps/{self._step_run_id}", {"hydrate": "false"})
                body = step_run.get("body")
                self._project_id = str((body if isinstance(body, dict) else {}).get("project_id") or "")
            request = request_of(self._step_run_id, self._project_id, key_of_node(usage.node), usage)
            server.post("run-metadata", request)
            self._refused = 0
        except NoAnswerError:
            self._refused += 1


def request_of(step_run_id: str, project_id: str, key: str, usage: Usage) -> dict[str, object]:
    """Return ZenML's request to save the metadata of a step run (`RunMetadataRequest`)."""
    return {
        "project": project_id,
        "resources": [{"id": step_run_id, "type": "step_run"}],
        "values": {key: usage.as_json()},
        "types": {key: "dict"},
    }
