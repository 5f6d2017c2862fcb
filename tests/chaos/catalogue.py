"""What can go wrong, and where: every kind of fault, and every phase of a step's life on the wire."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

#: The cluster whose jobs may read the key vault, and what no job's definition may have in it then.
VAULT_CLUSTER = "vault-readers"
SECRET = "hush-4711"

#: The data asset that steps with data read, and their name for it.
DATA_ASSET, DATA_INPUT = "images", "train"

#: Requests that a lasting fault meets: more than any schedule makes.
FOR_EVER = 100_000


#: The path of a phase whose requests are known by what came before them: see `wire.py`.
NEVER = "(?!)"


@dataclass(frozen=True)
class Phase:
    """One kind of request.

    Attributes:
        name: What it is called here.
        method: Its HTTP method.
        path: Regular expression to be found in its path, in any case.
        often: Whether a step usually makes more than one of them.
    """

    name: str
    method: str
    path: str
    often: bool = False

    def matches(self, method: str, path: str) -> bool:
        return method == self.method and bool(re.search(self.path, path, re.IGNORECASE))


PHASES = {
    phase.name: phase
    for phase in (
        Phase("token", "POST", r"/oauth2/v2\.0/token$"),
        Phase("environment GET", "GET", r"/environments/[^/]+/versions/"),
        Phase("environment PUT", "PUT", r"/environments/[^/]+/versions/"),
        Phase("job PUT", "PUT", r"/jobs/[^/]+$"),
        Phase("job GET", "GET", r"/jobs/[^/]+$", often=True),
        Phase("job listing", "GET", r"/jobs$", often=True),
        Phase("workspace", "GET", r"/workspaces/[^/]+$"),
        Phase("discovery", "GET", r"^/discovery$"),
        Phase("details", "GET", r"/runs/[^/]+/details$", often=True),
        Phase("log", "GET", r"/std_log", often=True),
        Phase("cancel", "POST", r"/jobs/[^/]+/cancel$"),
        Phase("sizes", "GET", r"/vmSizes$"),
        Phase("quota", "GET", r"/usages$"),
        Phase("compute GET", "GET", r"/computes/[^/]+$", often=True),
        Phase("compute PUT", "PUT", r"/computes/[^/]+$"),
        Phase("compute operation", "GET", r"/computeOperationsStatus/", often=True),
        Phase("vault", "GET", r"/Microsoft\.Key[Vv]ault/vaults/[^/]+$"),
        Phase("vault roles", "GET", r"/vaults/[^/]+/providers/Microsoft\.Authorization/roleAssignments$"),
        Phase("secret PUT", "PUT", r"^/secrets/[^/]+$"),
        Phase("secret DELETE", "DELETE", r"^/secrets/[^/]+$"),
        # Between the cancel of a job that has waited in vain and the submit of the next one.
        Phase("moving", "GET", NEVER, often=True),
    )
}

#: Further ones, of steps with data on Azure.
DATA_PHASES = {
    phase.name: phase
    for phase in (
        Phase("data versions", "GET", r"/data/[^/]+/versions$"),
        Phase("datastore", "GET", r"/datastores/[^/]+$"),
    )
}
ALL_PHASES = {**PHASES, **DATA_PHASES}

#: Phases of which a job's log depends, and nothing else.
LOG_PHASES = frozenset({"workspace", "discovery", "details", "log"})
COMPUTE_PHASES = frozenset({"compute GET", "compute PUT", "compute operation"})
SIZE_PHASES = frozenset({"sizes", "quota"})
CANCEL_PHASES = frozenset({"cancel"})
VAULT_PHASES = frozenset({"vault", "vault roles", "secret PUT", "secret DELETE"})

#: Phases at whose requests a job runs, so that something can happen to it.
RUNNING_PHASES = LOG_PHASES | {"job PUT", "job GET", "job listing"}

#: Phases of an orchestrator that ends its job.
ENDING_PHASES = frozenset({"cancel", "job GET", "job listing", "details", "log", "secret DELETE"})

#: The phases that every step goes through which has a log, in this order.
USUAL_PHASES = (
    "token",
    "environment GET",
    "environment PUT",
    "job PUT",
    "job GET",
    "workspace",
    "discovery",
    "details",
)

#: Quoted: the claims of a continuous access evaluation's challenge, in base64.
_CLAIMS = base64.b64encode(json.dumps({"access_token": {"nbf": {"essential": True, "value": "1"}}}).encode()).decode()
_CHALLENGE = (
    'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
    f'error="insufficient_claims", claims="{_CLAIMS}"'
)
_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: What it is called here.
        passes: Whether the next request may well succeed, so that a step has to survive it.
        lasts: Whether it meets every request from its beginning on.
        repeats: Whether it may meet several requests in a row and still pass.
        answer: What is armed at the emulator; None where it is the client's network that fails.
        phases: At whose requests it can happen.
    """

    name: str
    passes: bool = True
    lasts: bool = False
    repeats: bool = True
    answer: dict[str, Any] | None = None
    phases: frozenset[str] = frozenset(PHASES)

    @property
    def on_client(self) -> bool:
        return self.answer is None

    @property
    def processed(self) -> bool:
        """Whether what was asked is done all the same, and only the answer is lost."""
        if self.answer is None:
            return self.name == "read timeout"
        return bool(self.answer.get("processed") or self.answer.get("truncated"))


