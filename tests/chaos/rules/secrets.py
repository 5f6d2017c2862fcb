"""Where secrets are: nowhere but in the key vault, and there no longer than their jobs."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.catalogue import SECRET
from tests.chaos.rules.facts import may_be_out_of_reach, was_killed, was_restarted
from tests.chaos.trial import Trial


def none_told(trial: Trial) -> Iterator[str]:
    """None is in a job's definition, in what the server keeps, or in an output."""
    if trial.told_secret:
        yield "a job's definition, or the server's account of the run, has a secret in it"
    if SECRET in trial.output:
        yield "the orchestrator printed a secret"
    if trial.recovery is not None and SECRET in trial.recovery.output:
        yield "a recovery command printed a secret"


def none_left(trial: Trial) -> Iterator[str]:
    """None is left in the vault, or a line names it; the recovery commands leave none."""
    for name in trial.secrets:
        excused = was_killed(trial) or was_restarted(trial)
        if not excused and not (may_be_out_of_reach(trial) and f"/secrets/{name}" in trial.output):
            yield f"the secret {name} is left in the vault"
    if trial.recovery is not None:
        for name in trial.recovery.secrets:
            yield f"the secret {name} is in the vault after the recovery commands"
