"""An emulator as a process of its own: started, found and stopped through its state folder."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from zenml_azureml.emulator.local.instance import DaemonError, Options, Running
from zenml_azureml.emulator.local.private_files import full_disk
from zenml_azureml.emulator.local.served_folder import (
    LOCK,
    LOG,
    RECORD,
    claimed,
    end_jobs_left,
    file_errors_in_words,
    is_locked,
    try_lock,
)
from zenml_azureml.emulator.local.start_options import check
from zenml_azureml.emulator.local.state_folder import is_state_folder

_POLL_SECONDS = 0.05
_LOG_LINES_SHOWN = 15
_SERVER = "zenml_azureml.emulator.local.serving"


def find(state: Path) -> Running | None:
    """Return the emulator of this user that serves from a state folder, or None.

    Args:
        state: The state folder; need not exist.
    """
    if not is_state_folder(state) or not is_locked(state):
        return None
    try:
        content = json.loads((state / RECORD).read_text())
    except FileNotFoundError:  # it is starting
        return None
    paths = {name: Path(content[name]) for name in ("state", "ca_file", "ca_bundle", "federated_token_file")}
    content.setdefault("local_url", content["base_url"])  # one that an older version has started
    return Running(**{**content, **paths, "options": Options(**content["options"])})


def start(state: Path, options: Options) -> Running:
    """Start an emulator in the background, unless one runs there already.

    Args:
        state: The state folder; created if it is missing.
        options: Options of the start.

    Returns:
        The emulator, which serves.

    Raises:
        DaemonError: If it could not be started, with the end of its log; if an option cannot be used; or if the folder
            is not an emulator's.
    """
    check(options)
    state = claimed(state)
    while True:
        if (running := find(state)) is not None:
            return running
        with file_errors_in_words(state), (state / LOCK).open("ab") as lock:
            # Taken here and handed on: of several starts at once, all but one wait for that one's emulator.
            if try_lock(lock, fcntl.LOCK_EX):
                return _spawn(state, options, lock.fileno())
        time.sleep(_POLL_SECONDS)


def _spawn(state: Path, options: Options, lock: int) -> Running:
    (state / RECORD).unlink(missing_ok=True)
    with (state / LOG).open("ab") as log:
        log_begins = log.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", _SERVER, str(state), json.dumps(asdict(options))],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=state,
            start_new_session=True,
            pass_fds=[lock],
        )
    while process.poll() is None:
        if (running := find(state)) is not None:
            return running
        time.sleep(_POLL_SECONDS)
    said = (state / LOG).read_bytes()[log_begins:].decode(errors="replace").strip() or full_disk(state)
    raise DaemonError(f"The emulator did not start:\n{_last_lines(said)}\nIts log: {state / LOG}")


def stop(state: Path, *, patience: float = 30.0) -> bool:
    """Stop the emulator of a state folder and end all its jobs, those too that a killed one left behind.

    Args:
        state: The state folder; need not exist.
        patience: Seconds to wait for it to end itself, before it is killed.

    Returns:
        Whether one ran.

    Raises:
        DaemonError: If one is starting and neither serves nor fails, or its jobs cannot be ended.
    """
    state = state.resolve()
    if not is_state_folder(state):  # there is nothing of an emulator's to end, and the rest is not touched
        return False
    deadline = time.monotonic() + patience
    while (running := find(state)) is None and is_locked(state):  # it is starting
        if time.monotonic() > deadline:
            raise DaemonError(f"An emulator has been starting for {patience:g} s. Its log: {state / LOG}")
        time.sleep(_POLL_SECONDS)
    if running is not None:
        with suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGTERM)
        while (found := find(state)) is not None and found.pid == running.pid:
            if time.monotonic() > deadline:
                with suppress(ProcessLookupError):
                    os.kill(running.pid, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)
    end_jobs_left(state)
    with file_errors_in_words(state):
        (state / RECORD).unlink(missing_ok=True)
    return running is not None


def _last_lines(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines()[-_LOG_LINES_SHOWN:])
