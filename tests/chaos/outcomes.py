"""Outcomes for the tests of the rules: runs as they may, and may not, come to an end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.chaos.rules.facts import CODE_FAILED
from tests.chaos.rules.limits import REACHED
from tests.chaos.schedule import PlannedEvent, PlannedFault, PlannedStep, Schedule
from tests.chaos.trial import JobRecord, Moment, Recovery, RunRecord, ShellRecord, StepRecord, Trial

_BEGAN = datetime(2026, 11, 29, tzinfo=timezone.utc)

#: A step whose command fails, and two steps.
FAILS = PlannedStep("step0", 1, 2, exit_code=1)
TWO = (PlannedStep("step0", 1, 2), PlannedStep("step1", 1, 2))

#: What ZenML prints of a failed step, and Python of what ends a program.
FAILURE = (
    "Step step0 failed.\nTraceback (most recent call last):\n  File ...\nzenml_azureml.exceptions.AzureMLError: Job.\n"
)


def planned(*steps: PlannedStep, **options: Any) -> Schedule:
    """A schedule of steps, one by default."""
    values: dict[str, Any] = {"name": "a/b/c/d", "part": "simulated", "number": 0, "shape": "static", **options}
    return Schedule(steps=steps or (PlannedStep("step0", 1, 2),), **values)


def job(number: int, status: str = "Completed", step: int = 0, *, of: int | None = None, **when: float) -> JobRecord:
    """The n-th job of all, of the n-th step run; by default made a minute after the one before, and over before that.

    Args:
        number: Of the job, and of its step run.
        status: Azure's.
        step: Number of the step.
        of: Number of the step run, where it is another.
        when: `created` and `ended`: minutes.
    """
    created = _BEGAN + timedelta(minutes=when.get("created", number))
    ended = _BEGAN + timedelta(minutes=when.get("ended", when.get("created", number) + 0.5))
    over = status in ("Completed", "Failed", "Canceled")
    return JobRecord(
        f"job{number}", status, f"run{number if of is None else of}", f"step{step}", created, ended if over else None
    )


def ran(
    number: int, status: str = "completed", step: int = 0, cause: str | None = None, version: int = 1
) -> StepRecord:
    """The n-th step run, with a cause that names its job where it failed."""
    known = f"The job job{number} failed." if status in ("failed", "retried") and cause is None else cause or ""
    return StepRecord(f"run{number}", f"step{step}", status, known, version)


def lines(*jobs: int, of: int = 2, step: int = 0, label: str = "") -> str:
    """All lines of jobs, as they are shown."""
    return "".join(f"[step{step}] {label}line {n} of {of} of job{j}\n" for j in jobs for n in range(1, of + 1))


def trial(schedule: Schedule, run: str, steps: Sequence[StepRecord], jobs: Sequence[JobRecord], **more: Any) -> Trial:
    """What became of a schedule, where nothing has happened yet."""
    values: dict[str, Any] = {"output": "", "exit_code": 0 if run == "completed" else 1, **more}
    return Trial(schedule, run=RunRecord(run, tuple(steps)), jobs=tuple(jobs), **values)


def well(**more: Any) -> Trial:
    """A run of one step, of which nothing is to be said."""
    return replace(trial(planned(), "completed", [ran(0)], [job(0)], output=lines(0)), **more)


def both_failed(second: str, cause: str = CODE_FAILED) -> Trial:
    """Two function steps that fail; the job of the second ends with this status, and its cause is only its code's."""
    steps = [PlannedStep(f"step{n}", 1, 2, kind="function", exit_code=1) for n in (0, 1)]
    records = [ran(0, "failed"), ran(1, "failed", step=1, cause=cause)]
    jobs = [job(0, "Failed"), job(1, second, step=1)]
    return trial(
        planned(*steps, shape="concurrent"), "failed", records, jobs, output=f"{lines(0)}{lines(1, step=1)}{FAILURE}"
    )


def event(name: str, phase: str = "job GET", **options: Any) -> PlannedEvent:
    """A planned event."""
    return PlannedEvent(name, phase, **options)


