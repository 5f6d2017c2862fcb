"""Pipelines whose process is killed, and what is left of them then."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import UUID

from tests.e2e.conftest import Project
from tests.e2e.warm import Process
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.resources import Job

STATIC = """
from zenml.config.retry_config import StepRetryConfig

RETRIES = StepRetryConfig(max_retries=2, delay=1)

@pipeline(enable_cache=False, settings=NO_BUILD)
def static():
    CommandStep(["sleep", "3600"], name="sleeper", step_operator="azureml", retry=RETRIES)()

if __name__ == "__main__":
    static()
"""

DYNAMIC = """
sleeper = CommandStep(["sleep", "3600"], name="sleeper", step_operator="azureml")

@pipeline(dynamic=True, enable_cache=False, settings=NO_BUILD, depends_on=[sleeper])
def dynamic():
    sleeper()

if __name__ == "__main__":
    dynamic()
"""

#: What such a client prints once its job runs.
RUNNING = "[sleeper] simulated line"


def killed(project: Project, script: str, after: str = RUNNING) -> None:
    """Run a pipeline and kill its process, which can do nothing any more, when it has printed some text."""
    client = project.start(script)
    read_until(client, after)
    client.send_signal(signal.SIGKILL)
    client.wait()


def read_until(client: Process, text: str) -> str:
    """What a client has printed up to the line with this text."""
    assert client.stdout is not None
    output = ""
    for line in client.stdout:
        output += line
        if text in line:
            return output
    raise AssertionError(output)


def jobs_of(emulator: Emulator) -> list[Job]:
    """The jobs in the first workspace, the oldest first."""
    return list(emulator.context.store.workspaces[0].jobs.values())


def ask(project: Project, code: str) -> str:
    """What a process beside the pipeline's prints; it leaves the pipeline's script as it is."""
    output, _ = (asking := project.start(code, name="beside.py")).communicate(timeout=240)
    assert asking.returncode == 0, output
    return output.strip()


def statuses(project: Project) -> str:
    """The status of the last run, and of its last step run, as the database has them."""
    with database(project) as connection:
        ((run, status),) = connection.execute("SELECT id, status FROM pipeline_run ORDER BY created DESC LIMIT 1")
        steps = connection.execute("SELECT status FROM step_run WHERE pipeline_run_id = ? ORDER BY created", [run])
        return f"{status} {[step for (step,) in steps][-1]}"


def server_id(project: Project) -> str:
    """The id under which the database stands for a ZenML server."""
    with database(project) as connection:
        ((found,),) = connection.execute("SELECT id FROM server_settings")
        return str(UUID(found))


@contextmanager
def database(project: Project) -> Iterator[sqlite3.Connection]:
    """ZenML's database."""
    (path,) = Path(project.environment["ZENML_CONFIG_PATH"]).rglob("zenml.db")
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def azureml(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the `zenml-azureml` command."""
    return project.azureml(*arguments)
