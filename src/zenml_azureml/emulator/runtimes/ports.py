"""Ports at which the processes of a job meet, for several jobs on one machine.

On Azure each job has nodes of its own, and so the same port does for all jobs. Here it would not.
"""

from __future__ import annotations

import random
import socket
from itertools import count

#: Azure ML's own is the first of these (`MASTER_PORT` in Microsoft's guide to distributed training). The last one comes
#: before those that the kernel gives to connections, which could take one before a job listens there.
FIRST, LAST = 6105, 32767


class Ports:
    """Assigns ports one after the other, so that two jobs do not get the same; starts at a random port, as others do.

    Thread-safe, as `itertools.count` is.
    """

    def __init__(self) -> None:
        self._numbers = count(random.randrange(LAST - FIRST + 1))  # noqa: S311 - no secret

    def give(self, number: int) -> tuple[int, ...]:
        """Return ports that are free and not assigned to another job.

        Args:
            number: Number of ports.

        Raises:
            OSError: If there are not as many.
        """
        found: list[int] = []
        for _ in range(LAST - FIRST + 1):
            if len(found) == number:
                return tuple(found)
            port = FIRST + next(self._numbers) % (LAST - FIRST + 1)
            if _is_free(port):
                found.append(port)
        raise OSError(f"There are no {number} free ports from {FIRST} to {LAST}.")


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("", port))
        except OSError:
            return False
    return True
