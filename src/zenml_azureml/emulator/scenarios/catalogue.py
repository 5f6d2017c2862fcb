"""The failures of jobs on Azure ML that are documented or reported in public.

A quote is a fact with its source. Everything else is a guess, and each scenario lists its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

#: Stage of a job's life at which a scenario applies.
Stage = Literal["queued", "preparing", "running"]

_TRACEBACK = 'Traceback (most recent call last):\n  File "train.py", line 12, in <module>\n    main()\n'


@dataclass(frozen=True)
class Scenario:
    """One way in which a job fails.

    Attributes:
        name: Name to arm it by.
        summary: Effect, as a sentence.
        sources: Public sources.
        stage: Stage of the job's life at that time.
        guess: Undocumented parts, which are made up here; empty if there are none.
        code: Code of the failure in run history; empty if the command's end causes the failure.
        message: Azure's message, with `{compute}`, `{image}`, `{container}`, `{family}`, `{nodes}` and `{vcpus}` to be
            filled in.
        component: Component of Azure ML that reports it.
        log: End of the job's log.
        exit_code: Exit code of the command.
        statuses: Statuses of the job between running and its end.
        ending: `failed`; `canceled`, as at the end of its `limits.timeout`; `restarted`, from the queue on; or
            `never`, until it is cancelled.
    """

    name: str
    summary: str
    sources: tuple[str, ...]
    stage: Stage
    guess: str = ""
    code: str = ""
    message: str = ""
    component: str = "CommonRuntime"
    log: str = ""
    exit_code: int | None = None
    statuses: tuple[str, ...] = ()
    ending: Literal["failed", "canceled", "restarted", "never"] = "failed"

    @property
    def needs_compute(self) -> bool:
        """True if it affects only jobs that name a compute."""
        return "{compute}" in self.message

    @property
    def needs_timeout(self) -> bool:
        """True if it affects only jobs with a time limit."""
        return self.ending == "canceled"

    def as_json(self) -> dict[str, Any]:
        """Return the scenario for `GET /_emulator/scenarios`."""
        return {
            "name": self.name,
            "summary": self.summary,
            "stage": self.stage,
            "sources": list(self.sources),
            "guess": self.guess,
        }


_ALL = (
    Scenario(
        name="image-pull-refused",
        summary="The registry does not let the compute pull the image.",
        sources=("Azure/azureml-examples#3463", "Azure/MachineLearningNotebooks#1733"),
        stage="preparing",
        code="UserError",
        message=(
            "Failed to pull Docker image {image}. This error may occur because the compute could not authenticate "
            "with the Docker registry to pull the image. If using ACR please ensure the ACR has Admin user enabled "
            "or a Managed Identity with `AcrPull` access to the ACR is assigned to the compute. If the ACR Admin "
            "user's password was changed recently it may be necessary to synchronize the workspace keys."
        ),
    ),
    Scenario(
        name="image-architecture",
        summary="The image was built for another architecture than the compute's.",
        sources=("getindata/kedro-azureml#87", "Azure/azure-sdk-for-python#34501", "getindata/kedro-azureml#6"),
        stage="preparing",
        guess="That its code is ServiceError, as in the older message of getindata/kedro-azureml#6.",
        code="ServiceError",
        message=(
            "Failed to execute command group with error Container `{container}-execution-wrapper` failed with status "
            "code `1` and it was not possible to extract the structured error Container "
            "`{container}-execution-wrapper` exited with code 1 due to error None and we couldn't read the error due "
            'to GetErrorFromContainerFailed {{ last_stderr: Some("exec /mnt/azureml/cr/j/{container}/cap/lifecycler/wd/'
            'execution-wrapper: no such file or directory\\n") }}.'
        ),
        component="globaljobdispatcher",
    ),
    Scenario(
        name="no-such-compute",
        summary="The compute is deleted while the job waits for it.",
        sources=("Azure/MachineLearningNotebooks#906",),
        stage="queued",
        code="UserError",
        message="AzureMLCompute cluster {compute} does not exist",
    ),
    Scenario(
        name="compute-failed",
        summary="The cluster is in a failed state.",
        sources=("Azure/MachineLearningNotebooks#1043", "Azure/MachineLearningNotebooks#642"),
        stage="queued",
        code="UserError",
        message="AzureMLCompute cluster {compute} is in failed state and thus not ready for runs",
    ),
    Scenario(
        name="quota",
        summary="The subscription's quota is too small for the job's nodes.",
        sources=("MicrosoftLearning/mslearn-dp100#35",),
        stage="queued",
        guess="That a quota is 0, and that serverless compute says it in the same words.",
        code="UserError",
        message=(
            "Job submission to AzureML Compute encountered an Exception with status code "
            "JobNodeCountExceedsCoreQuota, The specified subscription has a {family} family vCPU quota of 0 and is "
            "less than the requested job node count of {nodes} which maps to {vcpus} vCPUs. Talk to your Subscription "
            "Admin or refer to https://docs.microsoft.com/azure/machine-learning/how-to-manage-quotas"
            "#request-quota-increases to increase the {family} family vCPU quota"
        ),
    ),
    Scenario(
        name="no-capacity",
        summary="Azure has no free machines of the size, and gives up looking for them.",
        sources=("Azure/doAzureParallel#349 (Azure Batch's message; Azure ML's clusters are Batch's pools)",),
        stage="queued",
        guess="That Azure ML passes the message of Batch on, and that its code is UserError.",
        code="UserError",
        message=(
            "AzureMLCompute job failed.\nAllocationFailed: Desired number of dedicated nodes could not be allocated"
        ),
    ),
    Scenario(
        name="never-started",
        summary="No node becomes free: the job stays queued until it is cancelled.",
        sources=("dotnet/machinelearning-modelbuilder#546", "Azure/azure-sdk-for-python#30340"),
        stage="queued",
        ending="never",
    ),
    Scenario(
        name="out-of-memory",
        summary="The node's memory is used up, and the kernel kills the command.",
        sources=("Azure/azureml-examples#2614 (the form of the message)",),
        stage="running",
        guess="The exit code 137 (128 + SIGKILL, as shells and Docker report it), and the shell's message in the log.",
        log="Killed\n",
        exit_code=137,
    ),
    Scenario(
        name="disk-full",
        summary="The node's disk is full, and the command fails at writing.",
        sources=("Azure/azure-sdk-for-python#28946", "Azure/azureml-examples#2614 (the form of the message)"),
        stage="running",
        guess="That the program dies of Python's own error, and not the node before it.",
        log=f"{_TRACEBACK}OSError: [Errno 28] No space left on device: 'outputs/model.bin'\n",
        exit_code=1,
    ),
    Scenario(
        name="preempted",
        summary="Azure preempts the low-priority node, and the job fails.",
        sources=("Azure/MachineLearningNotebooks#1242", "microsoft/MLOpsPython#346"),
        stage="running",
        code="UserError",
        message=(
            "AzureMLCompute job failed.\nPreemptionError: Nodes of this job got pre-empted. Check if the run has "
            "failed or restarted.\n\tReason: Received pre-emption warning signal"
        ),
    ),
    Scenario(
        name="preempted-restarted",
        summary="Azure preempts the low-priority node, and restarts the job from its beginning.",
        sources=(
            "Microsoft's documentation of clusters: a preempted job is restarted, not resumed "
            "(MicrosoftDocs/azure-docs, how-to-create-attach-compute-cluster.md)",
            "microsoft/hi-ml#705 (the folders of the logs of further attempts)",
        ),
        stage="running",
        guess="That the job is Queued in between.",
        ending="restarted",
    ),
    Scenario(
        name="node-failure",
        summary="The node stops answering and does not come back.",
        sources=(
            "Microsoft's description of the job statuses: NotResponding is a run without heartbeat",
            "MicrosoftDocs/azure-docs#85756 (the message, there of a compute instance)",
        ),
        stage="running",
        guess="That a job has the message of a compute instance, and that its code is ServiceError.",
        code="ServiceError",
        message="AzureMLCompute job failed.\nThe specified Azure ML Compute encountered an unusable node.",
        statuses=("NotResponding",),
    ),
    Scenario(
        name="timeout",
        summary="The job has run for its whole `limits.timeout`, and Azure ends it; its start time is "
        "moved back accordingly.",
        sources=("Microsoft's description of `limits.timeout`: after which the job will be cancelled",),
        stage="running",
        ending="canceled",
    ),
    Scenario(
        name="user-error",
        summary="The command ends with a Python exception.",
        sources=("Azure/azureml-examples#2614", "MicrosoftDocs/azure-docs#105903"),
        stage="running",
        log=f"{_TRACEBACK}ValueError: could not convert string to float: 'n/a'\n",
        exit_code=1,
    ),
    Scenario(
        name="exit-code",
        summary="The command ends with exit code 3 and without a message.",
        sources=("Azure/azureml-examples#2614",),
        stage="running",
        exit_code=3,
    ),
    Scenario(
        name="early-exit",
        summary="The command ends early with exit code 0, which Azure ML reports as success.",
        sources=("Microsoft's description of the job statuses: Completed",),
        stage="running",
        exit_code=0,
    ),
)

#: By name, in the order of a job's life.
SCENARIOS = {scenario.name: scenario for scenario in _ALL}
