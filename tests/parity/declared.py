"""Differences from what was recorded, quoted or described that stay: all of them, each with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Declared:
    """The differences of one exchange that stay.

    Attributes:
        reason: The reason.
        differences: Patterns (`fnmatch`) of all differences.
    """

    reason: str
    differences: tuple[str, ...]

    def unexpected(self, found: Sequence[str]) -> list[str]:
        """Return the differences that no pattern covers, and the patterns that cover none."""
        surplus = [text for text in found if not any(fnmatchcase(text, pattern) for pattern in self.differences)]
        unused = [pattern for pattern in self.differences if not any(fnmatchcase(text, pattern) for text in found)]
        return [*surplus, *(f"there is no such difference any more: {pattern}" for pattern in unused)]


_GLOBAL_READS = "header x-ms-ratelimit-remaining-subscription-global-reads: absent recorded, not so here"

_NEXT_LINK = "a value recorded, absent here: .nextLink"
_GENERATED = "The example is generated: all recordings of jobs contradict it here."
_OF_EXAMPLES = (
    "properties.services.string.status is text recorded, null here",
    "properties.services.string.errorMessage is text recorded, null here",
    "properties.resources.properties.string.*",
    "properties.parameters.string",
    "systemData.lastModified*",
)

#: By the names of the exchanges.
DECLARED = {
    "history_batchGetResolvedUris": Declared(
        "The request names the recorded workspace by its id; that of an emulator has another id.",
        ("a value recorded, absent here: .values.azureml://locations/*",),
    ),
    "history_run_children_first": Declared(
        "The definition of the recorded pipeline is not recorded.", ("length: .value has 2 recorded, 0 here",)
    ),
    "job_put_sweep_2026": Declared("The emulator has no sweeps.", ("not emulated",)),
    "workspace_diagnose_post_202": Declared(
        "In 2022 the service sent neither azureml-served-by-cluster nor the remaining reads of all principals; the "
        "emulator sends both, as in the recordings of 2026.",
        ("header azureml-served-by-cluster: absent recorded, not so here", _GLOBAL_READS),
    ),
    "compute_op_inprogress_all_headers": Declared(
        "In 2022 the service did not send the remaining reads of all principals.", (_GLOBAL_READS,)
    ),
    "job_get_instance_2025": Declared(
        "A job of no time on an instance has neither the service's own tag nor these files in 2025; a job of a minute "
        "has them in 2024 (jobs_list_2024), as the emulator's have.",
        (
            "absent recorded, a value here: .properties.tags._aml_system_ComputeTargetStatus",
            "absent recorded, a value here: .properties.properties.ProcessInfoFile",
            "absent recorded, a value here: .properties.properties.ProcessStatusFile",
        ),
    ),
    "job_get_completed_ray": Declared(
        "In 2023 the service did not send these times; in a recording of 2026 it does, at a version of the same time.",
        (
            "absent recorded, a value here: .properties.properties.StartTimeUtc",
            "absent recorded, a value here: .properties.properties.EndTimeUtc",
        ),
    ),
    "history_rundata_failed_command": Declared(
        "The run is one of a Data Factory of 2022, which no longer exists. Of the definition and the specification of "
        "a run the emulator has what its clients read.",
        (
            "null recorded, absent here: .systemSettings",
            "type: .runMetadata.error.error.innerError is an object recorded, null here",
            "absent recorded, a value here: .runMetadata.properties._azureml.ClusterName",
            "type: .runMetadata.compute.vmSize is null recorded, text here",
            "type: .runMetadata.compute.armId is null recorded, text here",
            "*: .runDefinition*",
            "*: .jobSpecification*",
        ),
    ),
    "example_compute_listnodes": Declared("The recording compute_list_nodes_2024 has no nextLink.", (_NEXT_LINK,)),
    "example_job_list_nextlink": Declared(_GENERATED, tuple(f"*: .value[[]0].{part}" for part in _OF_EXAMPLES)),
    "example_job_put_limits_tensorflow": Declared(_GENERATED, tuple(f"*: .{part}" for part in _OF_EXAMPLES)),
    "quoted_rundetails_v1_logfiles": Declared(
        "The logs of 2021 have other names, and the quoted run has code.",
        (
            "a value recorded, absent here: .properties.ContentSnapshotId",
            "a value recorded, absent here: .logFiles.azureml-logs/*",
        ),
    ),
}
