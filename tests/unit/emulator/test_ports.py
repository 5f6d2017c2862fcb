"""Where the processes of a job meet, on a machine that several jobs share."""

from __future__ import annotations

import contextlib
import socket

from zenml_azureml.emulator.runtimes.ports import FIRST, LAST, Ports


def test_jobs_that_begin_at_once_get_ports_of_their_own() -> None:
    ports = Ports()

    given = [port for _ in range(50) for port in ports.give(4)]

    assert len(set(given)) == 200
    assert all(FIRST <= port <= LAST for port in given)


def test_a_port_in_use_is_given_to_nobody() -> None:
    ports = Ports()
    (before,) = ports.give(1)  # the next ones are those after it
    with contextlib.ExitStack() as stack:
        busy = set()
        for number in range(before + 1, before + 50):
            one = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):  # in use already
                one.bind(("127.0.0.1", (number - FIRST) % (LAST - FIRST + 1) + FIRST))
                one.listen()
                busy.add(one.getsockname()[1])

        given = ports.give(200)

    assert len(busy) > 10
    assert busy.isdisjoint(given)
