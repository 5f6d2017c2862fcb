"""The rules of the chaos suite: they call every outcome broken that must not be, and none that may."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.chaos.impossible import IMPOSSIBLE
from tests.chaos.outcomes import (
    FAILURE,
    TWO,
    at_its_limit,
    at_its_limit_after_its_report,
    both_failed,
    event,
    evicted,
    failed,
    held,
    interrupted,
    job,
    killed,
    lines,
    planned,
    ran,
    rank_killed,
    reading,
    recovered,
    restarted,
    retried,
    studio,
    trial,
    unreachable,
    unseen,
    visited,
    waited,
    well,
    while_running,
    with_fault,
)
from tests.chaos.rules import RULES, broken
from tests.chaos.rules.ends import tracebacks
from tests.chaos.schedule import PlannedFault, PlannedStep
from tests.chaos.trial import RunRecord, ShellRecord, Trial


@pytest.mark.parametrize(("rule", "outcome"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_what_must_not_be_is_called_broken_by_its_rule(rule: str, outcome: Trial) -> None:
    assert rule in {found.rule for found in broken(outcome)}


def test_every_rule_calls_something_broken() -> None:
    assert {rule for rule, _ in IMPOSSIBLE.values()} == set(RULES)


#: What may be.
WELL: dict[str, Trial] = {
    "nothing went wrong": well(),
    "three tries of a step with two retries": retried(3),
    "a step that fails": failed(),
    "three tries of a step whose jobs are held open": held(),
    "a held job whose user leaves": visited(ShellRecord("job0", left=True)),
    "a held job that is released with a shell in it": visited(ShellRecord("job0"), "released", "Canceled"),
    "a held job whose time is over, with a shell in it": visited(ShellRecord("job0"), "hold over", "Failed"),
    "a function that fails while it is cancelled because another step failed": both_failed("Canceled"),
    "a function that completes while it is cancelled because another step failed": replace(
        both_failed("Canceled"), run=RunRecord("failed", (ran(0, "failed"), ran(1, step=1)))
    ),
    "a log that cannot be read": with_fault("403", "log", output=""),
    "a fault that passes": with_fault("503"),
    "Azure out of reach, with a line": unreachable(),
    "Azure out of reach, tried three times": replace(
        retried(3),
        schedule=replace(retried(3).schedule, faults=(PlannedFault("job GET", "403"),)),
        fired=Counter({0: 1}),
    ),
    "a fault that does not pass, and is survived": with_fault("403"),
    "Azure out of reach, and a function that completes all the same": unseen(kind="function"),
    "SIGINT": interrupted("SIGINT", "failed", "failed", "Canceled", output=FAILURE),
    "SIGTERM": interrupted("SIGTERM", "failed", "failed", "Canceled", output=FAILURE),
    "runs stop": interrupted("runs stop", "stopped", "stopped", "Canceled", output=FAILURE),
    "SIGINT, letting go in 9 s of the machine": interrupted(
        "SIGINT", "failed", "failed", "Canceled", let_go=(300.0, 9.0)
    ),
    "SIGINT, letting go in 29 s of its clock": interrupted(
        "SIGINT", "failed", "failed", "Canceled", let_go=(29.0, 29.0)
    ),
    "SIGINT when the last job was over": replace(
        interrupted("SIGINT", "completed", "completed", "Completed", output=lines(0), exit_code=130),
        moments={0: replace(while_running(job(0)), jobs=(job(0, "Finalizing"),))},
    ),
    "an eviction": evicted(job(0, "Failed"), job(1, of=0), output=lines(0, 1)),
    "a further eviction than are forgiven": evicted(job(0, "Failed"), output=lines(0), run="failed", max_preemptions=0),
    "a further eviction than are forgiven, and a retry": trial(
        planned(shape="retries", events=(event("evicted"), event("evicted")), max_preemptions=1),
        "completed",
        [ran(0, "retried"), ran(1, version=2)],
        [job(0, "Failed"), job(1, "Failed", of=0), job(2, of=1)],
        output=lines(0, 1, 2),
        moments={n: while_running(job(n, of=0), hit=[f"job{n}"]) for n in (0, 1)},
    ),
    "an eviction after a function has reported its end": replace(
        evicted(job(0, "Failed"), output=lines(0)),
        schedule=planned(PlannedStep("step0", 1, 2, kind="function"), events=(event("evicted"),)),
    ),
    "a cancel in Studio": studio("failed", "stopped", 1),
    "a cancel in Studio of a step with two retries": replace(
        studio("stopped", "stopped", 1),
        schedule=planned(shape="retries", events=(event("cancelled in Studio"),)),
    ),
    "exit 0 of a run that was stopped when its last job had completed": interrupted(
        "forced runs stop", "stopped", "completed", "Completed", output=lines(0), exit_code=0
    ),
    "a job at its cost limit": at_its_limit(job(0, "Canceled")),
    "a job at its cost limit after a function has reported its end": at_its_limit_after_its_report("completed"),
    "the same version for each job": reading("1", "1", "1"),
    "a killed rank": rank_killed("node 1 rank 3 failed"),
    "a job that waited in vain": waited(job(0, "Canceled"), job(1, of=0)),
    "killed, and recovered": killed("running", "Running", recovered("stopped", "stopped")),
    "killed before the job, and recovered": killed("running", None, recovered("stopped", "stopped", None)),
    "killed, and waited for": killed("running", "Running", recovered("completed", "completed", "Completed")),
    "killed and stopped, ended by itself": killed(
        "running",
        "Failed",
        recovered("stopped", "stopped", "Failed"),
        by="killed and stopped",
        by_itself=(job(0, "Failed"),),
    ),
    "killed and left, running on": killed(
        "running", "Running", recovered("stopped", "stopped"), by="killed and left", by_itself=(job(0, "Running"),)
    ),
    "restarted": restarted(job(0, "Canceled"), job(1)),
    "two steps": trial(
        planned(*TWO),
        "completed",
        [ran(0), ran(1, step=1)],
        [job(0), job(1, step=1)],
        output=lines(0) + lines(1, step=1),
    ),
}


@pytest.mark.parametrize("outcome", WELL.values(), ids=WELL.keys())
def test_what_may_be_is_not_called_broken(outcome: Trial) -> None:
    assert broken(outcome) == []


def test_a_traceback_of_a_query_is_known_by_what_the_query_met() -> None:
    for wrapped, kind in (
        ("(tests.chaos.orchestrator.BrokenRunnerError) Broke.", "BrokenRunnerError"),
        ("(sqlite3.OperationalError) database is locked", "OperationalError"),
        ("A value is required.", "StatementError"),
    ):
        raised = f"sqlalchemy.exc.StatementError: {wrapped}"
        assert list(tracebacks(FAILURE.replace("zenml_azureml.exceptions.AzureMLError: Job.", raised))) == [kind]


def test_a_traceback_is_known_by_the_last_exception_of_its_chain_and_the_sdks_own_is_left_out() -> None:
    caused = FAILURE.replace("AzureMLError: Job.\n", "KeyError: 1\n\nThe above exception was the direct cause of:\n\n")
    assert list(tracebacks(caused + FAILURE)) == ["AzureMLError"]
    assert list(tracebacks(f"ERROR {FAILURE}")) == ["AzureMLError"]
    sdk = "Ran into a deserialization error. Ignoring since this is failsafe deserialization\n"
    assert list(tracebacks(sdk + FAILURE[FAILURE.index("Traceback") :])) == []
