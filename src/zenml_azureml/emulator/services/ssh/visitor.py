"""The program of one SSH session: a shell, or the command that the client has sent."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncssh

from zenml_azureml.emulator.runtimes.base import NodeShell
from zenml_azureml.emulator.services.ssh.terminal import Terminal

_CHUNK = 64 * 1024

#: Starts a program as sshd does: no signal is ignored, whatever the emulator ignores, as under `nohup`.
_START = """
import os, signal, sys
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)
{also}
os.execvp(sys.argv[1], sys.argv[1:])
"""
_WITH_PIPES = _START.format(also="")
#: Gives the program the terminal that is its stdin, so that Ctrl+C reaches it.
_WITH_TERMINAL = _START.format(also="import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)")

_Session = asyncssh.SSHServerProcess[bytes]
_Write = Callable[[bytes], Awaitable[None]]


async def visit(shell: NodeShell, session: _Session) -> None:
    """Run the program of a session until it or the client ends.

    Args:
        shell: The shell of the node.
        session: The session.
    """
    if session.subsystem:  # such as sftp
        session.exit(1)
        return
    program = _with_terminal if session.term_type else _with_pipes
    try:
        await program(shell, session)
    except OSError as error:
        session.stderr.write(f"The shell cannot be started: {error.strerror}.\n".encode())
        session.exit(255)


async def _with_pipes(shell: NodeShell, session: _Session) -> None:
    argv = (*shell.command, *_arguments(session))
    process = await _start(_WITH_PIPES, argv, shell, dict(shell.environment), (PIPE, PIPE, PIPE))
    assert process.stdin is not None  # noqa: S101 - asked for above
    assert process.stdout is not None  # noqa: S101 - asked for above
    assert process.stderr is not None  # noqa: S101 - asked for above
    stdin = process.stdin

    async def feed(data: bytes) -> None:
        if data:
            stdin.write(data)
            await stdin.drain()
        else:
            stdin.write_eof()

    async def ended() -> int:
        await asyncio.gather(_copy(process.stdout, session.stdout), _copy(process.stderr, session.stderr))
        return await process.wait()

    await _until_over(session, process, feed, ended(), lambda: None)


async def _with_terminal(shell: NodeShell, session: _Session) -> None:
    terminal = Terminal()
    try:
        terminal.resize(session.term_size)
        argv = (*shell.command_with_terminal, *_arguments(session))
        environment = {**shell.environment, "TERM": session.term_type or "dumb"}
        process = await _start(_WITH_TERMINAL, argv, shell, environment, (terminal.inner,) * 3)
        terminal.close_inner()

        async def ended() -> int:
            while data := await terminal.read(_CHUNK):
                session.stdout.write(data)
                await session.stdout.drain()
            return await process.wait()

        await _until_over(session, process, terminal.write, ended(), lambda: terminal.resize(session.term_size))
    finally:
        terminal.close()


def _arguments(session: _Session) -> tuple[str, ...]:
    return () if session.command is None else ("-c", session.command)


async def _start(
    way: str, argv: tuple[str, ...], shell: NodeShell, environment: dict[str, str], files: tuple[int, int, int]
) -> Process:
    stdin, stdout, stderr = files
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-c", way, *argv),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=shell.folder,
        env=environment,
        start_new_session=True,
    )


async def _until_over(
    session: _Session, process: Process, feed: _Write, ended: Awaitable[int], resize: Callable[[], None]
) -> None:
    """Hand on what the client sends until the program has ended, or the client has left, which ends the program."""
    ending = asyncio.ensure_future(ended)
    feeding = asyncio.ensure_future(_feed(session, process, feed, resize))
    leaving = asyncio.ensure_future(session.channel.wait_closed())
    try:
        await asyncio.wait({ending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            code = ending.result()
            if code < 0:
                session.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
            else:
                session.exit(code)
    finally:
        for task in (ending, feeding, leaving):
            task.cancel()
        await asyncio.gather(ending, feeding, leaving, return_exceptions=True)
        # As on a machine whose line is cut: what ignores SIGHUP runs on, as long as the job does.
        _send(process, signal.SIGHUP)


async def _feed(session: _Session, process: Process, feed: _Write, resize: Callable[[], None]) -> None:
    with suppress(OSError, asyncssh.Error):  # the program takes no more, or the client has left
        while True:
            try:
                data = await session.stdin.read(_CHUNK)
            except asyncssh.TerminalSizeChanged:
                resize()
                continue
            except asyncssh.SignalReceived as received:
                _send(process, signal.Signals[f"SIG{received.signal}"])
                continue
            except asyncssh.BreakReceived:
                continue
            await feed(data)
            if not data:
                return


async def _copy(source: asyncio.StreamReader | None, target: asyncssh.SSHWriter[bytes]) -> None:
    while source is not None and (data := await source.read(_CHUNK)):
        target.write(data)
        await target.drain()


def _send(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
