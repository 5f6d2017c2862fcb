"""Differences from recordings that stay, each with the reason."""

from __future__ import annotations

_NOT_EMULATED = "The emulator does not have the operation: docs/emulator.md."

#: By the names of the exchanges.
DECLARED = {
    "code_versions_by_hash_2026": _NOT_EMULATED,
    "data_version_put_2026": _NOT_EMULATED,
    "datastores_list_2025": "It lists a datastore that users have made, and the emulator has the service's own only.",
    "datastore_listsecrets_sas_2026": "The emulator answers the account key; its storage accepts no account SAS.",
    "model_versions_404_2026": _NOT_EMULATED,
    "data_container_get_2026": _NOT_EMULATED,
    "data_version_get_2026": _NOT_EMULATED,
    "workspace_diagnose_post_202": "In 2022 the service did not send azureml-served-by-cluster, nor the remaining "
    "reads of all principals; the emulator sends both, as in the recordings of 2026.",
    "job_put_sweep_2026": "The emulator runs command jobs only.",
    "jobs_list_2024": "A completed job on an instance has the service's own tag in 2024, and none in a recording of "
    "2025; the emulator answers as in 2025.",
}
