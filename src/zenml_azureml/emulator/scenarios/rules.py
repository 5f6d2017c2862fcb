"""Rules for scenarios, as they are sent over HTTP."""

from __future__ import annotations

import difflib
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from zenml_azureml.emulator.http.bounds import Pattern, Seconds, Times
from zenml_azureml.emulator.scenarios.catalogue import SCENARIOS, Scenario


def _known(name: str) -> str:
    if name not in SCENARIOS:
        near = nearest(name)
        meant = f": did you mean {near!r}? There are " if near else ": there are "
        raise ValueError(f"there is no scenario {name!r}{meant}{', '.join(SCENARIOS)}")
    return name


def nearest(name: str) -> str:
    """Return the scenario whose name is nearest to a misspelt one; empty if none is near.

    Args:
        name: The misspelt name, or a word of the name.
    """
    wanted = re.sub(r"[\W_]+", "-", name.lower()).strip("-")
    close = difflib.get_close_matches(wanted, SCENARIOS, n=1)
    parts = [known for known in SCENARIOS if len(wanted) > 2 and (wanted in known or known in wanted)]
    return next(iter(close or parts), "")


class ScenarioRule(BaseModel):
    """A scenario, and the jobs that it applies to.

    Attributes:
        name: The scenario.
        jobs: Regular expression that must be found in the job's name, its display name, its experiment, or one of
            its tags as `key=value`; in any case.
        times: Number of jobs that it affects; it is spent after that.
        after: Seconds that the command runs before the scenario applies, if it affects a running job. A command that
            has ended before has been spared.
        now: True to affect running jobs at once, instead of the next ones.
    """

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, AfterValidator(_known)]
    jobs: Pattern = ""
    times: Times = 1
    after: Seconds = 0.0
    now: bool = Field(False, strict=True)

    @model_validator(mode="after")
    def _check_now(self) -> ScenarioRule:
        if self.now and self.scenario.stage != "running":
            raise ValueError(f"{self.name!r} happens before a job runs, so it cannot happen to one that does")
        return self

    @property
    def scenario(self) -> Scenario:
        """The scenario."""
        return SCENARIOS[self.name]
