"""Checks that need nothing but Python. One file: the client sends its text to images without this package.

Each process of the job runs it: the first one of each node looks at its GPUs, the first one of all does the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPSHandler, Request, build_opener

MARK = "zenml-azureml check:"
CHECKS = "ZENML_AZUREML_JOB_CHECKS"
CANARY = "ZENML_AZUREML_CHECK_SECRET"
VAULT_SECRET = "ZENML_AZUREML_JOB_VAULT_SECRET"  # noqa: S105 - its name
OK, FAILED, SKIPPED = "ok", "failed", "skipped"

SECONDS, PORT = 20.0, 6105  # the port of the first node, if Azure ML names none

_TORCH = "import torch; print(torch.cuda.device_count(), torch.__version__)"
#: Addresses of the first node. Sources: Microsoft's guide to distributed training, and public training scripts.
_FIRST_NODE = ("MASTER_ADDR", "AZ_BATCHAI_JOB_MASTER_NODE_IP", "AZ_BATCHAI_MPI_MASTER_NODE")

Json = Mapping[str, Any]


class Result(NamedTuple):
    """Result of a check, as a sentence or a phrase, and with numbers that the client judges."""

    result: str
    found: str
    facts: Json = MappingProxyType({})


class Place(NamedTuple):
    """The node of this process, the number of nodes, and true if it is the first process of its node, and of all."""

    node: int
    nodes: int
    leads_node: bool
    is_first: bool


def request() -> Any:
    """Return the request of the client, a JSON object."""
    return json.loads(os.environ.get(CHECKS) or "{}")


def place(environment: Mapping[str, str], count: int) -> Place:
    """Return the place of this process in a job with so many nodes."""
    node = int(environment.get("AZUREML_CR_NODE_RANK") or environment.get("NODE_RANK") or 0)
    if environment.get("TF_CONFIG"):
        config = json.loads(environment["TF_CONFIG"])
        task, chief = (
            config["task"],
            next((role for role in ("chief", "master") if role in config["cluster"]), "worker"),
        )
        return Place(node, count, task["type"] != "ps", (task["type"], int(task["index"])) == (chief, 0))
    rank = environment.get("RANK") or environment.get("OMPI_COMM_WORLD_RANK") or environment.get("PMI_RANK")
    local = environment.get("LOCAL_RANK") or environment.get("OMPI_COMM_WORLD_LOCAL_RANK") or "0"
    return Place(node, count, local == "0", int(rank) == 0 if rank else node == 0)


def clean(text: str) -> str:
    """Return a text in one line, without the values of the job's secrets."""
    for name in request().get("secrets", ()):
        value = os.environ.get(name, "")
        if len(value) > 5:
            text = text.replace(value, "REDACTED")
    return " ".join(text.split())[:500]


def report(check: str, result: Result) -> None:
    """Write the result of a check to the log."""
    line = {**result.facts, "check": check, "result": result.result, "found": clean(result.found)}
    print(f"{MARK} {json.dumps(line)}", flush=True)  # noqa: T201 - the job's log


def run(check: str, work: Callable[[], Result]) -> None:
    """Run a check, and report its result; an exception is a failure."""
    try:
        report(check, work())
    except Exception as error:  # noqa: BLE001 - all other checks run nevertheless
        report(check, Result(FAILED, words(error)))


def words(error: BaseException) -> str:
    """Return an error as a sentence."""
    return (str(getattr(error, "reason", "") or error) or type(error).__name__).rstrip(".") + "."


def secrets() -> Result:
    """Check that each secret is in the environment, and that the one of a known digest has not changed."""
    wanted = request()
    if os.environ.get(VAULT_SECRET):
        return Result(SKIPPED, "They are in a key vault, which this job has not read.")
    missing = [name for name in wanted.get("secrets", ()) if name not in os.environ]
    if missing:
        return Result(FAILED, f"Missing in the environment: {', '.join(missing)}.")
    if hashlib.sha256(os.environ.get(CANARY, "").encode()).hexdigest() != wanted.get("digest"):
        return Result(FAILED, "A secret has arrived with another value than was sent.")
    return Result(OK, f"{len(wanted['secrets'])} of {len(wanted['secrets'])} have arrived")


