"""Runs the demo: an emulator, a ZenML stack and a pipeline that leave nothing behind."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console

from zenml_azureml.demo.subprocess_runner import show_program, uninterrupted
from zenml_azureml.emulator.local import daemon, instance, shell_env

STEP_OPERATOR = "azureml"

#: Scenario of the emulator for the step that fails on purpose.
_FAILURE = "out-of-memory"
_PIPELINE = Path(__file__).with_name("pipeline.py")

_console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


class DemoError(Exception):
    """The demo could not be run; the message says why."""


@dataclass(frozen=True)
class Folders:
    """Folders of the demo.

    Attributes:
        root: Parent of all other folders.
    """

    root: Path

    @property
    def emulator(self) -> Path:
        """The emulator's state."""
        return self.root / "emulator"

    @property
    def project(self) -> Path:
        """The pipeline's code."""
        return self.root / "project"

    @property
    def artifacts(self) -> Path:
        """ZenML's artifact store."""
        return self.root / "artifacts"

    @property
    def zenml(self) -> Path:
        """ZenML's configuration and database."""
        return self.root / "zenml"

    @property
    def cache(self) -> Path:
        """Replacement for `~/.cache`, e.g. of uv, with which ZenML lists the packages."""
        return self.root / "cache"


def run_demo(folder: Path | None, *, keep: bool, with_failure: bool = False) -> bool:
    """Run the demo.

    Args:
        folder: Folder to use, empty or missing; None for a temporary folder.
        keep: True to keep the emulator running, and the folder.
        with_failure: True to run the pipeline again, with a step that fails.

    Returns:
        True if every step ended as planned.

    Raises:
        DemoError: If the folder is not empty, or something but the pipeline failed.
        KeyboardInterrupt: If it was interrupted; by then everything is cleaned up.
    """
    folders = Folders(_new_folder(folder))
    # Every signal ends the demo in the same way.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        succeeded = _run(folders, with_failure=with_failure)
        if keep:
            _show_what_is_kept(folders)
        return succeeded
    finally:
        if not keep:
            _clean_up(folders)


def _run(folders: Folders, *, with_failure: bool) -> bool:
    _say("An Azure ML workspace on this machine")
    try:
        emulator = daemon.start(folders.emulator, instance.Options())
    except instance.DaemonError as error:
        raise DemoError(str(error)) from error
    _console.print(f"  {emulator.base_url}, workspace `{emulator.options.workspace_name}`")

    _say("A ZenML stack that uses it")
    variables = child_environment(os.environ, emulator, folders)
    run_zenml(registration_commands(emulator, folders.artifacts), variables, folders.root)

    _say(f"A pipeline whose steps run there ({_PIPELINE.name})")
    folders.project.mkdir()
    shutil.copy(_PIPELINE, folders.project)
    succeeded = show_program([sys.executable, _PIPELINE.name], variables, folders.project) == 0

    _say("What ran where")
    quiet = {**variables, "ZENML_LOGGING_VERBOSITY": "ERROR"}
    show_program([sys.executable, "-m", "zenml_azureml.demo.report"], quiet, folders.root)
    return _fail(folders, variables) if with_failure and succeeded else succeeded


def _fail(folders: Folders, variables: Mapping[str, str]) -> bool:
    """Run the pipeline again, and let the node of its next job run out of memory. True if that fails the step."""
    _say("A step that fails: its node runs out of memory")
    command = ["zenml-azureml", "emulator", "scenario", _FAILURE, f"--state={folders.emulator}"]
    for shown in (command, ["python", _PIPELINE.name]):
        _console.print(f"  $ {shlex.join(shown)}", style="dim")
    _program(command, variables, folders.root)
    code = show_program([sys.executable, _PIPELINE.name], variables, folders.project, until_traceback=True)
    _console.print("  (The demo leaves out ZenML's tracebacks, which follow here.)", style="dim")
    return code != 0


