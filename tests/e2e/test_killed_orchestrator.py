"""`kill -9` of the process that waits: the next one finds the job by the step run id, and goes on."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.conftest import Project
from tests.e2e.killed import DYNAMIC, STATIC, ask, database, jobs_of, statuses
from tests.e2e.requests_of import requests_of
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.runtimes.process.job_folder import JobFolder

#: What a process that was started in the place of the killed one has to begin with, and its last words: it is killed
#: too, so that it does not end the job when it exits.
NEXT_PROCESS = """
import os, signal, time
from zenml.enums import ExecutionStatus

run = last_run()
step_run = run.steps["sleeper"]
operator = Client().active_stack.step_operator
{work}
status = operator.get_status(step_run)
while status not in (ExecutionStatus.RUNNING, ExecutionStatus.FAILED):
    time.sleep(0.1)
    status = operator.get_status(step_run)
print("STATUS", status, dict(step_run.run_metadata).get("azureml_job_name"), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

SUBMIT_AGAIN = """
from zenml.config.step_run_info import StepRunInfo

snapshot = Client().get_snapshot(run.snapshot.id)
info = StepRunInfo(
    step_run=step_run,
    config=step_run.config,
    spec=step_run.spec,
    pipeline=snapshot.pipeline_configuration,
    run_name=run.name,
    pipeline_step_name="sleeper",
    run_id=run.id,
    step_run_id=step_run.id,
    force_write_logs=lambda: None,
    snapshot=snapshot,
)
operator.submit(info, ["sleep", "3600"], {"ZENML_STORE_API_TOKEN": "another one by now"})
"""

SUBMIT_AGAIN_AND_SAY_WHAT_IS_WRONG = SUBMIT_AGAIN.replace(
    "operator.submit(",
    """
def submit(*arguments):
    try:
        operator.submit(*arguments)
    except Exception as error:
        print(error, flush=True)

submit(""",
)


def killed_while_submitting(project: Project, script: str, emulator: Emulator) -> Job:
    """A pipeline whose process is killed when Azure has made its job, and it has not learned of it."""
    Arm(emulator).call("POST", "/_emulator/faults", {"method": "PUT", "path": "/jobs/", "delay": 3600})
    client = project.start(script)
    (job,) = eventually(lambda: jobs_of(emulator), seconds=120)
    client.send_signal(signal.SIGKILL)
    client.communicate()
    with database(project) as connection:
        saved = connection.execute("SELECT count(*) FROM run_metadata WHERE key LIKE 'azureml_%'")
        assert saved.fetchone() == (0,)
    return job


def next_process(project: Project, work: str = "") -> str:
    """What the process that follows the killed one prints."""
    client = project.start(NEXT_PROCESS.replace("{work}", work))
    output, _ = client.communicate(timeout=120)
    assert client.returncode == -signal.SIGKILL, output
    return output


def test_the_next_process_finds_the_job_and_submits_no_other(simulated_project: Project, emulator: Emulator) -> None:
    emulator.context.settings.simulated_seconds = 3600
    job = killed_while_submitting(simulated_project, STATIC, emulator)

    looking = next_process(simulated_project)
    assert "STATUS running None" in looking  # nothing was saved: it is found by the step run id

    submitting = next_process(simulated_project, SUBMIT_AGAIN)
    assert f"Job `{job.name}` already exists; reusing it." in submitting
    assert f"STATUS running {job.name}" in submitting
    assert [job.status for job in jobs_of(emulator)] == ["Running"]
    puts = [request for request in requests_of(emulator) if request["method"] == "PUT" and "/jobs/" in request["path"]]
    assert len(puts) == 2


def test_a_job_of_the_same_name_that_is_another_steps_is_not_gone_on_with(
    simulated_project: Project, emulator: Emulator
) -> None:
    emulator.context.settings.simulated_seconds = 3600
    job = killed_while_submitting(simulated_project, STATIC, emulator)
    job.properties["tags"]["zenml_step_run_id"] = "another"

    output = next_process(simulated_project, SUBMIT_AGAIN_AND_SAY_WHAT_IS_WRONG)

    assert f"has a job named `{job.name}` already, and its tag `zenml_step_run_id` shows that it" in output
    assert [job.status for job in jobs_of(emulator)] == ["Running"]


def test_a_dynamic_run_goes_on_where_it_was_when_its_process_is_started_again(
    simulated_project: Project, emulator: Emulator
) -> None:
    emulator.context.settings.simulated_seconds = 15
    job = killed_while_submitting(simulated_project, DYNAMIC, emulator)

    output = restarted(simulated_project)

    assert "Continuing existing run" in output
    assert "Restarting the monitoring of existing step `sleeper`" in output
    assert "[sleeper] simulated line 1 of 1" in output
    assert statuses(simulated_project) == "completed completed"
    assert {job.name: job.status for job in jobs_of(emulator)} == {job.name: "Completed"}


def restarted(project: Project) -> str:
    """What the process of the last run prints that is started again as Kubernetes starts a pod again."""
    ids = ask(project, "run = last_run(); print(run.snapshot.id, run.id)").split()[-2:]
    source = "zenml.pipelines.dynamic.entrypoint_configuration.DynamicPipelineEntrypointConfiguration"
    arguments = ["--entrypoint_config_source", source, "--snapshot_id", ids[0], "--run_id", ids[1]]
    pod = JobFolder(project.folder / "pod")
    pod.prepare(Path(project.python))  # the entrypoint writes to `/app`, which is the pod's and not this machine's
    done = subprocess.run(
        [project.python, "-m", "zenml.entrypoints.entrypoint", *arguments],
        env={
            **project.environment,
            "ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL": "0.5",
            "PYTHONPATH": str(pod.shim),
        },
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
