"""The command line of `jobs shell`: what ssh is asked for, and the line that a node's shell gets."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.cli.ssh import remote_command, run_ssh, ssh_command

TUNNEL = Path("/tmp/zenml-azureml-1/tunnel")

WORDS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), max_size=5)


def options(command: list[str]) -> list[str]:
    return [value for name, value in pairwise(command) if name == "-o"]


def test_ssh_sends_nothing_that_a_false_host_could_use_and_shares_no_connection() -> None:
    chosen = options(ssh_command("ssh", TUNNEL, "zenml-1", (), identity=None, terminal=False))

    assert {"PasswordAuthentication=no", "KbdInteractiveAuthentication=no", "ForwardAgent=no"} <= set(chosen)
    assert {"ControlMaster=no", "ControlPath=none", f"UserKnownHostsFile={os.devnull}"} <= set(chosen)
    assert chosen[0].startswith("ProxyCommand=")
    assert chosen[0].endswith(f" {TUNNEL}")


def test_a_key_that_is_named_is_the_only_one() -> None:
    command = ssh_command("ssh", TUNNEL, "zenml-1", (), identity=Path("/home/me/key"), terminal=False)

    assert command[command.index("-i") + 1] == "/home/me/key"
    assert "IdentitiesOnly=yes" in options(command)


@pytest.mark.parametrize(("terminal", "option"), [(True, "-t"), (False, "-T")])
def test_a_terminal_here_is_one_there(terminal: bool, option: str) -> None:
    command = ssh_command("ssh", TUNNEL, "-rf", (), identity=None, terminal=terminal)

    assert command[-6:-1] == [option, "-l", "azureuser", "--", "-rf"], "no name is an option"


def test_a_percent_sign_in_a_path_is_none_of_sshs_own() -> None:
    chosen = options(ssh_command("ssh", Path("/tmp/100%h/tunnel"), "a", (), identity=None, terminal=False))

    assert "100%%h" in chosen[0]


@given(WORDS)
def test_a_command_arrives_with_its_arguments_as_they_are(words: list[str]) -> None:
    assert shlex.split(remote_command(words))[5:] == words


class Node:
    """A machine: a bash with a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """What the command prints that ssh has sent."""
        environment = {"PATH": os.defpath, "TMPDIR": str(self.folder), "OWN": "of the session", "TERM": "xterm"}
        return subprocess.run(
            ["bash", "-c", remote_command(command)],
            env=environment,
            cwd="/",
            input="echo typed in $PWD",
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """The folder of a step's process that holds its job, with the file that names it."""
    work, kept = tmp_path / "work", tmp_path / "zenml-azureml-held-1"
    work.mkdir()
    kept.mkdir(mode=0o700)
    variables = {
        "PATH": os.defpath,
        "AZUREML_RUN_ID": "zenml-1",
        "RATE": "0.1",
        "LINES_OF": "two\nlines",
        "TERM": "dumb",
        "not a name": "1",
    }
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=variables, cwd=work) as step:
        (kept / "call.json").write_text(json.dumps({"job": "zenml-1", "process": step.pid, "python": "python"}))
        yield work
        step.kill()


PRINT = (
    "python3",
    "-c",
    "import os; print(os.getcwd(), [os.environ.get(n) for n in ('RATE','LINES_OF','OWN','TERM')])",
)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_command_has_the_folder_and_the_variables_of_the_process_of_a_held_step(node: Node, held: Path) -> None:
    done = node.run(*PRINT)

    assert done.stdout == f"{held.resolve()} ['0.1', 'two\\nlines', 'of the session', 'xterm']\n"
    assert (done.stderr, done.returncode) == ("", 0)


def test_without_a_held_step_it_has_those_of_the_session(node: Node) -> None:
    assert node.run(*PRINT).stdout == "/ [None, None, 'of the session', 'xterm']\n"


def test_a_shell_is_opened_if_no_command_is_given(node: Node) -> None:
    assert node.run().stdout == "typed in /\n"


def test_exit_codes_are_those_of_the_command(node: Node) -> None:
    assert node.run("sh", "-c", "exit 42").returncode == 42
    assert node.run("no-such-command").returncode == 127


def test_the_exit_code_of_ssh_is_handed_on() -> None:
    assert run_ssh(["sh", "-c", "exit 7"]) == 7
    assert run_ssh(["sh", "-c", "kill -TERM $$"]) == 128 + signal.SIGTERM


def test_a_signal_of_the_terminal_ends_ssh_alone_and_others_are_handed_on() -> None:
    """Both get SIGINT from a terminal; SIGTERM is for this process."""
    interrupt = "import signal, sys; from zenml_azureml.cli.ssh import run_ssh; sys.exit(run_ssh(sys.argv[1:]))"
    script = "trap 'exit 5' INT; trap 'exit 6' TERM; echo ready; while true; do sleep 0.02; done"
    for number, code in ((signal.SIGINT, 5), (signal.SIGTERM, 6)):
        with subprocess.Popen(
            [sys.executable, "-c", interrupt, "bash", "-c", script], stdout=subprocess.PIPE, start_new_session=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            if number == signal.SIGINT:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
            assert process.wait() == code
