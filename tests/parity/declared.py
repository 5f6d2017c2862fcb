"""Differences from recordings that stay, each with the reason."""

from __future__ import annotations

#: By the names of the exchanges.
DECLARED = {
    "workspace_diagnose_post_202": "In 2022 the service did not send azureml-served-by-cluster, nor the remaining "
    "reads of all principals; the emulator sends both, as in the recordings of 2026.",
    "job_put_sweep_2026": "The emulator runs command jobs only.",
    "jobs_list_2024": "A completed job on an instance has the service's own tag in 2024, and none in a recording of "
    "2025; the emulator answers as in 2025.",
}
