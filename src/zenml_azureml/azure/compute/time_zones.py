"""The time zones of schedules that Azure ML knows."""

from __future__ import annotations


def time_zones() -> frozenset[str]:
    """Return the names of the time zones, e.g. `W. Europe Standard Time`. Source: the SDK's own list."""
    # Here, since the import takes more than a second, and few steps have a schedule.
    from azure.ai.ml.constants import TimeZone

    return frozenset(zone.value for zone in TimeZone)
