"""From a compute request to a target that can run a job: look up, wait, start, create.

Thread-safe: threads that ask for one compute take turns (see `azure/single_flight.py`).

Races between processes. Nothing keeps two of them from finding a compute missing at the same moment, and Azure ML's
PUT creates or changes without telling which. So nobody ever PUTs a compute that a GET has found, nobody whose PUT was
accepted PUTs again, and whoever's PUT is refused looks again and takes what has come into being meanwhile. What can
still go wrong:

- Two PUTs are accepted. The second one is then a change of the compute that the first one made (recorded: 201 for
  both). Steps that ask for the same leave it as it was. Steps that ask for different things under one name, within
  the same second, may change it: Azure ML has no PUT that only creates, and a lock would need a place that all
  processes share. Both then count as creators; `delete_compute` looks who uses it before it deletes.
- The answer to a PUT is lost, azure-core sends it again, and that one is refused because of the first. The compute
  then counts as somebody else's, and is not deleted afterwards: rather that than deleting what is not ours.
- The compute is deleted by somebody between our look and the submission of the job. Azure then refuses the job.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError

from zenml_azureml.azure.compute import errors as compute_errors
from zenml_azureml.azure.compute.drift import differences
from zenml_azureml.azure.compute.mapping import entity_of, found_compute
from zenml_azureml.azure.compute.reader import azure_account, find_compute, type_of
from zenml_azureml.azure.compute.state import Action, ComputeKind, FoundCompute, kind_in_words, next_action
from zenml_azureml.azure.connection import OPERATION_POLLING_SECONDS, WorkspaceConnection
from zenml_azureml.azure.errors import error_message, explain
from zenml_azureml.azure.failures.classifier import is_lack_of_capacity
from zenml_azureml.azure.single_flight import SingleFlight
from zenml_azureml.azure.waiter import Waiter
from zenml_azureml.exceptions import AzureMLError, NoCapacityError
from zenml_azureml.specs.compute import ComputeCluster, ComputeInstance, ComputeSpec, ExistingCompute, Serverless

logger = logging.getLogger(__name__)

#: Refusals of who asks, or how often, rather than of what is asked for.
_NOT_ABOUT_THE_COMPUTE = (401, 403, 429)


@dataclass(frozen=True)
class ComputeTarget:
    """Where a job can run.

    Attributes:
        name: Name of the compute; None for serverless compute.
        kind: What it is; None where it is not known.
        size: VM size, as Azure spells it; None where it is not known.
        created: Whether it was created by the very call that returned this.
        max_nodes: Nodes at the most; None where there is no such limit.
        created_on: When it was created, as Azure says it; None where that is not known.
        location: Region of its nodes; None where it is not known.
        low_priority: Whether they are low-priority ones.
    """

    name: str | None
    kind: ComputeKind | None
    size: str | None = None
    created: bool = False
    max_nodes: int | None = None
    created_on: str | None = None
    location: str | None = None
    low_priority: bool = False


#: Completes what is asked of a compute that has to be created.
Settle = Callable[[ComputeInstance | ComputeCluster], ComputeInstance | ComputeCluster]

#: Those who prepare a compute in this process, by workspace and name.
_TURNS: SingleFlight[ComputeTarget] = SingleFlight()


def ensure_compute(
    connection: WorkspaceConnection,
    request: ComputeSpec,
    *,
    settle: Settle | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> ComputeTarget:
    """Make sure that the compute that a step asks for is there and can run a job.

    Nothing that exists is changed; where it is not what the step asks for, a warning says so.

    Args:
        connection: The workspace.
        request: What the step asks for.
        settle: Has the last word on what is created, called only where something is.
        clock: Seconds since some fixed moment.
        sleep: Sleeps that many seconds between two looks.

    Returns:
        The target. One request where it exists and is ready; none for serverless compute.

    Raises:
        AzureMLError: If it is missing and not to be created, is of another kind, or cannot be had.
    """
    if isinstance(request, Serverless):
        return ComputeTarget(name=None, kind="serverless")

    def prepare() -> ComputeTarget:
        try:
            return _Preparation(connection, request, settle, clock, sleep).run()
        except AzureError as error:
            raise explain(f"preparing the compute `{request.name}`", error, connection.address) from error

    # Azure compares names without regard to case.
    key = (connection.address, request.name.lower())
    target, own = _TURNS.take(key, (connection, request), prepare)
    return target if own else replace(target, created=False)


class _Preparation:
    """One request, from the first look at its compute to a target."""

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
        self._patience = Waiter(self._label, "Look at it in Azure ML Studio, and run the step again.", clock, sleep)
        self._made: FoundCompute | None = None

    def run(self) -> ComputeTarget:
        """Go from state to state until a job can run there, or none ever will."""
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
        """Create the compute; where another process was first, take what it makes."""
        if isinstance(self._request, ExistingCompute):
            raise compute_errors.missing(self._request.name, self._address)
        if self._made is not None:
            raise compute_errors.vanished(self._label)
        if self._settle is not None:
            self._request = self._settle(self._request)
        entity = entity_of(self._request, self._location)
        logger.info("Creating the %s; this can take some minutes.", self._label)
        try:
            with self._connection.reading():
                poller = self._connection.client.compute.begin_create_or_update(entity)
                self._made = found_compute(self._patience.until_done(poller, "Creating"))
        except AzureError as error:
            return self._adopted(error)
        except BaseException:
            self._tell_how_to_undo("created", "delete")
            raise
        wanted = self._request.size
        if wanted is not None and (self._made.size or "").lower() != wanted.lower():
            raise compute_errors.other_size(wanted, self._made, self._address)
        logger.info("Azure has created the %s (%s).", self._label, self._made.size)
        return self._made

    @property
    def _location(self) -> str:
        """Region for a cluster that names none; not asked for where nobody needs it."""
        needed = isinstance(self._request, ComputeCluster) and self._request.location is None
        return self._connection.location if needed else ""

    def _adopted(self, error: AzureError) -> FoundCompute:
        """The compute that is there although creating it has failed.

        Whether the service refused because of what another process is creating cannot be told from the refusal
        alone, of which nobody has recorded the words. Where the answer was lost, the compute may be our own.
        """
        status = error.status_code if isinstance(error, HttpResponseError) else None
        if status in _NOT_ABOUT_THE_COMPUTE:
            raise explain(f"creating the {self._label}", error, self._address) from error
        found = self._look_again()
        if found is not None and next_action(found) is not Action.FAIL:
            logger.info("The %s is there already: another process has asked for it.", found.label)
            return found
        advice = compute_errors.after_failed_creation(self._label, error_message(error), found, self._address)
        # Where Azure has not answered, or has a fault of its own, what the error itself suggests is better.
        answered = status is not None and status < 500
        failure = explain(f"creating the {self._label}", error, self._address, hint=advice if answered else "")
        lacking = answered and is_lack_of_capacity(error_message(error))
        raise (NoCapacityError.of(failure) if lacking else failure) from error

    def _start(self, found: FoundCompute) -> FoundCompute:
        """Start a stopped instance; as it is afterwards."""
        logger.info("The %s is stopped: starting it; this can take some minutes.", found.label)
        try:
            self._patience.until_done(self._connection.client.compute.begin_start(found.name), "Starting")
        except ResourceExistsError:
            # 409: something is being done to it already (quoted: microsoft/vscode-tools-for-ai issue 2673).
            return replace(found, state="Starting")
        except AzureError as error:
            now = self._look_again()
            if now is None or next_action(now) in (Action.START, Action.FAIL):
                raise explain(f"starting the {found.label}", error, self._address) from error
            # Only a stopped instance can be started, and somebody else was first.
            return now
        except BaseException:
            self._tell_how_to_undo("started", "stop")
            raise
        return replace(found, state="Running")

    def _tell_how_to_undo(self, done: str, undo: str) -> None:
        """Say that what was interrupted goes on, and costs money."""
        command = compute_errors.az_compute(undo, self._request.name, self._address)
        logger.warning("The %s may go on being %s. If it is not wanted: %s", self._label, done, command)

    def _look_again(self) -> FoundCompute | None:
        """What there is after a failure; None if that cannot be told either."""
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
            logger.info("Using the existing %s (%s).", found.label, found.size)
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
