"""The life of a job: Starting, Queued, Preparing, Running, Finalizing, and its end.

States and properties as recorded in job_list_mixed_states.json; how long each lasts is the emulator's
own (`Settings`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, TypeVar

from zenml_azureml.emulator.context import Context
from zenml_azureml.emulator.http.bounds import LONGEST_JOB_SECONDS, MOST_NODES
from zenml_azureml.emulator.jobs.data import JobData
from zenml_azureml.emulator.jobs.definition import compute_name, timeout_of
from zenml_azureml.emulator.jobs.exits import CanceledError, FailedError, RestartedError, end_job, end_visits, utc
from zenml_azureml.emulator.jobs.launch import build_launch, vm_size_of
from zenml_azureml.emulator.jobs.registration import register_outputs
from zenml_azureml.emulator.jobs.service_marks import show_running
from zenml_azureml.emulator.jobs.staging import finish, remove_inputs, stage
from zenml_azureml.emulator.jobs.variables import JobProxy
from zenml_azureml.emulator.local.private_files import in_words
from zenml_azureml.emulator.local.state_folder import folder_of_jobs
from zenml_azureml.emulator.resources import Compute, Job
from zenml_azureml.emulator.runtimes.base import JobEnd, RunningJob
from zenml_azureml.emulator.scenarios.catalogue import SCENARIOS
from zenml_azureml.emulator.scenarios.effects import interrupt_running, interrupt_waiting
from zenml_azureml.emulator.scenarios.rules import ScenarioRule
from zenml_azureml.emulator.services.aml import kubernetes, serverless
from zenml_azureml.emulator.state import Workspace

#: Seconds between two checks for a free node.
_QUEUE_INTERVAL = 0.2
#: So many jobs at the head of a queue look that often; those far behind up to so many times more rarely.
_OFTEN, _RARELY = 8, 10

_log = logging.getLogger(__name__)

T = TypeVar("T")


async def live(context: Context, workspace: Workspace, job: Job) -> None:
    """Take a job from its acceptance to its end.

    Cancelling this coroutine ends the job's command too.

    Args:
        context: The emulator.
        workspace: Its workspace.
        job: A new job.
    """
    name = compute_name(job.properties["computeId"])
    rule = context.scenarios.take(job)
    try:
        folder_of_jobs(context.folder, "jobs")
        job.folder.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                return await _live(context, workspace, job, name, rule)
            except RestartedError:
                job.status, job.attempt = "Queued", job.attempt + 1
                rule = None
            finally:
                _give_back(workspace, job, name)
    except CanceledError:
        end_job(job, context.clock.now(), "Canceled")
    except FailedError as failure:
        error = {"code": failure.code, "message": failure.message, "component": failure.component}
        end_job(job, context.clock.now(), "Failed", error)
    except OSError as error:
        words = in_words(error, context.folder)
        _log.warning("Job %s could not be run: %s", job.name, words)
        end_job(job, context.clock.now(), "Failed", {"code": "SystemError", "message": words})
    except ValueError as error:
        end_job(job, context.clock.now(), "Failed", {"code": "UserError", "message": f"The job cannot be run: {error}"})
    except Exception as error:  # noqa: BLE001 - a job that cannot be run is a failed job
        _log.exception("Job %s could not be run", job.name)
        end_job(
            job, context.clock.now(), "Failed", {"code": "SystemError", "message": f"{type(error).__name__}: {error}"}
        )


async def _live(
    context: Context, workspace: Workspace, job: Job, target: str | None, rule: ScenarioRule | None
) -> None:
    settings = context.settings
    await _unless_canceled(job, context.clock.sleep(settings.job_preparation / 2))
    await interrupt_waiting(context, workspace, job, rule, "queued")
    if target is not None:
        await _wait_for_nodes(context, workspace, job, target)
    job.status = "Preparing"
    if target is None:
        await _wait_for_serverless(context, workspace, job)
    else:
        await _unless_canceled(job, context.clock.sleep(settings.job_preparation / 2))
    await interrupt_waiting(context, workspace, job, rule, "preparing")
    data = await _unless_canceled(job, stage(context, workspace, job))
    try:
        await _run(context, workspace, job, data, rule)
    finally:
        await remove_inputs(data)


async def _run(context: Context, workspace: Workspace, job: Job, data: JobData, rule: ScenarioRule | None) -> None:
    proxy = JobProxy(context.proxy_url, context.cloud.login_hosts[0]) if context.proxy_url else None
    launch = build_launch(
        job, workspace, context.base_url, context.ca_bundle, data, proxy=proxy, cloud=context.cloud.name
    )
    running = await context.runtime.start(launch)
    job.running = running
    try:
        job.started_at = context.clock.now()
        job.status = "Running"
        show_running(workspace, job)
        job.properties["properties"]["StartTimeUtc"] = utc(job.started_at)
        end = await _until_end(context, workspace, job, running, rule)
    except BaseException:
        await running.terminate()
        raise
    finally:
        job.running = None
        await end_visits(job)
    job.status = "Finalizing"
    await context.clock.sleep(context.settings.job_finalization)
    if not end.succeeded:
        raise FailedError(end.error_code or "UserError", end.message or "")
    await finish(data)
    register_outputs(context, workspace, job, data)
    end_job(job, context.clock.now(), "Completed")


async def _until_end(
    context: Context, workspace: Workspace, job: Job, running: RunningJob, rule: ScenarioRule | None
) -> JobEnd:
    """Wait for the end of the command, or another end of the job: a cancel, its time limit, an armed scenario.

    Raises:
        CanceledError: If it is canceled, or its time is over.
        FailedError: If something other than its command makes it fail.
        RestartedError: If it restarts.
    """
    ended = asyncio.ensure_future(running.wait())
    stop = asyncio.ensure_future(job.cancel_requested.wait())
    strike: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    struck = asyncio.ensure_future(job.struck.wait())
    waiting: set[asyncio.Future[Any]] = {ended, stop, strike, struck}
    timeout = timeout_of(job.properties["limits"])
    if timeout is not None:
        waiting.add(asyncio.ensure_future(context.clock.sleep(min(timeout, LONGEST_JOB_SECONDS))))
    if rule is not None and rule.scenario.stage == "running":
        if rule.after:
            waiting.add(strike := asyncio.ensure_future(context.clock.sleep(rule.after)))
        else:
            strike.set_result(None)  # before a command that takes no time
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for other in waiting - {ended}:
            other.cancel()
    if job.struck_by is not None:
        rule, job.struck_by = job.struck_by, None
        job.struck.clear()
        await running.terminate()
        await ended
        return await interrupt_running(context, workspace, job, rule)
    if rule is not None and strike.done() and not strike.cancelled():
        await running.terminate()
        await ended
        return await interrupt_running(context, workspace, job, rule)
    if not ended.done():
        # After `limits.timeout` a job is canceled, according to Microsoft's description of the field.
        await running.terminate()
        await ended
        await context.clock.sleep(context.settings.job_finalization)
        raise CanceledError
    return ended.result()


async def _unless_canceled(job: Job, work: Awaitable[T]) -> T:
    """Return the result of `work`; raises `CanceledError` as soon as the job is to be canceled."""
    done = asyncio.ensure_future(work)
    stop = asyncio.ensure_future(job.cancel_requested.wait())
    try:
        await asyncio.wait({done, stop}, return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            raise CanceledError
        return done.result()
    finally:
        done.cancel()
        stop.cancel()


async def _wait_for_serverless(context: Context, workspace: Workspace, job: Job) -> None:
    """Let a serverless job be prepared and queued, in this order (recorded: job_get_cluster_preparing_2026.json).

    Raises:
        FailedError: If the quota can never hold it.
    """
    await _unless_canceled(job, context.clock.sleep(context.settings.job_preparation / 4))
    job.status = "Queued"
    refusal = serverless.refuse_quota(job.properties, vm_size_of(job, workspace))
    if refusal is not None:
        raise FailedError("UserError", refusal.message)
    await _unless_canceled(job, context.clock.sleep(context.settings.job_preparation / 4))


async def _wait_for_nodes(context: Context, workspace: Workspace, job: Job, target: str) -> None:
    """Wait in the compute's queue until it has room, then take the nodes."""
    while True:
        compute = workspace.find_compute(target)
        if compute is None:
            gone = SCENARIOS["no-such-compute"]
            raise FailedError(gone.code, gone.message.format(compute=target))
        _check_usable(compute, job)
        if job.name not in compute.queue:
            compute.queue.append(job.name)
        place = compute.queue.index(job.name)
        if place == 0 and _free_nodes(compute) >= _nodes(job):
            break
        if job.status != "Queued":
            job.status = "Queued"
        # Nodes that are given back wake the first in the queue; the rest is for computes that change.
        seconds = _QUEUE_INTERVAL * min(1 + place // _OFTEN, _RARELY)
        turn = compute.turns.setdefault(job.name, asyncio.Event())
        turn.clear()
        await _unless_canceled(job, _either(context.clock.sleep(seconds), turn.wait()))
    compute.queue.remove(job.name)
    compute.busy_nodes[job.name] = _nodes(job)
    _wake_first(compute)
    job.properties["properties"]["_azureml.ClusterName"] = compute.name


async def _either(*waits: Awaitable[object]) -> None:
    """Wait for the first of several."""
    tasks = [asyncio.ensure_future(one) for one in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _wake_first(compute: Compute) -> None:
    """Have the first job in the queue of a compute look for nodes now."""
    if compute.queue and compute.queue[0] in compute.turns:
        compute.turns[compute.queue[0]].set()


def _check_usable(compute: Compute, job: Job) -> None:
    """Fail a job that its compute can never run."""
    if compute.kind == "ComputeInstance" and compute.inner["state"] in {"Stopped", "Failed"}:
        # Guess: a job on a stopped instance was not recorded.
        raise FailedError(
            "UserError",
            f"Compute instance {compute.name} is not running: its state is "
            f"{compute.inner['state']}. Start it and submit the job again.",
        )
    instance_type = job.properties["resources"]["instanceType"]
    if compute.kind == "Kubernetes" and not kubernetes.has_instance_type(compute.inner, instance_type):
        raise FailedError("UserError", kubernetes.INVALID_INSTANCE_TYPE)
    if _nodes(job) > _all_nodes(compute):
        # Users quote the message of clusters in their troubleshooting guides. Guess: instances have the same.
        raise FailedError(
            "UserError",
            f"Requested {_nodes(job)} nodes but AzureMLCompute cluster only has {_all_nodes(compute)} maximum nodes.",
        )


def _free_nodes(compute: Compute) -> int:
    """Return the number of nodes that a job can have now; 0 while the compute is not ready."""
    if compute.provisioning_state != "Succeeded":
        return 0
    if compute.kind == "ComputeInstance" and compute.inner["state"] != "Running":
        return 0
    return _all_nodes(compute) - sum(compute.busy_nodes.values())


def _all_nodes(compute: Compute) -> int:
    if compute.kind == "ComputeInstance":
        return 1
    if compute.kind == "Kubernetes":
        return MOST_NODES  # Kubernetes itself queues what its nodes have no room for
    return int(compute.inner["scaleSettings"]["maxNodeCount"])


def _nodes(job: Job) -> int:
    return int(job.properties["resources"]["instanceCount"])


def _give_back(workspace: Workspace, job: Job, target: str | None) -> None:
    compute = workspace.find_compute(target) if target else None
    if compute is not None:
        compute.busy_nodes.pop(job.name, None)
        compute.turns.pop(job.name, None)
        if job.name in compute.queue:
            compute.queue.remove(job.name)
        _wake_first(compute)
