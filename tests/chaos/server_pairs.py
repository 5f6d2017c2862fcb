"""What the schedules on a ZenML server are about."""

from __future__ import annotations

from tests.chaos.catalogue import SHELL, USUAL_PHASES

#: A server that is restarted, sessions that expire, a database that is locked: at every phase of a step.
_AT_EVERY_PHASE = tuple(
    (phase, event)
    for event in ("server restarted", "session expired", "database locked")
    for phase in (*USUAL_PHASES, "log", "cancel")
)

#: A server that is away for three minutes, which ZenML's own client does not survive: where the operator waits.
_AWAY = tuple((phase, "server away") for phase in ("job GET", "details", "log"))

SERVER_PAIRS: tuple[tuple[str, str], ...] = (
    *_AT_EVERY_PHASE,
    *_AWAY,
    ("job GET", "killed and stopped"),
    ("log", "killed and stopped"),
    ("job PUT", "killed and stopped"),
    (f"{SHELL}job GET", "killed and stopped"),
    ("job GET", "killed and left"),
    ("log", "killed and left"),
    ("job GET", "SIGINT"),
    ("log", "SIGTERM"),
    ("job PUT", "SIGKILL"),
    ("job GET", "restarted"),
    ("job PUT", "restarted"),
    ("job GET", "runs stop"),
    ("details", "evicted"),
    ("job GET", "rank killed"),
)