def while_running(*jobs: JobRecord, steps: Sequence[StepRecord] | None = None, hit: Sequence[str] = ()) -> Moment:
    """How things stand while jobs run."""
    running = tuple(replace(each, status="Running", ended_at=None) for each in jobs)
    records = steps if steps is not None else [StepRecord(j.step_run_id, j.step, "running") for j in jobs]
    return Moment(0.0, RunRecord("running", tuple(records)), running, tuple(hit))


def interrupted(name: str, run: str, step: str, status: str, *more: JobRecord, **options: Any) -> Trial:
    """A run of one step, interrupted while its job ran."""
    two = options.pop("two", False)
    steps = (PlannedStep("step0", 1, 2), PlannedStep("step1", 1, 2))[: 1 + two]
    exit_code = options.pop("exit_code", 1)
    return trial(
        planned(*steps, events=(event(name),), **options.pop("schedule", {})),
        run,
        [ran(0, step), *options.pop("steps", ())],
        [job(0, status), *more],
        moments={0: while_running(job(0))},
        exit_code=exit_code,
        **options,
    )


def evicted(*jobs: JobRecord, output: str, run: str = "completed", **options: Any) -> Trial:
    """A run of one step, whose first job was evicted."""
    step = ran(0, "completed" if run == "completed" else "failed")
    return trial(
        planned(events=(event("evicted"),), **options),
        run,
        [step],
        jobs,
        output=output,
        moments={0: while_running(jobs[0], hit=[jobs[0].name])},
        written={("job0", 0): 2, ("job1", 0): 2},
    )


def with_fault(fault: str, phase: str = "job GET", **more: Any) -> Trial:
    """A run of one step that met a fault, and completed."""
    schedule = planned(faults=(PlannedFault(phase, fault),))
    return replace(well(schedule=schedule, fired=Counter({0: 1})), **more)


def killed(step: str, status: str | None, recovery: Recovery | None, **more: Any) -> Trial:
    """A run of one step, killed while its job ran, or before there was one."""
    jobs = () if status is None else (job(0, status),)
    return trial(
        planned(events=(event(more.pop("by", "SIGKILL")),)),
        more.pop("run", "running"),
        [ran(0, step)],
        jobs,
        moments={0: while_running(*jobs, steps=[ran(0, "running")])},
        exit_code=-9,
        recovery=recovery,
        **more,
    )


def recovered(run: str, step: str, status: str | None = "Canceled", **more: Any) -> Recovery:
    """What the commands after a kill came to."""
    jobs = () if status is None else (job(0, status),)
    values: dict[str, Any] = {"output": "", "exit_codes": (0,), **more}
    return Recovery(jobs=values.pop("jobs", jobs), run=RunRecord(run, (ran(0, step),)), **values)


def retried(tries: int) -> Trial:
    """A step that fails at each of its tries, of which it has three."""
    steps = [ran(n, "retried" if n < tries - 1 else "failed", version=n + 1) for n in range(tries)]
    jobs = [job(n, "Failed") for n in range(tries)]
    return trial(planned(FAILS, shape="retries"), "failed", steps, jobs, output=lines(*range(tries)))


def held(first: str = "Running", cause: str = CODE_FAILED, *, holds: bool = True) -> Trial:
    """A step that fails at each of its tries, and whose jobs are held open; the first one has this status."""
    causes = [f"{words} The job job{n} failed." for n, words in enumerate((cause, CODE_FAILED, CODE_FAILED))]
    steps = [ran(n, "retried" if n < 2 else "failed", cause=causes[n], version=n + 1) for n in range(3)]
    schedule = planned(replace(FAILS, kind="function"), shape="retries", holds=holds)
    return trial(
        schedule, "failed", steps, [job(0, first), job(1, "Running"), job(2, "Running")], output=lines(0, 1, 2)
    )


def failed(**more: object) -> Trial:
    """A run whose step fails, as planned."""
    made = trial(planned(FAILS), "failed", [ran(0, "failed")], [job(0, "Failed")], output=lines(0) + FAILURE)
    return replace(made, **more)  # type: ignore[arg-type]


