"""Provisions a compute, from its spec to a target that can run a job: finds, waits, starts, creates.

Thread-safe: threads that request one compute take turns (see `azure/single_flight.py`).

Races between processes. Two processes can find a compute missing at the same moment, and Azure ML's PUT creates or
changes a compute without reporting which. So no process sends a PUT for a compute that a GET has found, or a second
PUT after one was accepted. If a PUT is refused, the process reads the compute again and uses what exists by then. These
cases remain:

- Two PUTs are accepted. The second one then changes the compute that the first one created (recorded: 201 for both).
  Equal specs leave it unchanged. Different specs under one name, within the same second, may change it: Azure ML has no
  PUT that only creates, and a lock would need storage that all processes share. Both processes then count as creators;
  `delete_compute` checks for running jobs before it deletes.
- The answer to a PUT is lost, azure-core sends it again, and that one is refused because of the first. The compute
  then does not count as ours, and is not deleted afterwards, because it may belong to another process.
- The compute is deleted between our GET and the submission of the job. Azure then refuses the job.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError

from zenml_azureml.azure.cli_hints import az_ml
from zenml_azureml.azure.compute import errors as compute_errors
from zenml_azureml.azure.compute.drift import differences
from zenml_azureml.azure.compute.mapping import entity_of, found_compute
from zenml_azureml.azure.compute.reader import azure_account, find_compute, type_of
from zenml_azureml.azure.compute.state import Action, ComputeKind, FoundCompute, kind_in_words, next_action
from zenml_azureml.azure.connection import OPERATION_POLLING_SECONDS, WorkspaceConnection
from zenml_azureml.azure.errors import error_message, to_azureml_error
from zenml_azureml.azure.failures.classifier import is_lack_of_capacity
from zenml_azureml.azure.refusals.recognition import refusal_of
from zenml_azureml.azure.single_flight import SingleFlight
from zenml_azureml.azure.waiter import Waiter
from zenml_azureml.exceptions import AzureMLError, NoCapacityError
from zenml_azureml.specs.compute import ComputeCluster, ComputeInstance, ComputeSpec, ExistingCompute, Serverless
from zenml_azureml.specs.limits import is_new_compute_name

logger = logging.getLogger(__name__)

#: Refusals because of the credential or the number of requests, not because of the compute.
_NOT_ABOUT_THE_COMPUTE = (401, 403, 429)


@dataclass(frozen=True)
class ComputeTarget:
    """A compute that can run a job.

    Attributes:
        name: Name of the compute; None for serverless compute.
        kind: Its kind; None if unknown.
        size: VM size, as Azure spells it; None if unknown.
        created: True if the call that returned this has created it.
        max_nodes: Largest number of nodes; None if there is no such limit.
        created_on: Time of its creation, as Azure reports it; None if unknown.
        location: Region of its nodes; None if unknown.
        low_priority: True if its nodes are low-priority ones.
    """

    name: str | None
    kind: ComputeKind | None
    size: str | None = None
    created: bool = False
    max_nodes: int | None = None
    created_on: str | None = None
    location: str | None = None
    low_priority: bool = False


#: Completes the spec of a compute that has to be created.
Settle = Callable[[ComputeInstance | ComputeCluster], ComputeInstance | ComputeCluster]

#: Preparations of computes in this process, by workspace and name.
_TURNS: SingleFlight[ComputeTarget] = SingleFlight()
os.register_at_fork(after_in_child=_TURNS.renew)


def ensure_compute(
    connection: WorkspaceConnection,
    request: ComputeSpec,
    *,
    settle: Settle | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> ComputeTarget:
    """Make sure that the requested compute exists and can run a job.

    An existing compute is never changed; a warning reports each difference from the spec.

    Args:
        connection: The workspace.
        request: The spec of the compute.
        settle: Completes the spec; called only if the compute is created.
        clock: Seconds since some fixed moment.
        sleep: Sleeps that many seconds between two polls.

    Returns:
        The target. One request if it exists and is ready; none for serverless compute.

    Raises:
        AzureMLError: If it is missing and not to be created, is of another kind, or cannot run jobs.
    """
    if isinstance(request, Serverless):
        return ComputeTarget(name=None, kind="serverless")

    def prepare() -> ComputeTarget:
        try:
            return _Preparation(connection, request, settle, clock, sleep).run()
        except AzureError as error:
            raise to_azureml_error(f"prepare the compute `{request.name}`", error, connection.address) from error

    # Azure compares names without regard to case.
    key = (connection.address, request.name.lower())
    target, own = _TURNS.take(key, (connection, request), prepare)
    return target if own else replace(target, created=False)


class _Preparation:
    """The preparation of one compute, from the first GET to a target."""

    def __init__(
        self,
        connection: WorkspaceConnection,
        request: ComputeInstance | ComputeCluster | ExistingCompute,
        settle: Settle | None,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._connection = connection
        self._address = connection.address
        self._request = request
        self._settle = settle
        self._label = f"{kind_in_words(compute_errors.wanted_kind(request))} `{request.name}`"
        self._patience = Waiter(self._label, "Check it in Azure ML Studio, and run the step again.", clock, sleep)
        self._made: FoundCompute | None = None

    def run(self) -> ComputeTarget:
        """Handle state after state until a job can run there, or none ever will."""
        found = self._find()
        while True:
            if found is None:
                found = self._create()
            action = next_action(found, start_if_stopped=self._may_start)
            if not found.is_being_deleted:
                self._check_kind(found)
            if action is Action.FAIL:
                raise self._unusable(found)
            if action is Action.USE:
                return self._target(found)
            if action is Action.START:
                found = self._start(found)
            else:
                self._patience.wait(OPERATION_POLLING_SECONDS, found.condition)
                found = self._find()

    @property
    def _may_start(self) -> bool:
        return isinstance(self._request, ComputeCluster) or self._request.start_if_stopped

    def _find(self) -> FoundCompute | None:
        return find_compute(self._connection, self._request.name)

    def _create(self) -> FoundCompute:
        """Create the compute; if another process was first, use its compute."""
        if isinstance(self._request, ExistingCompute):
            raise compute_errors.missing(self._request.name, self._address)
        if self._made is not None:
            raise compute_errors.vanished(self._label)
        if not is_new_compute_name(self._request.name):
            raise compute_errors.bad_name(self._request.name)
        if self._settle is not None:
            self._request = self._settle(self._request)
        entity = entity_of(self._request, self._location)
        logger.info("Creating the %s; this can take a few minutes", self._label)
        try:
            with self._connection.reading():
                poller = self._connection.client.compute.begin_create_or_update(entity)
                self._made = found_compute(self._patience.until_done(poller, "Creating"))
        except AzureError as error:
            return self._adopted(error)
        except BaseException:
            self._warn_that_it_continues("created", az_ml(self._address, "ml compute delete", name=self._request.name))
            raise
        wanted = self._request.size
        if wanted is not None and (self._made.size or "").lower() != wanted.lower():
            raise compute_errors.other_size(wanted, self._made, self._address)
        logger.info("Created the %s (%s)", self._label, self._made.size)
        return self._made

    @property
    def _location(self) -> str:
        """Region for a cluster whose spec has none; requested only if needed."""
        needed = isinstance(self._request, ComputeCluster) and self._request.location is None
        return self._connection.location if needed else ""

    def _adopted(self, error: AzureError) -> FoundCompute:
        """Return the compute that exists although creating it has failed.

        The refusal alone does not show whether another process is creating the compute: its text has not been
        recorded. If the answer was lost, the compute may be our own.
        """
        status = error.status_code if isinstance(error, HttpResponseError) else None
        if status in _NOT_ABOUT_THE_COMPUTE:
            raise to_azureml_error(f"create the {self._label}", error, self._address) from error
        found = self._look_again()
        if found is not None and next_action(found) is not Action.FAIL:
            logger.info("Using the %s, which another process has created", found.label)
            return found
        # If Azure has not answered, or has an internal fault, the hint for that error is better.
        answered = status is not None and status < 500
        left = compute_errors.left_behind(self._label, found, self._address)
        failure = to_azureml_error(
            f"create the {self._label}",
            error,
            self._address,
            hint=compute_errors.after_refused_creation(error_message(error)) if answered else "",
            then=left if answered else "",
        )
        lacking = answered and refusal_of(error) is None and is_lack_of_capacity(error_message(error))
        raise (failure.as_kind(NoCapacityError) if lacking else failure) from error

    def _start(self, found: FoundCompute) -> FoundCompute:
        """Start a stopped instance; return its state afterwards."""
        logger.info("Starting the stopped %s; this can take a few minutes", found.label)
        try:
            self._patience.until_done(self._connection.client.compute.begin_start(found.name), "Starting")
        except AzureError as error:
            refused = refusal_of(error)
            if refused is not None and not refused.refusal.may_pass:
                raise to_azureml_error(f"start the {found.label}", error, self._address) from error
            if refused is not None or isinstance(error, ResourceExistsError):
                # Another operation on it is in progress. A 409 without words means the same, see
                # https://github.com/microsoft/vscode-tools-for-ai/issues/2673 and /2681.
                return replace(found, state="Starting")
            now = self._look_again()
            if now is None or next_action(now) in (Action.START, Action.FAIL):
                raise to_azureml_error(f"start the {found.label}", error, self._address) from error
            # Only a stopped instance can be started, and another process was first.
            return now
        except BaseException:
            self._warn_that_it_continues("started", az_ml(self._address, "ml compute stop", name=self._request.name))
            raise
        return replace(found, state="Running")

    def _warn_that_it_continues(self, done: str, undo: str) -> None:
        """Warn that the interrupted operation continues, and costs money."""
        logger.warning("The %s may still be %s. To undo that: %s", self._label, done, undo)

    def _look_again(self) -> FoundCompute | None:
        """Return the compute after a failure; None if it does not exist or cannot be read."""
        try:
            return self._find()
        except AzureError:
            return None

    def _check_kind(self, found: FoundCompute) -> None:
        wanted = compute_errors.wanted_kind(self._request)
        if found.kind is not None and wanted in (None, found.kind):
            return
        azure_type = "" if found.kind else type_of(self._connection, found.name)
        if wanted is None:
            raise compute_errors.cannot_run_jobs(found, azure_type)
        raise compute_errors.wrong_kind(wanted, found, azure_type)

    def _unusable(self, found: FoundCompute) -> AzureMLError:
        stopped = found.condition == "Stopped"
        says = "" if stopped else azure_account(self._connection, found)
        return compute_errors.unusable(found, says, self._address)

    def _target(self, found: FoundCompute) -> ComputeTarget:
        assert found.kind is not None  # noqa: S101 - _check_kind made sure
        for difference in differences(self._request, found):
            logger.warning("%s", difference)
        if self._made is None:
            logger.info("Using the existing %s%s", found.label, f" ({found.size})" if found.size else "")
        return ComputeTarget(
            name=found.name,
            kind=found.kind,
            size=found.size,
            created=self._made is not None,
            max_nodes=1 if found.kind == "compute-instance" else found.max_instances,
            created_on=(self._made or found).created_on,
            location=found.location,
            low_priority=found.tier == "low_priority",
        )
