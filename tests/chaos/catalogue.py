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

#: Requests that a lasting fault meets: more than any schedule makes.
FOR_EVER = 100_000


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
    )
}

#: Phases of which a job's log depends, and nothing else.
LOG_PHASES = frozenset({"workspace", "discovery", "details", "log"})
COMPUTE_PHASES = frozenset({"compute GET", "compute PUT", "compute operation"})
SIZE_PHASES = frozenset({"sizes", "quota"})
CANCEL_PHASES = frozenset({"cancel"})
VAULT_PHASES = frozenset({"vault", "vault roles", "secret PUT", "secret DELETE"})

#: Phases at whose requests a job runs, so that one of its processes can be killed.
RUNNING_PHASES = LOG_PHASES | {"job PUT", "job GET", "job listing", "cancel"}

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
    """

    name: str
    passes: bool = True
    lasts: bool = False
    repeats: bool = True
    answer: dict[str, Any] | None = None

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
    """

    name: str
    interrupts: bool = True
    by_signal: bool = True


EVENTS = {
    event.name: event
    for event in (
        Event("SIGINT"),
        Event("SIGTERM"),
        Event("SIGKILL"),
        Event("exception"),
        Event("runs stop", by_signal=False),
        Event("forced runs stop", by_signal=False),
        Event("cancelled in Studio", interrupts=False, by_signal=False),
        Event("evicted", interrupts=False, by_signal=False),
        Event("rank killed", interrupts=False, by_signal=False),
    )
}
