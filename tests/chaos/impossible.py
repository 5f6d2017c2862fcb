"""Outcomes that must not be, and the rules that they break."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tests.chaos.catalogue import SECRET
from tests.chaos.outcomes import (
    FAILS,
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
from tests.chaos.schedule import PlannedFault, PlannedStep
from tests.chaos.trial import RunRecord, ShellRecord, Trial
from zenml_azureml.contract.usage import MARK

_LATER = {
    "steps": [ran(1, step=1)],
    "two": True,
    "output": lines(0) + lines(1, step=1),
}

#: What must not be: the outcome, and the rule that it breaks.
IMPOSSIBLE: dict[str, tuple[str, Trial]] = {
    "a held job that a retry has ended": ("kept", held("Canceled")),
    "a job beside the next one whose code has not failed": ("one job", held(cause="")),
    "a shell that outlives its job": (
        "shells",
        visited(ShellRecord("job0", outlived="its program"), "hold over", "Failed"),
    ),
    "a shell that ends before its job": ("shells", visited(ShellRecord("job0", lost=True))),
    "a job that is cancelled because its user leaves": (
        "shells",
        visited(ShellRecord("job0", left=True), status="Canceled"),
    ),
    "a held job that is ended by a shell": ("kept", visited(ShellRecord("job0", left=True), status="Canceled")),
    "a held job that a retry has ended after another one was released": (
        "kept",
        replace(
            visited(ShellRecord("job1"), "released"),
            jobs=(job(0, "Canceled"), job(1, "Canceled"), job(2, "Running")),
        ),
    ),
    "a released job that a shell keeps": ("shells", visited(ShellRecord("job0"), "released")),
    "a job that a shell keeps after its hold": ("shells", visited(ShellRecord("job0"), "hold over")),
    "jobs beside each other without a hold": ("one job", held(holds=False)),
    "a job left whose code has not failed": ("no job left", held(cause="")),
    "one try of a step with two retries": ("tries", retried(1)),
    "two tries of a step with two retries": ("tries", retried(2)),
    "seven tries of a step with two retries": ("tries", retried(7)),
    "a second try of a step without retries": (
        "tries",
        trial(planned(FAILS), "failed", [ran(0, "retried"), ran(1, "failed")], [job(0, "Failed"), job(1, "Failed")]),
    ),
    "tries although Azure refuses for ever, and more than there are": (
        "tries",
        replace(
            retried(7),
            schedule=replace(retried(7).schedule, faults=(PlannedFault("job GET", "403"),)),
            fired=Counter({0: 1}),
        ),
    ),
    "a step left running after a SIGKILL, no job left, nothing done": (
        "recovery",
        killed("running", "Completed", None),
    ),
    "a step left running after a SIGKILL before its job": (
        "recovery",
        killed("running", None, recovered("stopped", "running", None)),
    ),
    "a run left running by the recovery": ("recovery", killed("running", "Running", recovered("running", "stopped"))),
    "a step left running by the recovery": ("recovery", killed("running", "Running", recovered("stopped", "running"))),
    "a job left running by the recovery": (
        "recovery",
        killed("running", "Running", recovered("stopped", "stopped", "Running")),
    ),
    "a step that the recovery calls completed, its job cancelled": (
        "recovery",
        killed("running", "Running", recovered("completed", "completed")),
    ),
    "a step that the recovery calls stopped, its job completed": (
        "recovery",
        killed("running", "Completed", recovered("stopped", "retrying", "Completed")),
    ),
    "a cost limit that is taken for a time limit": (
        "cost limit",
        at_its_limit(job(0, "Canceled"), cause="it ran for longer than its `timeout_minutes` of 90 ("),
    ),
    "a further job after a cost limit": (
        "cost limit",
        at_its_limit(job(0, "Canceled"), job(1, "Canceled", of=0)),
    ),
    "a run that failed at a cost limit, after its function had reported its success": (
        "outcome",
        at_its_limit_after_its_report("failed"),
    ),
    "a report of use that is shown": ("usage", well(output=f"{lines(0)}{MARK}{{}}")),
    "a report of use that is lost": ("usage", well(schedule=planned(usage="whole"))),
    "a use that no job has reported": (
        "usage",
        well(schedule=planned(usage="cut off"), run=RunRecord("completed", (replace(ran(0), has_usage=True),))),
    ),
    "another version of the data after a retry": ("data", reading("1", "1", "2")),
    "a label in a job": ("data", reading("latest")),
    "a job whose data could not be looked up": ("data", reading("1", fault="404")),
    "a recovery that fails": (
        "recovery",
        killed("running", "Running", recovered("stopped", "stopped", exit_codes=(1,))),
    ),
    "a recovery whose last command fails": (
        "recovery",
        killed("running", "Running", recovered("stopped", "stopped", exit_codes=(0, 1))),
    ),
    "a recovery that submits": (
        "recovery",
        killed("running", "Running", recovered("stopped", "stopped", jobs=(job(0, "Canceled"), job(1)))),
    ),
    "a recovery with a traceback": (
        "quiet",
        killed("running", "Running", recovered("stopped", "stopped", output=FAILURE)),
    ),
    "a recovery that prints a secret": (
        "no secret told",
        killed("running", "Running", recovered("stopped", "stopped", output=SECRET)),
    ),
    "a secret in the vault after the recovery": (
        "no secret left",
        killed("running", "Running", recovered("stopped", "stopped", secrets=("job0",))),
    ),
    "a job that watches, of a stopped run, and runs on": (
        "watched",
        killed(
            "running",
            "Running",
            recovered("stopped", "stopped"),
            by="killed and stopped",
            by_itself=(job(0, "Running"),),
        ),
    ),
    "a job that watches, and ends though its step is not over": (
        "watched",
        killed(
            "running", "Running", recovered("stopped", "failed"), by="killed and left", by_itself=(job(0, "Canceled"),)
        ),
    ),
    "a run that was killed, and completed": (
        "outcome",
        killed("running", "Running", recovered("stopped", "stopped"), run="completed"),
    ),
    "a function that completed, its job cancelled by nobody": (
        "statuses",
        trial(
            planned(PlannedStep("step0", 1, 2, kind="function")),
            "completed",
            [ran(0)],
            [job(0, "Canceled")],
            output=lines(0),
        ),
    ),
    "completed after a cancel in Studio": ("statuses", studio("completed", "completed", 0)),
    "a completed run after a cancel in Studio": ("outcome", studio("completed", "stopped", 0)),
    "exit 0 after a cancel in Studio": ("exit code", studio("failed", "stopped", 0)),
    "exit 0 of a run that was stopped while its job ran": (
        "exit code",
        interrupted("forced runs stop", "stopped", "stopped", "Canceled", output=lines(0), exit_code=0),
    ),
    "exit 0 of a run that was stopped before its second step": (
        "exit code",
        interrupted("forced runs stop", "stopped", "completed", "Completed", two=True, output=lines(0), exit_code=0),
    ),
    "a second try after a cancel in Studio": (
        "tries",
        replace(
            studio("completed", "stopped", 0),
            schedule=planned(shape="retries", events=(event("cancelled in Studio"),)),
            run=RunRecord("completed", (ran(0, "stopped", cause="job0 was cancelled."), ran(1, version=2))),
            jobs=(job(0, "Canceled"), job(1)),
            output=lines(1),
        ),
    ),
    **{
        f"completed after {name}": (
            "outcome",
            interrupted(name, "completed", "completed", "Completed", output=lines(0), exit_code=0),
        )
        for name in ("SIGINT", "SIGTERM", "exception", "runs stop", "forced runs stop", "ended on the server")
    },
    **{
        f"later steps run after {name}": (
            "no job after an interruption",
            interrupted(name, "stopped", "stopped", "Canceled", job(1, step=1), **_LATER),
        )
        for name in ("SIGINT", "SIGTERM", "exception", "runs stop", "ended on the server")
    },
    "later steps run after SIGINT, and the run completes": (
        "outcome",
        interrupted("SIGINT", "completed", "completed", "Completed", job(1, step=1), exit_code=0, **_LATER),
    ),
    "completed after SIGINT in its second step": (
        "outcome",
        replace(
            interrupted("SIGINT", "completed", "completed", "Completed", job(1, step=1), exit_code=0, **_LATER),
            moments={0: replace(while_running(job(1, step=1)), jobs=(job(0), *while_running(job(1, step=1)).jobs))},
        ),
    ),
    "a later step of a dynamic run after SIGINT": (
        "no job after an interruption",
        replace(
            interrupted(
                "SIGINT",
                "failed",
                "completed",
                "Completed",
                job(1, "Canceled", step=1),
                two=True,
                steps=[ran(1, "stopped", step=1)],
                schedule={"shape": "dynamic"},
                output=lines(0),
            ),
            moments={0: while_running(steps=[ran(0)])},
        ),
    ),
    "a second try after SIGINT": (
        "no job after an interruption",
        interrupted(
            "SIGINT",
            "failed",
            "retried",
            "Canceled",
            job(1),
            steps=[ran(1)],
            schedule={"shape": "retries"},
            output=lines(1),
        ),
    ),
    "a job left after SIGINT": ("no job left", interrupted("SIGINT", "failed", "failed", "Running")),
    "a job left after a second SIGINT": (
        "no job left",
        replace(
            interrupted("SIGINT", "failed", "failed", "Running"),
            schedule=planned(events=(event("SIGINT"), event("second SIGINT", "cancel", follows=True))),
        ),
    ),
    "a step left running after runs stop": ("statuses", interrupted("runs stop", "stopped", "running", "Canceled")),
    "a run left stopping after runs stop": ("statuses", interrupted("runs stop", "stopping", "stopped", "Canceled")),
    "exit 0 of a run that SIGINT ended": (
        "exit code",
        interrupted("SIGINT", "failed", "stopped", "Canceled", exit_code=0),
    ),
    "nine jobs after one eviction": (
        "no job too many",
        evicted(*(job(n, "Failed" if n < 8 else "Completed", of=0) for n in range(9)), output=lines(*range(9))),
    ),
    "three jobs after one eviction": (
        "no job too many",
        evicted(*(job(n, "Failed" if n < 2 else "Completed", of=0) for n in range(3)), output=lines(0, 1, 2)),
    ),
    "one job after an eviction, and a completed run": ("statuses", evicted(job(0, "Failed"), output=lines(0))),
    "no second job after an eviction": ("outcome", evicted(job(0, "Failed"), output=lines(0), run="failed")),
    "a job more than evictions are forgiven": (
        "no job too many",
        evicted(job(0, "Failed"), job(1, of=0), output=lines(0, 1), max_preemptions=0),
    ),
    "two jobs of one step run without an eviction": (
        "no job too many",
        well(jobs=(job(0), job(1, of=0)), output=lines(0, 1)),
    ),
    "two jobs of one step run at once": (
        "one job",
        evicted(job(0, "Failed", ended=3), job(1, of=0), output=lines(0, 1)),
    ),
    "two jobs of one step at once after a restart": ("one job", restarted(job(0, "Canceled", ended=3), job(1))),
    "a job of a restarted step that runs on": ("one job", restarted(job(0, "Running"), job(1))),
    "a later step before the one before has ended": (
        "one job",
        trial(planned(*TWO), "completed", [ran(0), ran(1, step=1)], [job(0, ended=2), job(1, step=1)]),
    ),
    "a job that waits in vain, and another one beside it": (
        "one job",
        waited(job(0, "Canceled", ended=3), job(1, of=0)),
    ),
    "three jobs where one waited in vain": (
        "no job too many",
        waited(job(0, "Canceled"), job(1, "Canceled", of=0), job(2, of=0), output=lines(2)),
    ),
    "a job for a step run that ZenML does not know": ("no job too many", well(jobs=(job(0), job(1)))),
    "a moved step's lines doubled": ("lines", evicted(job(0, "Failed"), job(1, of=0), output=lines(0, 0, 1))),
    "a moved step's lines mixed": (
        "lines",
        evicted(
            job(0, "Failed"),
            job(1, of=0),
            output="[step0] line 1 of 2 of job0\n[step0] line 1 of 2 of job1\n"
            "[step0] line 2 of 2 of job0\n[step0] line 2 of 2 of job1\n",
        ),
    ),
    "a moved step's lines missing, of its last job": (
        "lines",
        evicted(job(0, "Failed"), job(1, of=0), output=lines(0)),
    ),
    "a moved step's lines missing, of its first job": (
        "lines",
        evicted(job(0, "Failed"), job(1, of=0), output=lines(1)),
    ),
    "a line missing": ("lines", well(output="[step0] line 2 of 2 of job0\n")),
    "the last line missing": ("lines", well(output="[step0] line 1 of 2 of job0\n")),
    "no line": ("lines", well(output="")),
    "lines out of order": ("lines", well(output="[step0] line 2 of 2 of job0\n[step0] line 1 of 2 of job0\n")),
    "a line under another step's name": ("lines", well(output=lines(0) + lines(0, step=1))),
    "a line of a rank under another one's": (
        "lines",
        rank_killed("node 1 rank 3", output=lines(0, label="[node 0 rank 0] ") * 2),
    ),
    "lines though `stream_logs` is off": ("lines", well(schedule=planned(stream_logs=False))),
    "exit 0 of a failed run after a fault that does not pass": ("exit code", unreachable(exit_code=0)),
    "exit 1 of a run that completed after such a fault": ("exit code", unseen()),
    "a run that completed after such a fault, its job did not": (
        "statuses",
        unreachable(run=RunRecord("completed", (ran(0),)), jobs=(job(0, "Failed"),), exit_code=0),
    ),
    "exit 0 of a failed run": ("exit code", failed(exit_code=0)),
    "exit 1 of a run that completed": ("exit code", well(exit_code=1)),
    "a run that completed, of which a step failed": (
        "statuses",
        well(run=RunRecord("completed", (ran(0), ran(1, "failed", step=1)))),
    ),
    "a run that failed though all went well": ("outcome", well(run=RunRecord("failed", (ran(0),)), exit_code=1)),
    "a run that failed of a fault that passes": (
        "outcome",
        with_fault("503", run=RunRecord("failed", (ran(0, "failed"),)), exit_code=1),
    ),
    "a job left after such a fault, and no line of it": ("no job left", unreachable(output="")),
    "a job left after such a fault, and a line of another one": (
        "no job left",
        unreachable(output="Cannot look at job0.\nTo cancel it: az ml job cancel --name another\n"),
    ),
    "a run that was never made": ("outcome", Trial(planned())),
    "jobs without a run": ("statuses", Trial(planned(), jobs=(job(0),))),
    "a job left": ("no job left", well(jobs=(job(0, "Running"),))),
    "a secret printed": ("no secret told", well(output=f"{lines(0)}PASSWORD={SECRET}\n")),
    "a secret in a definition": ("no secret told", well(told_secret=True)),
    "a secret left in the vault": ("no secret left", well(secrets=("job0",))),
    "a traceback of a run that completed": ("quiet", well(output=lines(0) + FAILURE)),
    "a traceback that nothing caught": ("quiet", failed(output=lines(0) + FAILURE.replace("AzureMLError", "KeyError"))),
    "a traceback that nothing caught, and the expected one": (
        "quiet",
        failed(output=lines(0) + FAILURE.replace("AzureMLError", "KeyError") + FAILURE),
    ),
    "a thread that died": ("quiet", failed(output=f"{lines(0)}Exception in thread zenml-azureml-job-monitor:\n")),
    "an exception that was dropped": ("quiet", well(output=f"{lines(0)}Exception ignored in: <function>\n")),
    "a log record that could not be printed": ("quiet", well(output=f"{lines(0)}--- Logging error ---\n")),
    "80 s to let go of a signal": (
        "lets go",
        interrupted("SIGINT", "failed", "failed", "Canceled", let_go=(80.0, 80.0)),
    ),
    "31 s, of which 11 of the machine": (
        "lets go",
        interrupted("SIGTERM", "failed", "failed", "Canceled", let_go=(31.0, 11.0)),
    ),
    "a hang": ("ends by itself", well(hung=True, exit_code=-9)),
    "a failed step without a cause": ("causes", failed(run=RunRecord("failed", (ran(0, "failed", cause=""),)))),
    "a retried step without a cause": (
        "causes",
        replace(
            retried(3), run=RunRecord("failed", (ran(0, "retried", cause=""), ran(1, "retried"), ran(2, "failed")))
        ),
    ),
    "a cause that does not say which job": (
        "causes",
        failed(run=RunRecord("failed", (ran(0, "failed", cause="It failed."),))),
    ),
    "a failed job that the cause of a function's failure does not name": ("causes", both_failed("Failed")),
    "another's cause on a step that was cancelled": ("causes", both_failed("Canceled", cause="Something failed.")),
    "a killed rank without a name": ("ranks", rank_killed("a rank failed")),
    "another rank blamed": ("ranks", rank_killed("node 0 rank 1 failed")),
    "a job that survives the kill of a rank": ("ranks", rank_killed("node 1 rank 3", "Completed")),
    "a completed step without a job": ("statuses", well(jobs=(), output="")),
    "a completed step, its job failed": ("statuses", well(jobs=(job(0, "Failed"),))),
    "a failed step, its job completed": ("statuses", well(run=RunRecord("failed", (ran(0, "failed"),)), exit_code=1)),
    "a step left running": ("statuses", well(run=RunRecord("completed", (ran(0, "running"),)))),
    "a run left running": ("statuses", well(run=RunRecord("running", (ran(0),)))),
}