def server() -> Result:
    """Check that the ZenML server, or its database, can be reached."""
    url = os.environ.get("ZENML_STORE_URL", "")
    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.hostname}"
    if parts.scheme in ("http", "https"):
        _get(url.rstrip("/") + "/health")
        return Result(OK, f"{shown} answers")
    if parts.scheme == "sqlite":
        path = parts.path[1:] if parts.path.startswith("//") else parts.path
        if os.access(path, os.R_OK | os.W_OK):
            return Result(OK, "The database is a file that the job can use")
        return Result(FAILED, f"ZenML uses a database file, {path}, which the job cannot use.")
    if parts.hostname is None:
        return Result(SKIPPED, "The job's definition names no ZenML server.")
    socket.create_connection((parts.hostname, parts.port or 3306), SECONDS).close()
    return Result(OK, f"The database {shown} answers")


def _get(url: str) -> None:
    tls = ssl.create_default_context()
    if os.environ.get("REQUESTS_CA_BUNDLE"):
        tls.load_verify_locations(os.environ["REQUESTS_CA_BUNDLE"])
    if os.environ.get("ZENML_STORE_VERIFY_SSL", "").lower() in ("false", "0", "no", "off"):
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    try:
        with build_opener(HTTPSHandler(context=tls)).open(Request(url), timeout=SECONDS):  # noqa: S310
            return
    except HTTPError as error:
        raise OSError(f"{url} answers with status {error.code}") from None
    except OSError as error:
        raise OSError(f"{url} does not answer: {words(error)}") from None


def gpus(node: int) -> Result:
    """Return the numbers of GPUs that the driver and torch see; the client knows how many there should be."""
    count, problem = _driver()
    facts: dict[str, Any] = {"node": node, "driver": count, "problem": clean(problem)}
    found = f"The driver shows {count}"
    done = _output([sys.executable, "-c", _TORCH], 180)
    if done.returncode == 0 and len(done.stdout.split()) >= 2:
        number, version = done.stdout.split()[-2:]
        facts.update(torch=int(number), version=version)
        found += f", torch {version} shows {number}"
    elif "No module named 'torch'" not in done.stderr:
        facts["torch_problem"] = clean((done.stderr.strip() or "no output").splitlines()[-1])
    return Result(OK, found, facts)


def _driver() -> tuple[int, str]:
    if shutil.which("nvidia-smi"):
        done = _output(["nvidia-smi", "-L"], 60)
        count = sum(line.startswith("GPU ") for line in done.stdout.splitlines())
        return count, "" if count else f"nvidia-smi: {done.stderr.strip() or done.stdout.strip()}"
    names = [path.name for path in Path("/dev").iterdir()]
    nvidia = sum(name.startswith("nvidia") and name[6:].isdigit() for name in names)
    # Guess: on sizes with AMD GPUs, ROCm's device and one render node for each GPU.
    amd = len(list(Path("/dev/dri").glob("renderD*"))) if "kfd" in names else 0
    return nvidia or amd, "" if nvidia or amd else "The container has neither nvidia-smi nor devices of GPUs"


