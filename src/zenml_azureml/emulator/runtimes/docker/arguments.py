"""`resources.dockerArgs`, the options that a job wants `docker run` to be given: pure."""

from __future__ import annotations

import argparse
import shlex
from typing import Any, NoReturn

from zenml_azureml.emulator.jobs.exits import FailedError


class _Parser(argparse.ArgumentParser):
    """A parser that raises an exception, while argparse would exit."""

    def error(self, message: str) -> NoReturn:
        raise FailedError("UserError", f"The job's docker arguments cannot be used: {message}.")


def _parser() -> argparse.ArgumentParser:
    """Return a parser for the supported options of `docker run`, under the names of the `docker` package."""
    parser = _Parser(prog="docker run", add_help=False, allow_abbrev=False)
    for names, to in (
        (("--cpuset-cpus",), "cpuset_cpus"),
        (("-h", "--hostname"), "hostname"),
        (("--ipc",), "ipc_mode"),
        (("-m", "--memory"), "mem_limit"),
        (("--memory-swap",), "memswap_limit"),
        (("--net", "--network"), "network_mode"),
        (("--pid",), "pid_mode"),
        (("--shm-size",), "shm_size"),
        (("-u", "--user"), "user"),
        (("-w", "--workdir"), "working_dir"),
    ):
        parser.add_argument(*names, dest=to)
    for names, to in (
        (("--add-host",), "extra_hosts"),
        (("--cap-add",), "cap_add"),
        (("--cap-drop",), "cap_drop"),
        (("--device",), "devices"),
        (("-e", "--env"), "environment"),
        (("--security-opt",), "security_opt"),
        (("--tmpfs",), "tmpfs"),
        (("--ulimit",), "ulimits"),
        (("-v", "--volume"), "volumes"),
    ):
        parser.add_argument(*names, dest=to, action="append")
    parser.add_argument("--cpus", dest="cpus", type=float)
    parser.add_argument("--pids-limit", dest="pids_limit", type=int)
    for names, to in ((("--privileged",), "privileged"), (("--read-only",), "read_only")):
        parser.add_argument(*names, dest=to, action="store_true", default=None)
    # These say what is so anyway, or ask for what this machine does not have.
    parser.add_argument("--init", "--rm", "-i", "-t", "-it", dest="ignored", action="store_true", default=None)
    parser.add_argument("--gpus", "--runtime", dest="ignored")
    return parser


def container_options(line: str | None) -> dict[str, Any]:
    """Return the arguments of the `docker` package for a line of options of `docker run`.

    Args:
        line: E.g. `--ipc=host -e DEBUG=1`; None for none.

    Returns:
        Arguments of `docker.models.containers.ContainerCollection.create`, `environment` as a mapping.

    Raises:
        FailedError: If an option is not known or has no sense.
    """
    # Guess: Azure ML's behaviour for options that Docker does not accept was not recorded.
    try:
        words = shlex.split(line or "")
    except ValueError as error:
        raise FailedError("UserError", f"The job's docker arguments cannot be used: {error}.") from error
    given = vars(_parser().parse_args(words))
    options = {name: value for name, value in given.items() if value is not None and name != "ignored"}
    if "cpus" in options:
        options["nano_cpus"] = int(options.pop("cpus") * 1e9)
    # Without a value, Docker takes over its own client's variable: nothing that a job could mean.
    pairs = [text.partition("=") for text in options.pop("environment", [])]
    options["environment"] = {name: value for name, equals, value in pairs if equals}
    if "extra_hosts" in options:
        options["extra_hosts"] = dict(text.partition(":")[::2] for text in options["extra_hosts"])
    if "tmpfs" in options:
        options["tmpfs"] = dict(text.partition(":")[::2] for text in options["tmpfs"])
    if "ulimits" in options:
        options["ulimits"] = [_ulimit(text) for text in options["ulimits"]]
    return options


def _ulimit(text: str) -> dict[str, Any]:
    """Return `memlock=-1` or `nofile=1024:2048` in the form of Docker's API."""
    name, _, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    try:
        return {"Name": name, "Soft": int(soft), "Hard": int(hard or soft)}
    except ValueError as error:
        raise FailedError(
            "UserError", f"The job's docker arguments cannot be used: invalid ulimit argument: {text}."
        ) from error