def unreachable(**more: object) -> Trial:
    """A run that failed because Azure could not be asked any more."""
    schedule = planned(faults=(PlannedFault("job GET", "403"),))
    made = trial(schedule, "failed", [ran(0, "failed")], [job(0, "Running")], fired=Counter({0: 1}))
    made.output = "Cannot look at job0. To cancel it: az ml job cancel --name job0\n"
    return replace(made, **more)  # type: ignore[arg-type]


def unseen(**planned_step: Any) -> Trial:
    """A run whose step was given up, and completed."""
    made = unreachable(run=RunRecord("completed", (ran(0),)), jobs=(job(0),))
    return replace(made, schedule=replace(made.schedule, steps=(PlannedStep("step0", 1, 2, **planned_step),)))


def rank_killed(cause: str, status: str = "Failed", output: str = "") -> Trial:
    return trial(
        planned(many_nodes=True, stream_logs=bool(output), events=(event("rank killed", rank=3),)),
        "failed",
        [ran(0, "failed", cause=f"job0: {cause}")],
        [job(0, status)],
        moments={0: while_running(job(0), hit=["job0"])},
        killed_ranks={"job0": 3},
        output=output,
    )


def studio(run: str, step: str, exit_code: int, status: str = "Canceled") -> Trial:
    return trial(
        planned(events=(event("cancelled in Studio"),)),
        run,
        [ran(0, step, cause="job0 was cancelled.")],
        [job(0, status)],
        moments={0: while_running(job(0), hit=["job0"])},
        exit_code=exit_code,
    )


def at_its_limit(*jobs: JobRecord, cause: str = REACHED, **options: Any) -> Trial:
    """A run of one step whose first job Azure ended at its cost limit."""
    return trial(
        planned(events=(event("limit reached"),), max_usd=5, **options),
        "failed",
        [ran(0, "failed", cause=f"job0: {cause}5`)")],
        jobs,
        moments={0: while_running(job(0), hit=["job0"])},
    )


def at_its_limit_after_its_report(run: str) -> Trial:
    """A run of one function step, whose job Azure ended at its cost limit when its code had reported its success."""
    made = at_its_limit(job(0, "Canceled"))
    step = PlannedStep("step0", 1, 2, kind="function")
    schedule = replace(made.schedule, steps=(step,))
    return replace(made, schedule=schedule, run=RunRecord(run, (ran(0),)), exit_code=0 if run == "completed" else 1)


def reading(*versions: str, fault: str = "") -> Trial:
    """A run of one step, whose jobs read these versions of its data; a fault has met the look-up."""
    faults = (PlannedFault("data versions", fault),) if fault else ()
    made = retried(len(versions)) if len(versions) > 1 else well(schedule=planned(faults=faults))
    inputs = {one.name: f"/x/images/versions/{version}" for one, version in zip(made.jobs, versions, strict=True)}
    return replace(made, inputs=inputs, fired=Counter({0: 1}) if fault else Counter())


def visited(shell: ShellRecord, event_name: str = "shell left", status: str = "Running") -> Trial:
    """A step that fails and whose jobs are held open, with a shell in the first one; something happens to that one."""
    made = held(status)
    schedule = replace(made.schedule, with_shell=True, events=(event("shell opened"), event(event_name)))
    moment = while_running(job(0), hit=[shell.job])
    return replace(made, schedule=schedule, moments={0: moment, 1: moment}, shells=(shell,))


def restarted(*jobs: object, run: str = "completed", **more: object) -> Trial:
    made = trial(
        planned(shape="retries", events=(event("restarted"),)),
        run,
        [ran(0, "retried", cause="killed"), ran(1, version=2)],
        jobs,  # type: ignore[arg-type]
        moments={0: while_running(job(0))},
        output=lines(1),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def waited(*jobs: object, **more: object) -> Trial:
    schedule = planned(waits_in_vain=True)
    made = trial(schedule, "completed", [ran(0)], jobs, output=lines(1))  # type: ignore[arg-type]
    return replace(made, **more)  # type: ignore[arg-type]
