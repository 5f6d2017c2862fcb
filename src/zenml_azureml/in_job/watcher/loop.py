"""Watches a step from outside its process, and ends it when it is over on the ZenML server. Standard library only.

It runs beside the step in a process of its own (`start.py`), and ends with the step.
"""

from __future__ import annotations

import os
import random
import select
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from zenml_azureml.contract import variables
from zenml_azureml.contract.hold import hold_time
from zenml_azureml.contract.own_end import line_for
from zenml_azureml.contract.variables import is_rest
from zenml_azureml.in_job.sampler.start import is_wanted, sample
from zenml_azureml.in_job.watcher.node import Node
from zenml_azureml.in_job.watcher.over import MOST_UNANSWERED, Ask, Decision, NoAnswerError, WatchedStep, poll
from zenml_azureml.in_job.watcher.step_process import Process
from zenml_azureml.in_job.watcher.zenml_server import ZenMLServer

#: Time that a step's own handler for SIGTERM may take.
GRACE_SECONDS: Final = 30.0

#: The interval between two polls varies by this part of it, so that many jobs do not poll at the same moment.
_JITTER: Final = 0.25

#: Time between two checks if another watcher of the node has found that the step is over.
_NODE_SECONDS: Final = 1.0

#: Time that the descendants of a step may take to end after it.
_TREE_SECONDS: Final = 5.0

#: Time that the sampler may take for its last report.
_SAMPLER_SECONDS: Final = 30.0

#: Bytes that a pipe takes at once or not at all (PIPE_BUF).
_MOST_BYTES: Final = 4096

Write = Callable[[str], None]


def watched_step(environment: Mapping[str, str]) -> WatchedStep | None:
    """Return the step run to watch, from the environment of a job; None if there is none, or no server to poll."""
    step_run_id, run_id = environment.get(variables.STEP_RUN_ID), environment.get(variables.RUN_ID)
    if interval_seconds(environment) <= 0 or not step_run_id or not run_id or not is_rest(environment):
        return None
    parents = environment.get(variables.PARENT_RUN_IDS, "")
    return WatchedStep(
        step_run_id,
        run_id,
        environment.get(variables.RUN_MODE, "").lower(),
        tuple(parent.strip() for parent in parents.split(",") if parent.strip()),
        may_be_held=bool(hold_time(environment)),
    )


def interval_seconds(environment: Mapping[str, str]) -> float:
    """Return the average time between two polls; 0 for none."""
    try:
        return max(0.0, float(environment.get(variables.STOP_CHECK_SECONDS) or 0))
    except ValueError:
        return 0.0


def watch(process: Process, step: WatchedStep | None, environment: Mapping[str, str], log: int, output: int) -> None:
    """Watch a step until its process has ended.

    Args:
        process: The step's process.
        step: The step run; None if no server is to be polled.
        environment: Environment variables of the job.
        log: Descriptor of the job's log.
        output: Descriptor of the step's output, for the reports of the sampler: Azure repeats the end of the errors
            of a job in its message, where they would be in the way.
    """
    ending, over = threading.Event(), threading.Event()

    def write(line: str) -> None:
        _write(log, line)

    def end(reason: str) -> None:
        ending.set()
        write(line_for(reason))
        if not process.end(GRACE_SECONDS):
            write(
                "zenml-azureml: The step's process has not ended: the kernel protects the first process of a container "
                "from signals that it does not handle. Cancel the job in Azure ML Studio."
            )

    def ask(step: WatchedStep) -> None:
        with suppress(Exception):  # whatever fails in the watcher, the job keeps running
            server = ZenMLServer(environment)
            node = Node(step.step_run_id, environment) if environment.get(variables.SHARED_NODE) else None
            reason = watch_server(step, server.get, interval_seconds(environment), node, write)
            if reason:
                end(reason)

    threads = []
    if step is not None:
        threads.append(threading.Thread(target=ask, args=(step,), name="zenml-azureml-watcher", daemon=True))
    sampling = threading.Thread(
        target=sample,
        args=(process, environment, over, lambda line: _write(output, line, begin="")),
        name="zenml-azureml-sampler",
        daemon=True,
    )
    if is_wanted(environment):
        threads.append(sampling)
    for thread in threads:
        thread.start()
    process.wait()
    over.set()
    if ending.is_set():
        threads[0].join(_TREE_SECONDS)
    if sampling in threads:
        sampling.join(_SAMPLER_SECONDS)


def watch_server(
    step: WatchedStep,
    ask: Ask,
    interval: float,
    node: Node | None,
    write: Write,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Poll the server until the step is over.

    Args:
        step: The step run.
        ask: Sends a GET request.
        interval: Average seconds between two polls.
        node: The shared state of the watchers of several ranks on a node; None if there is only one.
        write: Writes a line to the job's log.
        sleep: Sleeps that many seconds.
        clock: Returns seconds of a clock that never jumps.

    Returns:
        The reason why the step is over; empty if the watcher has given up.
    """
    decision, due = Decision(clock), clock() + interval * random.uniform(_JITTER, 1)  # noqa: S311 - no secret
    while True:
        pause = max(0.0, due - clock())
        sleep(pause if node is None else min(pause, _NODE_SECONDS))
        if node is not None and (found := node.reason()):
            return found
        if clock() < due:
            continue
        due = clock() + interval * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
        if node is not None and not node.asks():
            continue
        try:
            reason = decision.note(poll(step, ask))
        except NoAnswerError as error:
            decision.note_no_answer()
            if decision.has_given_up:
                write(
                    f"zenml-azureml: The ZenML server has not answered {MOST_UNANSWERED} times in a row (the last "
                    f"time: {error}), so this job no longer checks whether its step is over. The step keeps running."
                )
                return ""
            continue
        if reason:
            if node is not None:
                node.share(reason)
            return reason


def _write(log: int, line: str, begin: str = "\n") -> None:
    """Write a line to the log of the job, but never wait for its reader: a step must not live longer for that.

    Args:
        log: Descriptor of the log.
        line: The line.
        begin: Written before it: a line of the step may be unfinished.
    """
    content = f"{begin}{' '.join(line.split())}\n".encode(errors="replace")[:_MOST_BYTES]
    with suppress(OSError):
        poller = select.poll()
        poller.register(log, select.POLLOUT)
        if poller.poll(1000):
            os.write(log, content)