def _status(status: int, code: str, **headers: str) -> dict[str, Any]:
    body = {"error": {"code": code, "message": f"Chaos says {code}."}}
    return {
        "status": status,
        "body": body,
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
    }


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("429", answer=_status(429, "TooManyRequests")),
        Fault("429 Retry-After", answer=_status(429, "TooManyRequests", Retry_After="3")),
        Fault("408", answer=_status(408, "RequestTimeout")),
        Fault("500", answer=_status(500, "InternalServerError")),
        Fault("502 page", answer={"status": 502, "html": _PAGE.format("502 Bad Gateway")}),
        Fault("503", answer=_status(503, "ServiceUnavailable")),
        Fault("504", answer=_status(504, "GatewayTimeout")),
        Fault("500 processed", answer={**_status(500, "InternalServerError"), "processed": True}),
        Fault("200 page", answer={"status": 200, "html": _PAGE.format("Please accept the terms of this network")}),
        Fault("reset", answer={"reset": True}),
        Fault("reset processed", answer={"reset": True, "processed": True}),
        Fault("truncated", answer={"truncated": True}),
        Fault("slow", answer={"delay": 10.0}),
        Fault("dns"),
        Fault("tls"),
        Fault("connect timeout"),
        Fault("read timeout"),
        # A second challenge in a row is a refusal.
        Fault(
            "401 challenge",
            repeats=False,
            answer=_status(401, "InvalidAuthenticationToken", WWW_Authenticate=_CHALLENGE),
        ),
        Fault("401", passes=False, answer=_status(401, "InvalidAuthenticationToken")),
        Fault("403", passes=False, answer=_status(403, "AuthorizationFailed")),
        Fault("404", passes=False, answer=_status(404, "NotFound")),
        Fault("outage", passes=False, lasts=True, answer=_status(503, "ServiceUnavailable")),
        # It is accepted, and nothing comes of it.
        Fault("no effect", passes=False, answer={"status": 202}, phases=CANCEL_PHASES),
        Fault("403 for ever", passes=False, lasts=True, answer=_status(403, "AuthorizationFailed")),
    )
}


#: Who asks for these has no token that could be challenged: a 401 is a refusal.
_WITHOUT_TOKEN = frozenset({"token", "log"})


def passes(phase: str, fault: str) -> bool:
    """Whether the next request may well succeed, so that a step has to survive such a fault there."""
    return FAULTS[fault].passes and not (fault == "401 challenge" and phase in _WITHOUT_TOKEN)


@dataclass(frozen=True)
class Event:
    """Something that happens to a run from outside.

    Attributes:
        name: What it is called here.
        interrupts: Whether the orchestrator has to stop for it.
        by_signal: Whether it is a signal that the orchestrator's process gets.
        to_jobs: Whether it happens to jobs, so that there have to be some.
        phases: At whose requests it can happen.
    """

    name: str
    interrupts: bool = True
    by_signal: bool = True
    to_jobs: bool = False
    phases: frozenset[str] = frozenset(PHASES)


#: What happens to a job needs one that runs.
_TO_JOBS: dict[str, Any] = {"interrupts": False, "by_signal": False, "to_jobs": True, "phases": RUNNING_PHASES}

EVENTS = {
    event.name: event
    for event in (
        Event("SIGINT"),
        Event("SIGTERM"),
        Event("SIGKILL"),
        Event("exception"),
        # After a first one.
        Event("second SIGINT", phases=ENDING_PHASES),
        # Killed with -9 and started again, as a container with a restart policy; dynamic pipelines are not.
        Event("restarted", phases=frozenset(PHASES) - {"job listing", "cancel", "secret DELETE", "moving"}),
        Event("runs stop", by_signal=False),
        Event("forced runs stop", by_signal=False),
        Event("ended on the server", by_signal=False),
        Event("cancelled in Studio", **_TO_JOBS),
        Event("evicted", **_TO_JOBS),
        Event("rank killed", **_TO_JOBS),
        # Azure ends it at its cost limit, while the orchestrator cannot reach Azure. The workspace is read for its
        # price, before there is a job.
        Event("limit reached", **{**_TO_JOBS, "phases": RUNNING_PHASES - {"workspace"}}),
        # Of the data asset that the step's label means: see DATA_PAIRS.
        Event("new version", interrupts=False, by_signal=False, phases=frozenset()),
        # A user opens a shell in each job that runs, and leaves it again: see SHELL_PAIRS.
        Event("shell opened", **{**_TO_JOBS, "phases": frozenset()}),
        Event("shell left", **{**_TO_JOBS, "phases": frozenset()}),
        # What ends jobs that are held open: a user, and the end of their time.
        Event("released", **{**_TO_JOBS, "phases": frozenset()}),
        Event("hold over", **{**_TO_JOBS, "phases": frozenset()}),
    )
}

