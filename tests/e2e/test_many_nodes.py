"""A step on several nodes and processes: each runs it, the first one reports, and a failure of any is the step's."""

from __future__ import annotations

import json
import re

import pytest

from tests.contract.waiting import eventually
from tests.e2e.conftest import Project
from zenml_azureml.emulator import Emulator

pytestmark = pytest.mark.long

#: Put before each pipeline: what it runs on.
TWO_NODES = """
import json, os, signal, socket, sys, threading, time
from datetime import timezone
from pathlib import Path

def nodes(processes):
    distribution = {"type": "pytorch", "process_count_per_instance": processes}
    return {"step_operator": AzureMLStepOperatorSettings(instance_count=2, distribution=distribution)}

def wait_for(rank, words):
    (logs,) = (folder / "user_logs" for folder in Path(os.environ["HOME"]).parents if (folder / "user_logs").is_dir())
    while words not in (logs / f"std_log_process_{rank}.txt").read_text():
        time.sleep(0.1)
"""

TRAINING = """
@step
def load() -> list[int]:
    return [1, 2, 3]

@step(step_operator="azureml", settings=nodes(2))
def train(numbers: list[int]) -> int:
    log_metadata({"trained": True})
    try:
        context = get_step_context().step_run.name
    except RuntimeError as error:
        context = str(error)
    names = ["MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "NODE_RANK", "RANK", "LOCAL_RANK"]
    print("SEEN", json.dumps({**{name: os.environ[name] for name in names}, "numbers": numbers,
        "folder": os.getcwd(), "home": os.environ["HOME"], "zenml": os.environ["ZENML_CONFIG_PATH"],
        "context": context}))
    if os.environ["RANK"] == "1":
        sys.exit(0)
    if os.environ["RANK"] == "0":
        wait_for(2, "The step has returned")
        print("LAST WORDS")
    if os.environ["RANK"] == "3":
        wait_for(0, "LAST WORDS")
        time.sleep(2)
        print("RETURNS", time.time())
    return sum(numbers) + int(os.environ["RANK"])

@step
def report(total: int) -> None:
    print("the total is", total)

@pipeline(enable_cache=False, settings=NO_BUILD)
def training():
    report(train(load()))

if __name__ == "__main__":
    training()
    step_run = last_run().steps["train"]
    print("TOLD", step_run.status, step_run.run_metadata["trained"], len(step_run.outputs), step_run.exception_info)
    print("ENDED", step_run.end_time.replace(tzinfo=timezone.utc).timestamp())
"""


