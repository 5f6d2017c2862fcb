"""What the chaos suite has to see in every full run does not become less; what did not happen counts for nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.catalogue import (
    ALL_EVENTS,
    ALL_PHASES,
    DATA,
    DATA_PAIRS,
    EVENT_PAIRS,
    EVENTS,
    FAULT_PAIRS,
    FAULTS,
    HELD_SHELL,
    HOLD,
    HOLD_PAIRS,
    PAIRS,
    PHASES,
    RECOVERY,
    RECOVERY_PAIRS,
    SHELL,
    SHELL_PAIRS,
    phase_of,
)
from tests.chaos.mutants import MUTANTS, NO_MUTANT
from tests.chaos.outcomes import event, job, planned, ran, well, while_running
from tests.chaos.report import missing, noticed
from tests.chaos.rules import BY_ANY_CAUSE, RULES
from tests.chaos.schedule import PARTS, PlannedFault
from tests.chaos.task import PAIRS_OF, Result, Task, task_named

#: At how many phases each event happens; each fault but one happens at all 21 of them.
_PHASES_OF_EVENTS = {
    "SIGINT": 21,
    "SIGTERM": 21,
    "SIGKILL": 21,
    "exception": 21,
    "second SIGINT": 6,
    "restarted": 17,
    "runs stop": 21,
    "forced runs stop": 21,
    "ended on the server": 21,
    "cancelled in Studio": 7,
    "evicted": 7,
    "rank killed": 7,
    "limit reached": 6,
    "new version": 0,
    "shell opened": 0,
    "shell left": 0,
    "released": 0,
    "hold over": 0,
}


def test_every_fault_meets_every_phase() -> None:
    assert len(PHASES) >= 21
    for name in FAULTS:
        assert sum(fault == name for _, fault in FAULT_PAIRS) >= (1 if name == "no effect" else 21), name
    assert len(FAULTS) >= 24


def test_every_event_meets_every_phase_that_it_can() -> None:
    assert {name: sum(found == name for _, found in EVENT_PAIRS) for name in EVENTS} == _PHASES_OF_EVENTS


def test_events_come_between_a_vain_waits_cancel_and_the_next_submit() -> None:
    assert sum(phase == "moving" for phase, _ in EVENT_PAIRS) >= 7


def test_the_size_of_the_tables_does_not_shrink() -> None:
    assert len(FAULT_PAIRS) >= 484
    assert len(EVENT_PAIRS) >= 191
    assert len(RECOVERY_PAIRS) >= 55
    assert len(HOLD_PAIRS) >= 30
    assert len(DATA_PAIRS) >= 24
    assert len(SHELL_PAIRS) >= 46
    assert len(set(PAIRS)) == len(PAIRS) >= 830
    assert len(set(PAIRS_OF["server"])) >= 41
    assert len(set(PAIRS_OF["real"])) >= 22
    for server_event in ("server restarted", "session expired", "database locked"):
        assert sum(found == server_event for _, found in PAIRS_OF["server"]) >= 10


def test_a_pair_that_did_not_happen_is_missed() -> None:
    seen = Counter(dict.fromkeys(PAIRS, 1))
    assert missing(PAIRS, seen) == []
    del seen["moving", "SIGINT"]
    assert missing(PAIRS, seen) == [("moving", "SIGINT")]


@pytest.mark.parametrize("part", PARTS)
def test_every_pair_has_a_schedule_that_plans_it_and_that_its_name_gives_again(part: str) -> None:
    for number, (phase, trouble) in enumerate(PAIRS_OF[part]):  # type: ignore[index]
        task = task_named(f"{part}/7/{number}/0", NO_MUTANT.name)
        schedule = task.schedule()
        happenings = [(p.phase, p.event) for p in schedule.events]
        assert schedule.holds is phase.startswith((HOLD, HELD_SHELL))
        assert schedule.with_shell is phase.startswith((SHELL, HELD_SHELL))
        happenings += [(f"recovery: {p.phase}" if p.recovery else p.phase, p.fault) for p in schedule.faults]
        assert schedule.with_data is phase.startswith(DATA)
        assert (phase if phase.startswith(RECOVERY) else phase_of(phase), trouble) in happenings
        assert task_named(task.name, NO_MUTANT.name).schedule() == schedule
        assert Task(task.part, 7, number, draw=1).schedule() != schedule or trouble in ("second SIGINT",)


@pytest.mark.parametrize("part", PARTS)
def test_a_job_lasts_until_it_is_ended_where_an_interruption_is_planned(part: str) -> None:
    for number in range(len(PAIRS_OF[part])):  # type: ignore[index]
        schedule = task_named(f"{part}/1/{number}/0", NO_MUTANT.name).schedule()
        late = {"secret DELETE"} & {planned_event.phase for planned_event in schedule.events}
        assert schedule.held or schedule.holds or not schedule.events or late, schedule.describe()


def test_what_did_not_happen_is_not_tested() -> None:
    schedule = planned(
        events=(event("SIGINT"),), faults=(PlannedFault("job GET", "503"), PlannedFault("log", "403", trap=True))
    )
    trial = well(schedule=schedule)
    assert trial.untested == ["503 at job GET", "SIGINT at job GET"]
    trial.fired[0] = 1
    trial.moments[0] = while_running(job(0))
    assert trial.untested == []


def test_an_eviction_that_hit_no_job_is_not_tested() -> None:
    trial = well(schedule=planned(events=(event("evicted"),)), moments={0: while_running(job(0))})
    assert trial.untested == ["evicted at job GET"]
    trial.moments[0] = while_running(job(0), steps=[ran(0)], hit=["job0"])
    assert trial.untested == []


def test_there_are_mutants_enough_and_each_names_its_rule_and_its_schedules() -> None:
    mutants = [mutant for name, mutant in MUTANTS.items() if name != NO_MUTANT.name]
    assert len(mutants) >= 25
    for mutant in mutants:
        assert mutant.rule in RULES, mutant.name
        for phase, trouble in mutant.about:
            assert phase_of(phase) in ALL_PHASES
            assert trouble in {**FAULTS, **ALL_EVENTS}
        assert mutant.about, mutant.name


def test_a_mutant_is_noticed_by_its_own_rule_alone() -> None:
    mutant = MUTANTS["no move"]
    task = Task("simulated", 1, 0, mutant=mutant.name)

    def broke(*rules: str, crashed: str = "") -> list[tuple[Task, Result]]:
        return [(task, Result("", "", broken=[(rule, "") for rule in rules], crashed=crashed))]

    assert noticed(mutant, broke("outcome", "lines"))
    assert not noticed(mutant, broke("lines"))
    assert not noticed(mutant, broke())
    assert not noticed(mutant, broke(crashed="A worker died."))
    for rule in BY_ANY_CAUSE:
        assert not noticed(mutant, broke("outcome", rule))
