"""The orchestrator's network: every request passes here, and some meet what is planned for them."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from tests.chaos.catalogue import EVENTS, FAULTS, PHASES
from tests.chaos.schedule import PlannedEvent, PlannedFault, Schedule

#: What each signal event sends. The orchestrator has a handler for the last one that raises.
SIGNALS = {
    "SIGINT": signal.SIGINT,
    "SIGTERM": signal.SIGTERM,
    "SIGKILL": signal.SIGKILL,
    "exception": signal.SIGUSR1,
}


class Wire:
    """Counts requests by phase; lets the client's own faults and the events happen at theirs.

    Thread-safe: the counters are guarded by one lock.

    Args:
        schedule: What is planned.
        suite: Where the suite is told of what happens, and asked to do what comes from elsewhere.
    """

    def __init__(self, schedule: Schedule, suite: socket.socket) -> None:
        self._schedule = schedule
        self._suite = suite
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._seen: Counter[str] = Counter()
        self._passed: Counter[int] = Counter()
        self._fired: Counter[int] = Counter()
        self._happened: set[int] = set()

    def install(self) -> None:
        """Have every request of this process pass here."""
        original = HTTPAdapter.send

        def send(adapter: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
            return self._send(lambda: original(adapter, request, *args, **options), request)

        HTTPAdapter.send = send  # type: ignore[method-assign,assignment]

    def _send(self, really: Any, request: requests.PreparedRequest) -> Any:
        method, path = str(request.method), urlsplit(str(request.url)).path
        phases = [name for name, phase in PHASES.items() if phase.matches(method, path)]
        with self._lock:
            self._seen.update(phases)
            numbers = {phase: self._seen[phase] for phase in phases}
            fault = self._fault_at(phases)
        self._let_happen(numbers, "before")
        try:
            if fault is None:
                return really()
            return _fail(fault, really, request)
        finally:
            self._let_happen(numbers, "after")

    def _fault_at(self, phases: list[str]) -> PlannedFault | None:
        """The first unspent fault of the client's for such a request, as the emulator does with its own."""
        for index, planned in enumerate(self._schedule.faults):
            mine = FAULTS[planned.fault].on_client and planned.phase in phases
            if not mine or self._fired[index] >= planned.times:
                continue
            if self._passed[index] < planned.after:
                self._passed[index] += 1
                continue
            self._fired[index] += 1
            self._tell(f"fault {index}")
            return planned
        return None

    def _let_happen(self, numbers: dict[str, int], moment: str) -> None:
        for index, planned in enumerate(self._schedule.events):
            if planned.moment == moment and planned.number == numbers.get(planned.phase):
                with self._lock:
                    if index in self._happened:
                        continue
                    self._happened.add(index)
                self._happen(index, planned)

    def _happen(self, index: int, planned: PlannedEvent) -> None:
        if EVENTS[planned.event].by_signal:
            self._tell(f"event {index}")
            os.kill(os.getpid(), SIGNALS[planned.event])
            return
        with self._asking:  # the answer is the one to this question
            self._tell(f"event {index}")
            self._suite.recv(1)

    def _tell(self, line: str) -> None:
        self._suite.sendall(f"{line}\n".encode())


def _fail(planned: PlannedFault, really: Any, request: requests.PreparedRequest) -> Any:
    """Raise what requests raises."""
    if planned.fault == "dns":
        raise requests.exceptions.ConnectionError(
            "NameResolutionError: Failed to resolve 'management.azure.com' ([Errno -2] Name or service not known)",
            request=request,
        )
    if planned.fault == "tls":
        raise requests.exceptions.SSLError("[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred", request=request)
    if planned.fault == "connect timeout":
        raise requests.exceptions.ConnectTimeout("Connection to management.azure.com timed out.", request=request)
    really().close()  # read timeout: it was carried out
    raise requests.exceptions.ReadTimeout("Read timed out. (read timeout=120)", request=request)