def test_every_process_runs_the_step_and_the_first_one_reports(project: Project, jobs: Emulator) -> None:
    output = project.succeed(TWO_NODES + TRAINING)

    seen = {label: json.loads(told) for label, told in re.findall(r"\[(node \d rank \d)\] SEEN (.*)", output)}
    assert sorted(seen) == ["node 0 rank 0", "node 0 rank 1", "node 1 rank 2", "node 1 rank 3"]
    ranks = [seen[label] for label in sorted(seen)]
    told = [[rank[name] for name in ("RANK", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")] for rank in ranks]
    assert told == [["0", "0", "0", "4"], ["1", "0", "1", "4"], ["2", "1", "0", "4"], ["3", "1", "1", "4"]]
    assert len({(rank["MASTER_ADDR"], rank["MASTER_PORT"]) for rank in ranks}) == 1
    assert [rank["numbers"] for rank in ranks] == [[1, 2, 3]] * 4
    assert len({rank["home"] for rank in ranks}) == 2  # the processes of a node share it
    assert len({rank["folder"] for rank in ranks}) == 4  # but not where code is extracted to
    assert len({rank["zenml"] for rank in ranks}) == 4  # nor what ZenML writes
    assert ranks[0]["context"] == "train"
    assert ranks[3]["context"].startswith("`get_step_context` is not available here: this is rank 3 of 4, on node 1.")
    # Ranks that end early, by returning or exiting, do not end the step; rank 0 does, but not before the last one has.
    (returned,), (ended,) = re.findall(r"RETURNS ([\d.]+)", output), re.findall(r"ENDED ([\d.]+)", output)
    assert float(returned) < float(ended)
    assert "TOLD completed True 1 None" in output
    assert "the total is 6" in output  # what rank 0 returned
    (job,) = jobs.context.store.workspaces[0].jobs.values()
    assert job.status == "Completed"


FAILING = """
def lose(connection):
    time.sleep(0.5)
    connection.close()
    time.sleep(60)  # rank 0 reports its own failure and ends, and Azure ML then ends this one

@step(step_operator="azureml", settings=nodes(1))
def train() -> None:
    address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    if os.environ["RANK"] == "0":
        # As a collective operation does: it waits for the other one, and fails when that is gone.
        with socket.create_server(address) as server:
            if not server.accept()[0].recv(1):
                raise ConnectionError("the peer has closed the connection")
    while True:
        try:
            threading.Thread(target=lose, args=[socket.create_connection(address)]).start()
            raise ValueError("no such sample: 17")
        except ConnectionRefusedError:
            time.sleep(0.1)

@pipeline(enable_cache=False, settings=NO_BUILD)
def training():
    train()

@step(step_operator="azureml", settings=nodes(1))
def late(killed: bool) -> None:
    print("LAST WORDS")
    if os.environ["RANK"] == "1":
        wait_for(0, "LAST WORDS")
        time.sleep(2)
        if killed:
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("the last batch is empty")

@pipeline(enable_cache=False, settings=NO_BUILD)
def failing_late():
    late(killed=False)

@pipeline(enable_cache=False, settings=NO_BUILD)
def killed_late():
    late(killed=True)

@pipeline(enable_cache=False, settings=NO_BUILD)
def killed():
    command = 'if [ "$RANK" = 3 ]; then kill -9 $$; fi; sleep 600'
    CommandStep(["bash", "-c", command], name="command", step_operator="azureml", settings=nodes(2))()

if __name__ == "__main__":
    for run in (training, failing_late, killed_late, killed):
        try:
            run()
        except RuntimeError:
            for step_run in last_run().steps.values():
                print("TOLD", step_run.status, step_run.exception_info.message, "END")
"""


def test_the_rank_that_failed_first_is_named_with_its_own_traceback(project: Project) -> None:
    output = project.succeed(TWO_NODES + FAILING)

    _, _, raised = output.partition("Failed to run step `train`: ")
    told, of_late, of_killed_late, of_killed = re.findall(r"TOLD failed (.*?) END", output, re.DOTALL)
    what = "The Azure ML job of step `train` failed on node 1 rank 1: ValueError: no such sample: 17."
    assert raised.startswith(what)
    assert told.startswith(f"the peer has closed the connection\n{what}")  # rank 0's own report stays, and comes first
    for account in (raised, told):
        _, _, log = account.partition("Log of node 1 rank 1:\n")
        assert re.search(r"File .*script.py\", line \d+, in train\n.*\n +ValueError: no such sample: 17\n", log)
    assert re.search(r"^.*\[node 1 rank 1\] ValueError: no such sample: 17$", output, re.MULTILINE)
    # Where rank 0 has returned before, it has not told that the step has completed.
    assert (
        "The Azure ML job of step `late` failed on node 1 rank 1: its process ended with exit code 1: Value" in of_late
    )
    assert re.search(r"in late\n.*\n +ValueError: the last batch is empty", of_late)
    # A rank that was killed has said nothing itself.
    assert "The Azure ML job of step `late` failed on node 1 rank 1: it was killed (SIGKILL)" in of_killed_late
    assert of_killed.startswith("The Azure ML job of step `command` failed on node 1 rank 3: it was killed (SIGKILL)")


HELD = """
@step(step_operator="azureml", settings={"step_operator": AzureMLStepOperatorSettings(
    instance_count=2, distribution={"type": "pytorch", "process_count_per_instance": 1}, hold_on_failure_minutes=20)})
def same_mistake() -> None:
    raise ValueError("a shape does not fit")

@pipeline(enable_cache=False, settings=NO_BUILD)
def training():
    same_mistake()

if __name__ == "__main__":
    try:
        training()
    except RuntimeError:
        print("THE PIPELINE HAS ENDED")
"""


def test_a_mistake_on_all_ranks_is_held_open_by_all_of_them(project: Project, jobs: Emulator) -> None:
    output = project.succeed(TWO_NODES + HELD)

    (job,) = jobs.context.store.workspaces[0].jobs.values()
    assert f"The job `{job.name}` is held open until " in output
    assert "THE PIPELINE HAS ENDED" in output
    assert job.status == "Running"
    logs = list((jobs.context.folder / "jobs").rglob("std_log_process_*.txt"))
    assert eventually(lambda: sum("is held open until" in log.read_text() for log in logs) == 2, 60)
