"""Pipelines off the main thread, and processes that fork: no job is lost there either."""

from __future__ import annotations

import signal

import pytest

from tests.contract.waiting import eventually
from tests.e2e.conftest import Project
from tests.e2e.killed import jobs_of, read_until
from tests.e2e.test_interrupt import rest_of
from zenml_azureml.emulator import Emulator

PIPELINES = """
import asyncio, logging, multiprocessing, os, sys, threading, time

sleeper = CommandStep(["sleep", "3600"], name="sleeper", step_operator="azureml")
quick = CommandStep(["true"], name="quick", step_operator="azureml", settings={
    "step_operator": AzureMLStepOperatorSettings(environment_variables={"SIMULATE_SECONDS": "1"})
})

@pipeline(enable_cache=False, settings=NO_BUILD)
def long():
    sleeper()

@pipeline(enable_cache=False, settings=NO_BUILD)
def short():
    quick()

@pipeline(dynamic=True, enable_cache=False, settings=NO_BUILD, depends_on=[sleeper])
def long_dynamic():
    sleeper.submit().wait()

def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    return thread
"""

ASYNCIO = f"""{PIPELINES}
async def main():
    await asyncio.to_thread(globals()[sys.argv[1]])

if __name__ == "__main__":
    asyncio.run(main())
"""

THREAD = f"""{PIPELINES}
if __name__ == "__main__":
    if "loaded" in sys.argv:
        Client().active_stack
    in_thread(globals()[sys.argv[1]]).join()
"""

WARNING = "The pipeline does not run in the main thread"


@pytest.fixture(autouse=True)
def _jobs_of_an_hour(emulator: Emulator) -> None:
    emulator.context.settings.simulated_seconds = 3600


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
@pytest.mark.parametrize("function", ["long", "long_dynamic"])
def test_a_signal_ends_the_job_of_a_pipeline_that_an_event_loop_runs_in_a_thread(
    function: str, number: signal.Signals, simulated_project: Project, emulator: Emulator
) -> None:
    client = simulated_project.start(ASYNCIO, function)
    before = read_until(client, "[sleeper] simulated line")

    client.send_signal(number)

    output = before + rest_of(client)
    (job,) = jobs_of(emulator)
    assert job.status == "Canceled"
    assert f"The Azure ML job `{job.name}` has ended: Canceled." in output
    assert WARNING not in output
    assert client.returncode != 0


@pytest.mark.parametrize("function", ["long", "long_dynamic"])
def test_a_ctrl_c_that_ends_the_main_thread_ends_the_job_of_another_thread(
    function: str, simulated_project: Project, emulator: Emulator
) -> None:
    client = simulated_project.start(THREAD, function)
    before = read_until(client, "[sleeper] simulated line")

    client.send_signal(signal.SIGINT)

    output = before + rest_of(client)
    (job,) = jobs_of(emulator)
    assert job.status == "Canceled", output
    assert output.count(WARNING) == 1
    assert client.returncode != 0


def test_off_the_main_thread_a_warning_says_how_to_stop_the_run(simulated_project: Project, emulator: Emulator) -> None:
    client = simulated_project.start(THREAD, "long")
    output = read_until(client, "[sleeper] simulated line")
    run = simulated_project.succeed("print(last_run().name)").split()[-1]

    assert output.count(f"  zenml pipeline runs stop {run} --graceful\n") == 1
    stopped = simulated_project.zenml("pipeline", "runs", "stop", run, "--graceful", "--yes")

    assert stopped.returncode == 0, stopped.stderr
    rest_of(client)
    (job,) = jobs_of(emulator)
    assert job.status == "Canceled"


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_a_signal_ends_the_job_of_another_thread_where_the_main_thread_has_loaded_the_stack(
    number: signal.Signals, simulated_project: Project, emulator: Emulator
) -> None:
    client = simulated_project.start(THREAD, "long", "loaded")
    before = read_until(client, "[sleeper] simulated line")

    client.send_signal(number)

    output = before + rest_of(client)
    (job,) = jobs_of(emulator)
    assert job.status == "Canceled", output
    assert WARNING not in output
    assert client.returncode != 0


FORKS = f"""{PIPELINES}
def run_short(_):
    run = short()  # and not the last run, which may be that of the other child
    return Client().get_pipeline_run(run.id).status.value

if __name__ == "__main__":
    Client().active_stack
    logged = threading.Event()
    logging.getLogger("zenml_azureml.lifecycle.azure_jobs").addFilter(
        lambda record: "simulated line" not in record.getMessage() or logged.set() or True
    )
    thread = in_thread(long)
    logged.wait()
    time.sleep(2)  # a child that is forked while another thread prints waits forever when it flushes (CPython)
    if sys.argv[1] == "pool":
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print("POOL", pool.map(run_short, range(2)), flush=True)
    else:
        child = os.fork()
        if child == 0:
            if sys.argv[1] == "runs":
                short()
            sys.exit(7)  # with all that is registered for the end of the parent
        print("CHILD", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    thread.join()
"""


@pytest.mark.parametrize(
    ("child", "printed", "statuses"),
    [
        ("pool", "POOL ['completed', 'completed']", ["Completed", "Completed", "Running"]),
        ("runs", "CHILD 7", ["Completed", "Running"]),
        ("only exits", "CHILD 7", ["Running"]),
    ],
)
def test_a_forked_child_runs_pipelines_and_leaves_the_jobs_of_its_parent_alone(
    child: str, printed: str, statuses: list[str], simulated_project: Project, emulator: Emulator
) -> None:
    parent = simulated_project.start(FORKS, child)

    read_until(parent, printed)

    eventually(lambda: sorted(job.status for job in jobs_of(emulator)) == statuses)
    parent.send_signal(signal.SIGTERM)
    output = rest_of(parent)
    assert sorted(job.status for job in jobs_of(emulator)) == ["Canceled", *statuses[:-1]], (parent.returncode, output)
