"""Signs that a job has ended itself because its step was over, for the job and its client. Pure.

The step's process is the job's process, so no process is left that could return an exit code of its own. The watcher
ends the step with a signal that no known program uses, which shows in the exit code. A step that handles SIGTERM ends
with an exit code of its choice: then the line in the log is the only sign.
"""

from __future__ import annotations

import re
from typing import Final

#: A real-time signal, whose default is to end the process.
OWN_SIGNAL: Final = 50

#: Exit codes after that signal, as shells and Docker show it, and as Python does.
EXIT_CODES: Final = frozenset({128 + OWN_SIGNAL, -OWN_SIGNAL})

_LINE: Final = re.compile(r"zenml-azureml: The step is over, so its job ends itself: (?P<reason>.+?)\.\s*$")


def line_for(reason: str) -> str:
    """Return the line in the log of a job that ends itself.

    Args:
        reason: The reason why its step is over, as a clause: `its run is stopped`.
    """
    return f"zenml-azureml: The step is over, so its job ends itself: {reason}."


def reason_in(line: str) -> str:
    """Return the reason in such a line; empty if it is another line."""
    found = _LINE.search(line)
    return found["reason"] if found else ""