def registration_commands(emulator: instance.Running, artifacts: Path) -> list[list[str]]:
    """Return the commands that a user would type to register a stack.

    Args:
        emulator: Emulator of the workspace for the step operator.
        artifacts: Folder for artifacts; absolute, because jobs have another home.
    """
    options = emulator.options
    return [
        ["zenml", "artifact-store", "register", "files", "--flavor=local", f"--path={artifacts}"],
        ["zenml", "image-builder", "register", "builder", "--flavor=local"],
        ["zenml", "container-registry", "register", "registry", "--flavor=default", "--uri=localhost:5000"],
        [
            *("zenml", "step-operator", "register", STEP_OPERATOR, "--flavor=azureml"),
            f"--subscription_id={options.subscription_id}",
            f"--resource_group={options.resource_group}",
            f"--workspace_name={options.workspace_name}",
        ],
        [
            *("zenml", "stack", "register", "azureml-demo", "-o", "default", "-a", "files"),
            *("-i", "builder", "-c", "registry", "-s", STEP_OPERATOR, "--set"),
        ],
    ]


def run_zenml(commands: Sequence[list[str]], variables: Mapping[str, str], folder: Path) -> None:
    """Show and run `zenml` commands, one after the other in one process: each of its own would import ZenML again.

    Args:
        commands: The commands.
        variables: Their environment.
        folder: Their working directory.

    Raises:
        DemoError: If a command fails; those after it are not run.
    """
    program = [sys.executable, "-m", "zenml_azureml.demo.zenml_commands"]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output,
        subprocess.Popen(
            program,
            env=variables,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None  # noqa: S101 - asked for above
        assert process.stdout is not None  # noqa: S101 - asked for above
        for command in commands:
            _console.print(f"  $ {shlex.join(command)}", style="dim")
            output.seek(0)
            output.truncate()
            process.stdin.write(json.dumps(command[1:]) + "\n")
            process.stdin.flush()
            if process.stdout.readline() != "0\n":
                output.seek(0)
                raise DemoError(f"`{shlex.join(command)}` failed:\n{output.read().strip()}")


def child_environment(own: Mapping[str, str], emulator: instance.Running, folders: Folders) -> dict[str, str]:
    """Return the environment of programs that the demo starts: the user's, without their ZenML and Azure variables.

    Args:
        own: The environment of this process.
        emulator: Emulator to use instead of Azure.
        folders: Folders to use instead of the user's home.
    """
    kept = {name: value for name, value in own.items() if not name.startswith(("ZENML_", "AZURE"))}
    return {
        **kept,
        **shell_env.variables(emulator, shell_env.ca_bundle(emulator, own), own),
        "XDG_CACHE_HOME": str(folders.cache),
        "ZENML_CONFIG_PATH": str(folders.zenml),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "ZENML_LOGGING_COLORS_DISABLED": str(not _console.is_terminal),
        "PYTHONUNBUFFERED": "1",
    }


def _new_folder(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="zenml-azureml-demo-")).resolve()
    if folder.exists() and any(folder.iterdir()):
        raise DemoError(f"{folder} is not empty. Name a new folder, or none for a temporary one.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _program(command: list[str], variables: Mapping[str, str], folder: Path) -> None:
    program = Path(sysconfig.get_path("scripts")) / command[0]
    done = subprocess.run(
        [str(program), *command[1:]],
        env=variables,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DemoError(f"`{shlex.join(command)}` failed:\n{done.stdout.strip()}")


def _clean_up(folders: Folders) -> None:
    with uninterrupted():
        daemon.stop(folders.emulator)
        # An interrupt can arrive when a program has just been started and this process does not wait for it yet.
        children = psutil.Process().children(recursive=True)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children)
        # Only the folders of the demo: the user may have put other files beside them.
        for made in (folders.emulator, folders.project, folders.artifacts, folders.zenml, folders.cache):
            shutil.rmtree(made, ignore_errors=True)
        with suppress(OSError):
            folders.root.rmdir()
    _console.print("\nThe emulator is stopped and everything it wrote is removed.", style="dim")


def _show_what_is_kept(folders: Folders) -> None:
    _say("Kept")
    state = shlex.quote(str(folders.emulator))
    _console.print(f"  Everything: {folders.root}")
    _console.print(f"  Status of the emulator: zenml-azureml emulator status --state {state}")
    _console.print(
        f'  Use it: eval "$(zenml-azureml emulator env --state {state})"; export ZENML_CONFIG_PATH={folders.zenml}'
    )
    _console.print(f"  Stop it: zenml-azureml emulator stop --state {state}; rm -r {folders.root}")


def _say(heading: str) -> None:
    _console.print(f"\n{heading}", style="bold")
