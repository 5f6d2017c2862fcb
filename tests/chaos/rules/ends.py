"""How an orchestrator's process ends, and what it prints."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.chaos.rules.facts import was_killed
from tests.chaos.trial import Trial

#: The longest that a process may go on after an interruption: seconds of its clock; and however fast that runs, so many
#: seconds of the machine.
LET_GO, LET_GO_MACHINE = 30.0, 10.0

#: The exceptions in whose tracebacks a run may end: ZenML prints them, as Python does, for whatever ends a step.
_EXPECTED = frozenset(
    {
        "AzureMLError",
        "AzureMLSettingsError",
        "AuthenticationError",
        "CostLimitError",
        "NoCapacityError",
        "JobFailedError",
        "JobCancelledError",
        "QueueTimeoutError",
        "StoppedStepError",
        "RunStoppedException",
        "RunInterruptedException",
        "KeyboardInterrupt",
        "SystemExit",
        "BrokenRunnerError",
        "StepFailedError",
        "RuntimeError",
        "EntityExistsError",
        "IllegalOperationError",  # ZenML's, where a step of a stopped run would begin
    }
)

#: An exception that nothing has caught, in a thread, in a handler of the logs, or where Python can only print it.
_LOST = ("Exception in thread", "Exception ignored in", "--- Logging error ---", "Fatal Python error")

_TRACEBACK = re.compile(r"^(?:.*[ \t])?Traceback \(most recent call last\):$", re.MULTILINE)
#: What the SDK logs with a traceback of its own, where a proxy's page comes in the place of an error's JSON.
_OF_THE_SDK = "Ran into a deserialization error. Ignoring since this is failsafe deserialization"

#: After the frames, which are indented.
_RAISED_LINE = re.compile(r"^\S.*$", re.MULTILINE)
_CHAINED = ("The above exception was the direct cause of", "During handling of the above exception")
#: SQLAlchemy wraps whatever is raised during a query, a signal's exception too, and names it.
_RAISED = re.compile(r"^(?:sqlalchemy\.exc\.\w+: \((?=[\w.]+\)))?(?P<kind>[A-Za-z_][\w.]*)(?:\)|:|$)", re.MULTILINE)


def ends(trial: Trial) -> Iterator[str]:
    """It does, within a time in which every machine is done with it."""
    if trial.hung and trial.let_go[1] <= LET_GO_MACHINE:  # otherwise it is the next rule's
        yield "the orchestrator hung"


def lets_go(trial: Trial) -> Iterator[str]:
    """After an interruption it ends soon."""
    seconds, machine = trial.let_go
    if seconds > LET_GO and machine > LET_GO_MACHINE:
        yield f"the orchestrator went on for {seconds:.0f} s of its clock ({machine:.0f} s) after it was interrupted"


def quiet(trial: Trial) -> Iterator[str]:
    """Nothing is raised that nothing catches, and no traceback shows but of what ended a step."""
    outputs = [("the orchestrator", trial.output)]
    if trial.recovery is not None:
        outputs.append(("a recovery command", trial.recovery.output))
    for who, output in outputs:
        for words in _LOST:
            if words in output:
                yield f"{who} printed: {words}"
        kinds = set(tracebacks(output))
        if who == "the orchestrator" and not (trial.exit_code == 0 and not trial.hung):
            kinds -= _EXPECTED
        if kinds and not trial.hung and not (was_killed(trial) and who == "the orchestrator" and kinds <= _EXPECTED):
            yield f"{who} printed a traceback of {', '.join(sorted(kinds))}"


def tracebacks(output: str) -> Iterator[str]:
    """The names of the exceptions of the tracebacks in an output; of a chain, that of the last one."""
    for begin in _TRACEBACK.finditer(output):
        if output[: begin.start()].rstrip("\n").endswith(_OF_THE_SDK):
            continue
        rest = output[begin.end() :]
        end = _RAISED_LINE.search(rest)
        if end is None:
            continue  # cut off: the process was killed
        following = _TRACEBACK.search(rest, end.end())
        between = rest[end.end() : following.start() if following else len(rest)]
        if following and any(words in between for words in _CHAINED):
            continue
        found = _RAISED.match(end[0])
        yield found["kind"].rpartition(".")[2] if found else end[0]
