"""A program that the demo runs: its output is shown, and an interrupt ends it in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path

from zenml_azureml.demo.output_filter import without_colours, worth_showing

# Number of times that an interrupt is passed on, and seconds for the program to cancel its job each time.
_INTERRUPTS = 3
_PATIENCE = 10.0


def show_program(
    command: list[str], variables: Mapping[str, str], folder: Path, *, until_traceback: bool = False
) -> int:
    """Run a program and show its output.

    Args:
        command: The program and its arguments.
        variables: Its environment.
        folder: Its working directory.
        until_traceback: True to show its output up to its first traceback only.

    Returns:
        Its exit code.

    Raises:
        KeyboardInterrupt: If the demo is interrupted; by then the program has ended too.
    """
    process = subprocess.Popen(
        command,
        env=variables,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A session of its own: Ctrl+C in a terminal must reach it once, from here.
        start_new_session=True,
    )
    ends_at_traceback = threading.Event()
    if until_traceback:
        ends_at_traceback.set()
    showing = threading.Thread(target=_show, args=(process.stdout, ends_at_traceback))
    showing.start()
    try:
        return process.wait()
    except KeyboardInterrupt:
        with uninterrupted():
            ends_at_traceback.set()  # the traceback of the user's own interrupt
            sys.stdout.write("\nInterrupted: cancelling the running jobs.\n")
            _interrupt(process)
        raise
    finally:
        showing.join()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore further signals, so that a second Ctrl+C does not interrupt the cleanup."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    former = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, former, strict=True):
            signal.signal(number, handler)


def _interrupt(process: subprocess.Popen[str]) -> None:
    # More than once: an interrupt that arrives inside some C libraries is lost.
    for _ in range(_INTERRUPTS):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
            return
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _show(output: Iterable[str], ends_at_traceback: threading.Event) -> None:
    lines = takewhile(lambda line: not (ends_at_traceback.is_set() and _ends(line)), output)
    for line in worth_showing(lines):
        sys.stdout.write(f"  {line}")
        sys.stdout.flush()
    # Read to the end: a program blocks if no process reads its output.
    for _ in output:
        pass


def _ends(line: str) -> bool:
    """Return True for the first line of a traceback, which may begin with a code for its colour."""
    return without_colours(line).startswith("Traceback")
