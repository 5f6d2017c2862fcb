"""The way a team uses it: real parts everywhere, and an emulated Azure ML that runs the images."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.docker.azurite import blob_storage
from tests.docker.package_index import PackageIndex
from tests.e2e.conftest import Project, zenml_variables
from tests.e2e.environments import PythonEnvironment, environment_without_plugin
from tests.e2e.zenml_server import ZenMLServer, zenml_server
from zenml_azureml.emulator.local import daemon, instance, shell_env

PROJECT = Path(__file__).parent / "project"
_CONTAINER = "artifacts"
#: Where the `docker` command is, without which ZenML builds no image.
_DOCKER = Path(shutil.which("docker") or "/usr/bin/docker").parent

#: Prints what the client knows of the last run of a pipeline: everything that it loads comes from the artifact store.
LAST_RUN = """
import json, sys
from zenml.client import Client

run = Client().list_pipeline_runs(pipeline=sys.argv[1], size=1, sort_by="desc:created", hydrate=True)[0]
steps = {
    name: {
        "id": str(step.id),
        "status": str(step.status),
        "metadata": {key: str(value) for key, value in step.run_metadata.items()},
        "outputs": {key: value.load() for key, (value,) in step.outputs.items()},
        "uris": [value.uri for (value,) in step.outputs.values()],
        "exception": step.exception_info and step.exception_info.traceback,
    }
    for name, step in run.steps.items()
}
print("RUN", json.dumps({"id": str(run.id), "status": str(run.status), "steps": steps}))
"""


@dataclass
class Run:
    """What a pipeline run left, as client and server tell it.

    Attributes:
        output: What the `zenml` command said.
        exit_code: Of that command.
        status: Of the run.
        steps: By name: `id`, `status`, `metadata`, `outputs` (loaded), `uris`, `exception`.
    """

    output: str = field(repr=False)
    exit_code: int
    id: str
    status: str
    steps: dict[str, dict[str, Any]]

    def job(self, step: str) -> str:
        """The name of a step's job."""
        return str(self.steps[step]["metadata"]["azureml_job_name"])


@dataclass
class Team:
    """A team's ZenML: a server without the plugin, blobs, a registry, a client with the plugin, and a workspace.

    Attributes:
        project: The user's folder, with `pipelines.py`, and the client's environment.
        server: The ZenML server.
        emulator: The workspace.
        client_environment: What the client runs in.
        index: Where its packages come from.
        registry: `HOST:PORT` of the container registry.
        seen: The ids of the runs so far.
    """

    project: Project
    server: ZenMLServer
    emulator: instance.Running
    client_environment: PythonEnvironment
    index: PackageIndex
    registry: str
    seen: set[str] = field(default_factory=set)

    def with_client(self, python: Path | str, **variables: str) -> Team:
        """The same team, with its client in another environment.

        Args:
            python: That environment's interpreter.
            variables: Further environment variables.
        """
        programs = f"{Path(python).parent}:{_DOCKER}:/usr/bin:/bin"
        environment = {**self.project.environment, "PATH": programs, **variables}
        return replace(self, project=replace(self.project, python=str(python), environment=environment))

    def zenml(self, *arguments: str) -> str:
        """What the `zenml` command says, which has to succeed."""
        done = self.project.zenml(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run(self, pipeline: str, *options: str) -> Run:
        """Run a pipeline by the `zenml` command, to its end."""
        done = self.project.zenml("pipeline", "run", f"pipelines.{pipeline}", *options)
        run = self.last_run(pipeline, done.stdout + done.stderr, done.returncode)
        assert run.id not in self.seen, f"exit code {done.returncode}, no new run: {run.output}"
        self.seen.add(run.id)
        return run

    def last_run(self, pipeline: str, output: str = "", exit_code: int = 0) -> Run:
        """What the client knows of the last run of a pipeline."""
        told = self.project.succeed(LAST_RUN, pipeline, prelude="")
        lines = [line for line in told.splitlines() if line.startswith("RUN ")]
        assert lines, output + told
        return Run(output, exit_code, **json.loads(lines[-1].removeprefix("RUN ")))

    def step_log(self, step_id: str) -> str:
        """The log of a step, as the server gives it to the dashboard."""
        entries = self.server.get(f"steps/{step_id}/logs", source="step")
        return "\n".join(entry["message"] for entry in entries)

    def emulator_log(self, job: str) -> str:
        """The log of a job, as its container wrote it."""
        command = [
            sys.executable,
            "-m",
            "zenml_azureml.cli",
            "emulator",
            "logs",
            job,
            "--state",
            str(self.emulator.state),
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@contextmanager
def team(folder: Path, registry: str, index: PackageIndex, parent_image: str, docker_host: str) -> Iterator[Team]:
    """A team for the length of a `with`.

    Args:
        folder: An empty folder.
        registry: `HOST:PORT` of the container registry.
        index: Offers this package.
        parent_image: What images are built on.
        docker_host: The value of DOCKER_HOST.
    """
    options = instance.Options(runtime="docker", docker_network="host", proxy=True)
    emulator = daemon.start(folder / "emulator", options)
    (folder / "blobs").mkdir()
    client = environment_without_plugin(folder / "client")
    server_environment = environment_without_plugin(folder / "server-environment")
    variables = _azure_variables(emulator)
    try:
        with (
            blob_storage(folder / "blobs", _CONTAINER) as connection_string,
            zenml_server(folder / "server", server_environment.python, variables) as server,
        ):
            client.install_from("--index-url", index.url, "zenml-azureml<9")
            home = {"DOCKER_HOST": docker_host, "PARENT_IMAGE": parent_image}
            home["PATH"] = f"{client.python.parent}:{_DOCKER}:/usr/bin:/bin"
            project = Project(
                folder / "project",
                {**zenml_variables(folder), **variables, **server.client_variables(), **home},
                python=str(client.python),
            )
            shutil.copytree(PROJECT, project.folder)
            made = Team(project, server, emulator, client, index, registry)
            _register_stack(made, connection_string)
            yield made
    finally:
        daemon.stop(emulator.state)


def _azure_variables(emulator: instance.Running) -> Mapping[str, str]:
    """The way to the emulator, but no identity: only the service connector can sign in."""
    variables = shell_env.variables(emulator, emulator.ca_bundle, {})
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        del variables[name]
    return variables


def _register_stack(team: Team, connection_string: str) -> None:
    """The commands of the documentation, one after the other."""
    options = team.emulator.options
    identity = json.loads((team.emulator.state / "identity.json").read_text())
    team.zenml("init")
    team.zenml("secret", "create", "blobs", f"--connection_string={connection_string}")
    for command in (
        f"artifact-store register blobs --flavor=azure --path=az://{_CONTAINER} --authentication_secret=blobs",
        f"container-registry register acr --flavor=azure --uri={team.registry}",
        "image-builder register builder --flavor=local",
        "service-connector register principal --type azure --auth-method service-principal "
        f"--resource-type azure-generic --tenant_id={identity['tenant_id']} --client_id={identity['client_id']} "
        f"--client_secret={identity['client_secret']}",
        f"step-operator register azureml --flavor=azureml --subscription_id={options.subscription_id} "
        f"--resource_group={options.resource_group} --workspace_name={options.workspace_name}",
        "step-operator connect azureml --connector principal",
        "stack register azure -o default -a blobs -i builder -c acr -s azureml --set",
    ):
        team.zenml(*command.split())
