"""Armed scenarios: set over HTTP, applied to the next jobs that match."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from zenml_azureml.emulator.jobs.definition import compute_name, timeout_of
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.scenarios.rules import ScenarioRule


@dataclass
class Armed:
    """A rule, and how many jobs it has met."""

    rule: ScenarioRule
    fired: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the rule for `GET /_emulator/scenario`."""
        return {**self.rule.model_dump(), "fired": self.fired}


@dataclass
class Scenarios:
    """Armed scenarios of one emulator, in the order in which they were armed."""

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
            if armed.fired < rule.times and job.status == "Running" and job.struck_by is None and _matches(rule, job):
                armed.fired += 1
                job.struck_by = rule
                job.struck.set()
        return armed

    def take(self, job: Job) -> ScenarioRule | None:
        """Return the first unspent rule for a job, counted as fired; None if there is none."""
        for armed in self.armed:
            if armed.fired < armed.rule.times and _matches(armed.rule, job):
                armed.fired += 1
                return armed.rule
        return None


def _matches(rule: ScenarioRule, job: Job) -> bool:
    """True if a rule is meant for a job, and can happen to it."""
    properties = job.properties
    if rule.scenario.needs_compute and compute_name(properties["computeId"]) is None:
        return False
    if rule.scenario.needs_timeout and timeout_of(properties["limits"]) is None:
        return False
    texts = [job.name, properties["displayName"] or "", properties["experimentName"] or ""]
    texts += [f"{key}={value}" for key, value in (properties["tags"] or {}).items()]
    return any(re.search(rule.jobs, text, re.IGNORECASE) for text in texts)
