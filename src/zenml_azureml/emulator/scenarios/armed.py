"""Which scenario is armed for which jobs: set over HTTP, met by the next jobs that match."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from zenml_azureml.emulator.launch import compute_name, timeout_of
from zenml_azureml.emulator.limits import Pattern, Seconds, Times
from zenml_azureml.emulator.scenarios.catalogue import SCENARIOS, Scenario
from zenml_azureml.emulator.state import Job


def _known(name: str) -> str:
    if name not in SCENARIOS:
        raise ValueError(f"there is no scenario {name!r}: there are {', '.join(SCENARIOS)}")
    return name


class ScenarioRule(BaseModel):
    """What shall happen to which jobs.

    Attributes:
        name: The scenario.
        jobs: Regular expression that must be found in the job's name, its display name, its experiment, or one of
            its tags as `key=value`; in any case.
        times: How many jobs it meets; it is spent after that.
        after: Seconds that the command has run when it happens, where it happens to a running job. A command that
            has ended before has been spared.
        now: Whether it happens to jobs that run already, at once, instead of the next ones.
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
        """What happens."""
        return SCENARIOS[self.name]

    def matches(self, job: Job) -> bool:
        """Whether it is meant for that job, and can happen to it."""
        properties = job.properties
        if self.scenario.needs_compute and compute_name(properties["computeId"]) is None:
            return False
        if self.scenario.needs_timeout and timeout_of(properties["limits"]) is None:
            return False
        texts = [job.name, properties["displayName"] or "", properties["experimentName"] or ""]
        texts += [f"{key}={value}" for key, value in (properties["tags"] or {}).items()]
        return any(re.search(self.jobs, text, re.IGNORECASE) for text in texts)


@dataclass
class Armed:
    """A rule, and how many jobs it has met."""

    rule: ScenarioRule
    fired: int = 0

    def as_json(self) -> dict[str, Any]:
        """For `GET /_emulator/scenario`."""
        return {**self.rule.model_dump(), "fired": self.fired}


@dataclass
class Scenarios:
    """What is armed in one emulator, in the order in which it was."""

    armed: list[Armed] = field(default_factory=list)

    def arm(self, rule: ScenarioRule, jobs: Iterable[Job]) -> Armed:
        """Take in a rule: for the next jobs, or for those that run now.

        Args:
            rule: The rule.
            jobs: All jobs that there are.
        """
        armed = Armed(rule)
        if not rule.now:
            self.armed.append(armed)
            return armed
        for job in jobs:
            if armed.fired < rule.times and job.status == "Running" and job.struck_by is None and rule.matches(job):
                armed.fired += 1
                job.struck_by = rule
                job.struck.set()
        return armed

    def take(self, job: Job) -> ScenarioRule | None:
        """The first unspent rule for a job, counted as fired; None if there is none."""
        for armed in self.armed:
            if armed.fired < armed.rule.times and armed.rule.matches(job):
                armed.fired += 1
                return armed.rule
        return None
