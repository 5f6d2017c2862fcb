"""Submits a job that checks itself, waits for it, and cleans up after it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING

from zenml_azureml.azure.jobs.status import JobPhase
from zenml_azureml.azure.retry import is_transient
from zenml_azureml.contract.checks import Report, report_in
from zenml_azureml.doctor.result import Finding, Problem
from zenml_azureml.doctor.run_job.request import LONGEST, run_tag
from zenml_azureml.doctor.run_job.verdicts import Expected, findings
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.canceller import CONFIRMATION, SUBMIT_LAG
from zenml_azureml.lifecycle.outcome import job_failure, overdue
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
from zenml_azureml.retry_loop import wait_until
from zenml_azureml.secrets.classification import secret_values
from zenml_azureml.secrets.known_values import masked, remember
from zenml_azureml.submission.exposure import refuse_public_secrets

if TYPE_CHECKING:
    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.azure.compute.estimate import Estimate
    from zenml_azureml.azure.compute.placement import Demands
    from zenml_azureml.azure.jobs.handle import JobHandle
    from zenml_azureml.azure.jobs.submitter import SubmittedJob
    from zenml_azureml.clock import Time
    from zenml_azureml.specs.compute import ComputeSpec
    from zenml_azureml.specs.job import JobSpec

logger = logging.getLogger(__name__)

_LOOK_AGAIN = timedelta(seconds=1)
_PATIENCE = timedelta(minutes=5)


@dataclass(frozen=True)
class Planned:
    """A job that is not submitted yet.

    Attributes:
        spec: The job.
        compute: The compute that it requests.
        demands: The requirements on its machines.
        estimate: Its likely placement.
        delete_compute_after: True if a compute that is created for it is deleted after it.
        queue_timeout: Time for which it may be queued; None for no limit.
    """

    spec: JobSpec
    compute: ComputeSpec
    demands: Demands
    estimate: Estimate
    delete_compute_after: bool = False
    queue_timeout: timedelta | None = None

    def announcement(self) -> str:
        """Return the sentences that name the job, its time and its price."""
        placement, minutes = self.estimate.placement, LONGEST // timedelta(minutes=1)
        usd = placement.usd_per_hour
        # Rounded up to whole cents: it is a limit.
        most = (
            f", so at most {ceil(100 * usd * (LONGEST / timedelta(hours=1))) / 100:.2f} USD" if usd is not None else ""
        )
        sentences = [
            f"This submits one job with the image `{self.spec.image}` to {placement.describe()}.",
            f"It runs for a few minutes, and Azure ML ends it after {minutes}{most}.",
        ]
        if placement.target.name is not None:
            sentences.append("Nodes may also cost while they start, and until they are released.")
        if self.estimate.creates:
            then = "deletes it afterwards" if self.delete_compute_after else "keeps it, as for a step"
            sentences.append(f"The compute does not exist yet: the job creates it, and `doctor` {then}.")
        return " ".join(sentences)


@dataclass
class Outcome:
    """What became of a job.

    Attributes:
        job: Its name.
        studio_url: Its page in Azure ML Studio.
        findings: The finding of each check.
    """

    job: str
    studio_url: str
    findings: list[Finding] = field(default_factory=list)


class CheckRun:
    """One job, from its submission to the end of everything that was made for it.

    Args:
        workspace: The workspace.
        planned: The job.
        time: Source of time.
        say: Shows a sentence about the progress.

    Attributes:
        busy: True while there may be a job. As a guard of the stop signals, it keeps SIGTERM from ending the process
            before the job is cancelled.
    """

    def __init__(self, workspace: Workspace, planned: Planned, time: Time, say: Callable[[str], None]) -> None:
        self._workspace = workspace
        self._planned = planned
        self._time = time
        self._say = say
        self._reports: list[Report] = []
        self.busy = False

    def run(self) -> Outcome:
        """Submit the job, wait for its end, and clean up.

        Raises:
            AzureMLError: If the job cannot be submitted or watched.
            RunInterruptedException: If a signal came whose own exception was lost.
        """
        spec = self._planned.spec
        remember(secret_values(spec))
        refuse_public_secrets(spec)
        self.busy = True
        try:
            submitted, job = self._submit_and_wait()
            return Outcome(spec.name, job.studio_url or submitted.studio_url, self._judge(job, submitted))
        finally:
            self._clean_up()
            self.busy = False

    def _submit_and_wait(self) -> tuple[SubmittedJob, JobHandle]:
        planned, submitted = self._planned, None
        check_signals = STOP_SIGNALS.checker()
        try:
            submitted = self._workspace.submit(
                planned.spec,
                planned.compute,
                planned.demands,
                delete_compute_after=planned.delete_compute_after,
                patience=_PATIENCE,
            )
            self._say(f"Submitted the job `{submitted.name}`: {submitted.studio_url}")
            job = self._watch(submitted.studio_url)
            while not job.wait(_LOOK_AGAIN):
                check_signals()
                late = overdue(job, planned.queue_timeout)
                if late is not None:
                    raise late
            if job.error is not None:
                raise job.error
            return submitted, job
        except BaseException as error:
            if submitted is not None:
                self._cancel()
            elif not isinstance(error, AzureMLError) or is_transient(error):  # the job may exist
                self._cancel(look_for=SUBMIT_LAG)
            raise

    def _watch(self, studio_url: str = "") -> JobHandle:
        from zenml_azureml.azure.jobs.watch import WatchOptions

        spec = self._planned.spec
        options = WatchOptions(
            tag=run_tag(spec),
            patience=_PATIENCE,
            on_line=self._take,
            on_progress=self._say,
            studio_url=studio_url,
            processes_per_node=spec.options.processes_per_node,
        )
        return self._workspace.watch(spec.name, options)

    def _take(self, line: str) -> None:
        report = report_in(line)
        if report is not None:
            self._reports.append(replace(report, found=masked(report.found)))

    def _cancel(self, look_for: timedelta = timedelta()) -> None:
        """Cancel the job, and wait for its end. A second signal, or an error, leaves the command that cancels it."""
        name = self._planned.spec.name
        until = self._time.monotonic() + look_for.total_seconds()
        try:
            self._say(f"Cancelling the job `{name}`.")
            cancel, time = self._workspace.cancel, self._time
            if not wait_until(lambda: cancel(name), bool, deadline=until, interval=1, time=time):
                return
            job = self._watch()
            job.wait(CONFIRMATION)
            if job.phase.ended:
                self._say(f"The job `{name}` has ended: {job.status}.")
            else:
                self._say(f"Its end is not confirmed. {self._workspace.how_to_cancel(name)}")
        except AzureMLError as error:
            self._say(str(error))
        except BaseException:
            self._say(self._workspace.how_to_cancel(name))
            raise

    def _clean_up(self) -> None:
        try:
            self._workspace.release(self._planned.spec.name)
        except AzureMLError as error:
            self._say(str(error))

    def _judge(self, job: JobHandle, submitted: SubmittedJob) -> list[Finding]:
        spec, estimate = self._planned.spec, self._planned.estimate
        distribution = spec.options.distribution
        expected = Expected(
            nodes=spec.options.instance_count or 1,
            gpus=estimate.gpus,
            size=submitted.placement.size,
            checkpoints=spec.options.checkpoints,
            by_vault=bool(submitted.vault_secret),
            vault_wanted=spec.options.secrets_via != "environment",
            ray=distribution is not None and distribution.type == "ray",
            failure=_failure(job, spec.name),
        )
        return list(findings(self._reports, expected))


def _failure(job: JobHandle, name: str) -> Problem | None:
    if job.phase is JobPhase.COMPLETED:
        return None
    if job.phase is JobPhase.CANCELED:
        limit = job.details.time_used_up if job.details else None
        if limit is None:
            return Problem(f"The job `{name}` was cancelled.", "Azure ML Studio shows which user cancelled it.")
    return Problem.of(job_failure(f"The job `{name}`", job, is_command=True))