#: What happens to a ZenML server, or to jobs whose orchestrator is gone and that watch it.
SERVER_EVENTS = {
    event.name: event
    for event in (
        Event("server restarted", interrupts=False, by_signal=False),
        Event("session expired", interrupts=False, by_signal=False),
        Event("database locked", interrupts=False, by_signal=False),
        Event("server away", interrupts=False, by_signal=False),
        # Killed with -9, and then the run is stopped from elsewhere: the job has to end by itself.
        Event("killed and stopped"),
        # Killed with -9, and nothing more: the job goes on, though it looks at the server.
        Event("killed and left"),
    )
}
ALL_EVENTS = {**EVENTS, **SERVER_EVENTS}

#: Every pair of phase and fault, and of phase and event, in an order in which neighbours are unlike.
FAULT_PAIRS: tuple[tuple[str, str], ...] = tuple(
    (phase, fault) for fault in FAULTS for phase in PHASES if phase in FAULTS[fault].phases
)
EVENT_PAIRS: tuple[tuple[str, str], ...] = tuple(
    (phase, name) for name, event in EVENTS.items() for phase in PHASES if phase in event.phases
)
#: The commands about a killed process meet faults that pass at each of their own phases.
RECOVERY = "recovery: "
RECOVERY_PAIRS: tuple[tuple[str, str], ...] = tuple(
    (f"{RECOVERY}{phase}", name)
    for name, fault in FAULTS.items()
    for phase in ("token", "job listing", "job GET", "cancel")
    if fault.passes and not fault.on_client and not (name == "401 challenge" and phase == "token")
)
#: A step fails, its job is held open, and the orchestrator is interrupted before, while or after it notices.
HOLD = "held open: "
HOLD_EVENTS = (
    *("SIGINT", "SIGTERM", "SIGKILL", "exception", "restarted", "runs stop", "forced runs stop"),
    "ended on the server",
)
HOLD_PAIRS: tuple[tuple[str, str], ...] = tuple(
    (f"{HOLD}{phase}", trouble) for trouble in (*HOLD_EVENTS, "503", "reset") for phase in ("job GET", "details", "log")
)
#: The data of a step is looked up before its job: the look-up meets faults, and a new version of the asset comes
#: between two jobs of the run: of a retry, of a resubmission after an eviction, and of a restarted process.
DATA = "data: "
DATA_PAIRS = tuple(
    (f"{DATA}{phase}", fault)
    for fault in ("429 Retry-After", "503", "reset", "truncated", "dns", "read timeout", "401 challenge", "403", "404")
    for phase in DATA_PHASES
) + tuple(
    (f"{DATA}{phase}", event) for event in ("new version", "evicted", "restarted") for phase in ("job PUT", "job GET")
)
#: A user has a shell open in a job that runs, or in one that is held open, whatever happens to it then.
SHELL, HELD_SHELL = "shell: ", "shell, held open: "
SHELL_PAIRS: tuple[tuple[str, str], ...] = tuple(
    (f"{SHELL}{phase}", event)
    for event in (*HOLD_EVENTS, "cancelled in Studio", "evicted", "limit reached", "shell left")
    for phase in ("job GET", "log")
) + tuple(
    (f"{HELD_SHELL}{phase}", event)
    for event in (*HOLD_EVENTS, "released", "hold over", "shell left")
    for phase in ("job GET", "log")
)
PAIRS = FAULT_PAIRS + EVENT_PAIRS + RECOVERY_PAIRS + HOLD_PAIRS + DATA_PAIRS + SHELL_PAIRS

_PREFIXES = (RECOVERY, HELD_SHELL, SHELL, HOLD, DATA)


def phase_of(name: str) -> str:
    """The phase of a pair, without what its schedules are about."""
    return name.removeprefix(prefix_of(name))


def prefix_of(name: str) -> str:
    """What the schedules of a pair are about, as its phase begins with it; empty for nothing further."""
    return next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
