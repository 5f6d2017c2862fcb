"""The orchestrator's network: every request passes here, and some meet what is planned for them."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections import Counter
from contextlib import nullcontext
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from tests.chaos.catalogue import ALL_EVENTS, ALL_PHASES, FAULTS
from tests.chaos.schedule import PlannedEvent, PlannedFault, Schedule
from tests.chaos.shared_clock import SharedClock

#: What each signal event sends. The orchestrator has a handler for the last one that raises.
SIGNALS = {
    "SIGINT": signal.SIGINT,
    "second SIGINT": signal.SIGINT,
    "SIGTERM": signal.SIGTERM,
    "SIGKILL": signal.SIGKILL,
    "restarted": signal.SIGKILL,
    "killed and stopped": signal.SIGKILL,
    "killed and left": signal.SIGKILL,
    "exception": signal.SIGUSR1,
}

#: By the first the emulator knows an orchestrator's requests, by the second those of recovery commands.
ORCHESTRATOR, RECOVERY = "chaos-orchestrator", "chaos-recovery"

#: So many requests for a job's status without a planned event: it will not happen any more.
GIVES_UP_AFTER = 60

#: So many listings are seen by jobs that are held for nothing else.
LISTINGS = 5


def marked(who: str, phase: str) -> str:
    """A regular expression for the `User-Agent` of requests of a phase."""
    return rf"{who}.*\[{phase}\]"


def mark_requests(who: str) -> None:
    """Have every request of this process say whose it is, and of which phase."""
    original = HTTPAdapter.send

    def send(adapter: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        _mark(request, who, _phases(request))
        return original(adapter, request, *args, **options)

    HTTPAdapter.send = send  # type: ignore[method-assign,assignment]


class Wire:
    """Counts requests by phase; lets the client's own faults and the events happen at theirs.

    Thread-safe: the counters are guarded by one lock.

    Args:
        schedule: What is planned.
        suite: Where the suite learns of what happens, and is asked to do what comes from elsewhere.
        clock: The time.
        restarted: Whether this is the second process of a run: of what is planned it meets nothing more.
    """

    def __init__(self, schedule: Schedule, suite: socket.socket, clock: SharedClock, *, restarted: bool) -> None:
        self._clock = clock
        self._faults = () if restarted else schedule.faults
        self._events = () if restarted else schedule.events
        self._moves = schedule.waits_in_vain
        self._waits_for_listings = schedule.held and not schedule.events
        self._tried_again = {index for index, e in enumerate(self._events) if schedule.tries_again_after(e.event)}
        self._restarted = restarted
        self._suite = suite
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._seen: Counter[str] = Counter()
        self._since: dict[int, Counter[str]] = {}
        self._passed: Counter[int] = Counter()
        self._fired: Counter[int] = Counter()
        self._happened: set[int] = set()
        self._moving = False

    def install(self) -> None:
        """Have every request of this process pass here."""
        original = HTTPAdapter.send

        def send(adapter: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
            return self._send(lambda: original(adapter, request, *args, **options), request)

        HTTPAdapter.send = send  # type: ignore[method-assign,assignment]

    def _send(self, really: Any, request: requests.PreparedRequest) -> Any:
        phases = _phases(request)
        with self._lock:
            if self._moving and request.method == "GET":
                phases.append("moving")
            self._moving &= "job PUT" not in phases
            self._seen.update(phases)
            numbers = dict(self._seen)
            fault = self._fault_at(phases)
        _mark(request, ORCHESTRATOR, phases)
        self._let_happen(phases, numbers, "before")
        try:
            # The emulator has TLS; a ZenML server, which may be away for long, has not.
            with self._clock.request() if str(request.url).startswith("https:") else nullcontext():
                return really() if fault is None else _fail(fault, really, request)
        finally:
            self._moving |= self._moves and "cancel" in phases and not self._happened
            self._let_happen(phases, numbers, "after")
            self._announce(phases, numbers)

    def _fault_at(self, phases: list[str]) -> PlannedFault | None:
        """The first unspent fault of the client's for such a request, as the emulator does with its own."""
        for index, planned in enumerate(self._faults):
            mine = FAULTS[planned.fault].on_client and planned.phase in phases and not planned.recovery
            if not mine or self._fired[index] >= planned.times:
                continue
            if self._passed[index] < planned.after:
                self._passed[index] += 1
                continue
            self._fired[index] += 1
            self._say(f"fault {index}")
            return planned
        return None

    def _let_happen(self, phases: list[str], numbers: dict[str, int], moment: str) -> None:
        for index, planned in enumerate(self._events):
            if planned.moment != moment or planned.phase not in phases:
                continue
            with self._lock:
                number = numbers[planned.phase]
                if planned.follows:
                    if index - 1 not in self._since:
                        continue
                    number -= self._since[index - 1][planned.phase]
                if number < planned.number or index in self._happened:
                    continue
                self._happened.add(index)
            self._happen(index, planned)

    def _happen(self, index: int, planned: PlannedEvent) -> None:
        with self._asking:  # the answer is the one to this question
            self._say(f"event {index}")
            while self._suite.recv(1) not in (b"", bytes([index])):
                pass
        with self._lock:
            self._since[index] = Counter(self._seen)
        if ALL_EVENTS[planned.event].by_signal:
            os.kill(os.getpid(), SIGNALS[planned.event])

    def _announce(self, phases: list[str], numbers: dict[str, int]) -> None:
        """What lets held jobs go: a second try has its own job, or what is planned will not happen any more."""
        if self._restarted and "job PUT" in phases:
            self._say("released 0")
        if self._tried_again:
            with self._lock:
                before = [self._since[index]["job PUT"] for index in self._tried_again if index in self._since]
            if any(numbers.get("job PUT", 0) > number for number in before):
                self._say("released 0")
        if self._waits_for_listings and "job listing" in phases and numbers["job listing"] >= LISTINGS:
            self._say("released 0")
        late = numbers.get("job GET", 0) + numbers.get("job listing", 0) == GIVES_UP_AFTER
        if late and (len(self._happened) < len(self._events) or self._tried_again):
            self._say("released 0")

    def _say(self, line: str) -> None:
        self._suite.sendall(f"{line}\n".encode())


def _phases(request: requests.PreparedRequest) -> list[str]:
    method, path = str(request.method), urlsplit(str(request.url)).path
    return [name for name, phase in ALL_PHASES.items() if phase.matches(method, path)]


def _mark(request: requests.PreparedRequest, who: str, phases: list[str]) -> None:
    agent = request.headers.get("User-Agent", "")
    text = agent.decode() if isinstance(agent, bytes) else agent
    request.headers["User-Agent"] = " ".join([text, who, *(f"[{phase}]" for phase in phases)])


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
