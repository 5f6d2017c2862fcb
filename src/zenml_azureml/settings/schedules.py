"""The setting `schedules`: when a new compute instance starts and stops by itself. Pure."""

from __future__ import annotations

import difflib
import re
from typing import Literal

from pydantic import ConfigDict, field_validator

from zenml_azureml.azure.compute.time_zones import time_zones
from zenml_azureml.secrets.redacted_model import RedactedModel

#: Of crontab expressions, the form that Azure reads: five fields of numbers, names, `*`, `,`, `-` and `/`.
_CRON = re.compile(r"(?:[0-9*,/-]|[a-zA-Z]{3})+(?:\s+(?:[0-9*,/-]|[a-zA-Z]{3})+){4}")
_RANGE = re.compile(r"(\d+)-(\d+)")


class AzureMLComputeSchedule(RedactedModel):
    """A schedule that starts or stops a new compute instance.

    Attributes:
        action: `start` or `stop`.
        cron: Crontab expression with five fields, e.g. `0 18 * * 1-5`.
        time_zone: Time zone, by its Windows or Azure name, e.g. `UTC`, `W. Europe Standard Time`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Literal["start", "stop"]
    cron: str
    time_zone: str = "UTC"

    @field_validator("cron")
    @classmethod
    def _is_possible(cls, cron: str) -> str:
        from croniter import croniter  # a third of a second less for all steps without a schedule

        is_form = _CRON.fullmatch(cron) is not None
        is_ordered = all(int(first) <= int(last) for first, last in _RANGE.findall(cron))
        # With `strict`, dates such as February 30 are refused too.
        if not (is_form and is_ordered and croniter.is_valid(cron, strict=True)):
            raise ValueError(
                "a crontab expression has five fields (minute 0-59, hour 0-23, day 1-31, month 1-12, weekday 0-6), "
                "e.g. `0 18 * * 1-5`, and matches a date that exists"
            )
        return cron

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, zone: str) -> str:
        known = {name.lower(): name for name in time_zones()}
        if zone.lower() in known:
            return known[zone.lower()]
        close = difflib.get_close_matches(zone.lower(), known, n=3)
        nearest = f". Did you mean {', '.join(f'`{known[name]}`' for name in close)}?" if close else ""
        raise ValueError(f"Azure ML knows time zones by their Windows names, e.g. `W. Europe Standard Time`{nearest}")