def _output(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def checkpoints() -> Result:
    """Check that a file in the checkpoint folder can be written, read and deleted."""
    if not request().get("checkpoints"):
        return Result(SKIPPED, "")
    given = [value for name, value in os.environ.items() if name.lower() == "azure_ml_output_checkpoints" and value]
    if not given:
        return Result(FAILED, "The folder is not mounted: Azure ML has set no AZURE_ML_OUTPUT_checkpoints.")
    path = Path(given[0], f".check-{os.environ.get('AZUREML_RUN_ID', 'job')}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
        same = path.read_text() == path.name
        path.unlink()
    except OSError as error:
        return Result(FAILED, f"The folder {given[0]} cannot be used: {error.strerror or error}.")
    if not same:
        return Result(FAILED, f"{path} has other content than was written.")
    return Result(OK, f"{given[0]} can be written and read")


def meeting_point(environment: Mapping[str, str]) -> tuple[str, int]:
    """Return the host and port at which the first node waits for the others."""
    if environment.get("TF_CONFIG"):
        cluster = json.loads(environment["TF_CONFIG"])["cluster"]
        host, _, port = (cluster.get("chief") or cluster.get("master") or cluster["worker"])[0].rpartition(":")
        return host, int(port)
    both = environment.get("AZ_BATCH_MASTER_NODE", "")
    host = next((environment[name] for name in _FIRST_NODE if environment.get(name)), both.partition(":")[0])
    return host, int(environment.get("MASTER_PORT") or both.partition(":")[2] or PORT)


class Meeting:
    """On the first node: the greetings of the other nodes, which a thread receives."""

    def __init__(self, nodes: int, port: int, seconds: float) -> None:
        self.missing, self.problem, self._until = set(range(1, nodes)), "", time.monotonic() + seconds
        self.thread = threading.Thread(target=self._listen, args=[port], daemon=True)
        self.thread.start()

    def _listen(self, port: int) -> None:
        try:
            with socket.create_server(("", port), backlog=128) as listener:
                while self.missing and (left := self._until - time.monotonic()) > 0:
                    listener.settimeout(left)
                    self._receive(listener)
        except OSError as error:
            self.problem = f"The first node cannot listen at port {port}: {error.strerror}."

    def _receive(self, listener: socket.socket) -> None:
        try:
            with listener.accept()[0] as visitor:
                visitor.settimeout(SECONDS)
                name, _, node = visitor.makefile("r").readline().strip().rpartition(" ")
                if name == os.environ.get("AZUREML_RUN_ID", "") and node.isdigit():
                    visitor.sendall(b"welcome\n")
                    self.missing.discard(int(node))
        except (OSError, ValueError):
            return  # no time left, or a visitor of another kind


def greet(node: int, host: str, port: int, seconds: float) -> str:
    """Greet the first node until it answers; return the last problem, empty if there is none."""
    until, problem = time.monotonic() + seconds, "no try"
    while time.monotonic() < until:
        try:
            with socket.create_connection((host, port), 5) as first:
                first.sendall(f"{os.environ.get('AZUREML_RUN_ID', '')} {node}\n".encode())
                if first.makefile("r").readline() == "welcome\n":
                    return ""
                problem = "it does not answer as the first node does"
        except OSError as error:
            problem = words(error).rstrip(".")
        time.sleep(0.5)
    return f"Node {node} does not reach the first node at {host}:{port}: {problem}."


def nodes(here: Place, meeting: Meeting | None) -> Result:
    """Return the result for the other nodes, when they have come or the time is over."""
    if meeting is None:
        return Result(SKIPPED, "")
    meeting.thread.join()
    names = ", ".join(map(str, sorted(meeting.missing)))
    if names:
        return Result(FAILED, meeting.problem or f"Of {here.nodes} nodes, these did not connect to the first: {names}.")
    return Result(OK, f"All {here.nodes} nodes reach the first one")


def main(first: Mapping[str, Callable[[], Result]], by: str = "") -> None:
    """Run the checks that this process is for; `first` on the first one, `by` names the package that runs them."""
    wanted = request()
    here, seconds = place(os.environ, int(wanted.get("nodes", 1))), float(wanted.get("wait", 180))
    if here.is_first:
        python = f"Python {platform.python_version()}"
        found = f"It starts on {platform.machine()}, with {python}{by}"
        report("image", Result(OK, found, {"python": python, "package": by}))
        meeting = Meeting(here.nodes, meeting_point(os.environ)[1], seconds) if here.nodes > 1 else None
        for check, work in first.items():
            run(check, work)
        run("checkpoint folder", checkpoints)
        run("GPUs", lambda: gpus(here.node))
        run("other nodes", lambda: nodes(here, meeting))
    elif here.leads_node and here.node != 0:
        problem = greet(here.node, *meeting_point(os.environ), seconds)
        if problem:
            report("other nodes", Result(FAILED, problem))
        run("GPUs", lambda: gpus(here.node))
    sys.stdout.flush()
    os._exit(0)  # a thread may hang


if __name__ == "__main__":
    main({"secrets": secrets, "ZenML server": server})
