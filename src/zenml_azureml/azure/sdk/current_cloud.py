"""The cloud that the SDK finds in AZUREML_CURRENT_CLOUD: one at a time, and the environment as before afterwards.

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
    """Sets the variable for as long as somebody needs it. Thread-safe.

    Any number of threads have the same cloud at once; who needs another one waits for them.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users = 0
        self._name = ""
        self._before: str | None = None

    def renew(self) -> None:
        """Have no users, in a forked child: those of the parent are threads that the child does not have."""
        if self._users:
            _restore(self._before)
        self._changed, self._users = threading.Condition(), 0

    @contextmanager
    def set_to(self, name: str) -> Iterator[None]:
        """Have the variable name that cloud, for the length of a `with`."""
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


#: The one of this process: there is one environment.
CURRENT_CLOUD = CurrentCloud()
os.register_at_fork(after_in_child=CURRENT_CLOUD.renew)
