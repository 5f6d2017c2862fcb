"""The cloud that the SDK reads from AZUREML_CURRENT_CLOUD: one at a time, and restored afterwards.

`MLClient` always writes that variable, and some of the SDK's calls read it (`docs/clouds.md` lists them). Child
processes inherit it, and a client made without `cloud=` follows it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Source: azure-ai-ml, azure/ai/ml/constants/_common.py.
CLOUD_VARIABLE = "AZUREML_CURRENT_CLOUD"


class CurrentCloud:
    """Sets the variable for as long as a thread needs it. Thread-safe.

    Any number of threads may use the same cloud at once; a thread that needs another one waits for them.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users = 0
        self._name = ""
        self._before: str | None = None

    def renew(self) -> None:
        """Remove all users in a forked child: they are threads of the parent, which the child does not have."""
        if self._users:
            _restore(self._before)
        self._changed, self._users = threading.Condition(), 0

    @contextmanager
    def set_to(self, name: str) -> Iterator[None]:
        """Set the variable to that cloud, for the duration of a `with`."""
        with self._changed:
            self._changed.wait_for(lambda: self._users == 0 or self._name == name)
            if self._users == 0:
                self._name, self._before = name, os.environ.get(CLOUD_VARIABLE)
                os.environ[CLOUD_VARIABLE] = name
            self._users += 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                if self._users == 0:
                    _restore(self._before)
                    self._changed.notify_all()


def _restore(value: str | None) -> None:
    if value is None:
        os.environ.pop(CLOUD_VARIABLE, None)
    else:
        os.environ[CLOUD_VARIABLE] = value


#: The instance of this process: there is one environment.
CURRENT_CLOUD = CurrentCloud()
os.register_at_fork(after_in_child=CURRENT_CLOUD.renew)
