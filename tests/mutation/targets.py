"""What is mutated: what decides about the life of a step, the delivery of its secrets, and the advice on its size."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "zenml_azureml"

#: Folders of which every module with logic is mutated; `tests/unit/test_mutations.py` checks that.
WHOLE = ("azure/jobs", "azure/keyvault", "in_job/watcher", "lifecycle", "run_store", "secrets")

#: Modules of those folders that are not mutated, each with the reason.
LEFT_OUT = {
    "azure/jobs/data_bindings.py": "Describes the data of a job. Nothing that happens to the job depends on it.",
    "azure/jobs/distributions.py": "Describes the framework of a job. Nothing that happens to the job depends on it.",
    "azure/jobs/details.py": "Reads what Azure reports about a job for display.",
    "azure/jobs/manifest.py": "Writes a job as YAML for display.",
    "azure/jobs/services.py": "Finds the address of a shell of a job. Nothing that happens to the job depends on it.",
    "azure/jobs/tunnel.py": "Carries the bytes of a shell of a job.",
    "azure/jobs/metrics.py": "Reads the metrics of a completed job for display.",
    "secrets/redacted_model.py": "Decides about the display of settings. No secret is delivered through it.",
}

#: Modules, as paths below the package.
TARGETS = (
    # The life of a step in the process of the pipeline.
    "step_operator.py",
    "retry_loop.py",
    "checkpoints.py",
    "plugin/workspaces.py",
    "settings/step_plan.py",
    "lifecycle/action_executor.py",
    "lifecycle/attempts.py",
    "lifecycle/azure_jobs.py",
    "lifecycle/canceller.py",
    "lifecycle/controller.py",
    "lifecycle/cost.py",
    "lifecycle/cost_guard.py",
    "lifecycle/cost_limit.py",
    "lifecycle/earlier_jobs.py",
    "lifecycle/execution.py",
    "lifecycle/holding.py",
    "lifecycle/latest_answers.py",
    "lifecycle/lineage.py",
    "lifecycle/observation.py",
    "lifecycle/outcome.py",
    "lifecycle/predecessor_search.py",
    "lifecycle/predecessors.py",
    "lifecycle/publisher.py",
    "lifecycle/recent.py",
    "lifecycle/recovery.py",
    "lifecycle/right_size.py",
    "lifecycle/state.py",
    "lifecycle/step_checks.py",
    "lifecycle/step_data.py",
    "lifecycle/step_submission.py",
    "lifecycle/stop_signals.py",
    "lifecycle/submitter.py",
    "lifecycle/supervisor.py",
    "lifecycle/transitions.py",
    "lifecycle/uncaught_errors.py",
    "lifecycle/worker_pool.py",
    "run_store/fork_gate.py",
    "run_store/job_names.py",
    "run_store/run_data.py",
    "run_store/server.py",
    "run_store/server_errors.py",
    "run_store/server_retries.py",
    "run_store/step_runs.py",
    # Jobs whose process has gone.
    "job_admin/cancellation.py",
    "job_admin/held.py",
    "job_admin/orphans.py",
    "job_admin/over.py",
    "job_admin/run_status.py",
    "job_admin/stale_secrets.py",
    "job_admin/step_lookup.py",
    "job_admin/takeover.py",
    # The job, as Azure sees it.
    "azure/errors.py",
    "azure/retry.py",
    "azure/retry_after.py",
    "azure/waiter.py",
    "azure/jobs/cancellation.py",
    "azure/jobs/handle.py",
    "azure/jobs/listing.py",
    "azure/jobs/monitor.py",
    "azure/jobs/poller.py",
    "azure/jobs/resubmission.py",
    "azure/jobs/run_history.py",
    "azure/jobs/snapshot.py",
    "azure/jobs/status.py",
    "azure/jobs/submitter.py",
    "azure/jobs/watch.py",
    # The job from within.
    "contract/hold.py",
    "contract/own_end.py",
    "contract/variables.py",
    "in_job/__main__.py",
    "in_job/hold.py",
    "in_job/holding_step.py",
    "in_job/rank.py",
    "in_job/rank_barrier.py",
    "in_job/rank_zero_only.py",
    "in_job/ranked_step.py",
    "in_job/watcher/loop.py",
    "in_job/watcher/node.py",
    "in_job/watcher/over.py",
    "in_job/watcher/start.py",
    "in_job/watcher/step_process.py",
    "in_job/watcher/zenml_server.py",
    "submission/stop_variables.py",
    # Secrets: what is one, how it reaches the job, and what keeps it out of sight.
    "azure/keyvault/access.py",
    "azure/keyvault/client.py",
    "azure/keyvault/delivery.py",
    "azure/keyvault/stored.py",
    "contract/secret_chunks.py",
    "in_job/fetch_secrets.py",
    "secrets/addresses.py",
    "secrets/classification.py",
    "secrets/docker_arguments.py",
    "secrets/known_values.py",
    "secrets/names.py",
    "secrets/randomness.py",
    "secrets/redaction.py",
    "secrets/rule.py",
    "secrets/shapes.py",
    "submission/exposure.py",
    "submission/secret_references.py",
    # Advice on its size.
    "azure/sizes/advice.py",
    "in_job/sampler/recorder.py",
)

#: Tests that execute them. Those of the documents, of containers and of whole demos are too slow for what they add.
TESTS = ("tests/unit", "tests/azure", "tests/cli", "tests/contract/test_secrets_in_job.py", "tests/e2e")

_SECRETS = ("tests/unit/in_job/test_in_job.py", "tests/contract/test_secrets_in_job.py")
_WATCHER = ("tests/unit/in_job/test_watcher.py", "tests/unit/in_job/test_watched_step.py")

#: Tests that run modules in a Python of their own, where no line is noted: they count for all lines of those modules.
IN_PROCESSES = {
    "lifecycle/stop_signals.py": ("tests/unit/lifecycle/test_stop_signals.py",),
    "lifecycle/supervisor.py": ("tests/unit/lifecycle/test_supervisor_at_exit.py",),
    "contract/hold.py": ("tests/unit/in_job/test_hold.py",),
    "contract/variables.py": ("tests/unit/in_job/test_in_job.py",),
    "contract/secret_chunks.py": _SECRETS,
    "in_job/__main__.py": (*_SECRETS, "tests/unit/in_job/test_rank_configuration.py", *_WATCHER),
    "in_job/fetch_secrets.py": _SECRETS,
    "in_job/hold.py": ("tests/unit/in_job/test_hold.py", "tests/unit/in_job/test_rerun.py"),
    "in_job/watcher/loop.py": _WATCHER,
    "in_job/watcher/node.py": _WATCHER,
    "in_job/watcher/start.py": _WATCHER,
    "in_job/watcher/step_process.py": _WATCHER,
    "in_job/watcher/zenml_server.py": _WATCHER,
}
