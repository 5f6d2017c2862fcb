"""What is mutated: what decides about the life of a step, the delivery of its secrets, and the advice on its size."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "zenml_azureml"

#: Modules, as paths below the package.
TARGETS = (
    "lifecycle/action_executor.py",
    "lifecycle/attempts.py",
    "lifecycle/cost.py",
    "lifecycle/cost_guard.py",
    "lifecycle/cost_limit.py",
    "lifecycle/azure_jobs.py",
    "lifecycle/execution.py",
    "lifecycle/observation.py",
    "lifecycle/publisher.py",
    "lifecycle/transitions.py",
    "lifecycle/worker_pool.py",
    "lifecycle/earlier_jobs.py",
    "lifecycle/canceller.py",
    "lifecycle/controller.py",
    "lifecycle/supervisor.py",
    "lifecycle/stop_signals.py",
    "lifecycle/recovery.py",
    "lifecycle/submitter.py",
    "lifecycle/outcome.py",
    "lifecycle/predecessor_search.py",
    "lifecycle/predecessors.py",
    "run_store/server_errors.py",
    "run_store/server_retries.py",
    "step_operator.py",
    "run_store/step_runs.py",
    "run_store/job_names.py",
    "lifecycle/step_checks.py",
    "lifecycle/step_submission.py",
    "plugin/workspaces.py",
    "run_store/fork_gate.py",
    "settings/step_plan.py",
    "job_admin/orphans.py",
    "job_admin/over.py",
    "in_job/watcher/over.py",
    "in_job/watcher/loop.py",
    "azure/jobs/submitter.py",
    "azure/jobs/poller.py",
    "azure/jobs/monitor.py",
    "azure/retry.py",
    "azure/keyvault/delivery.py",
    "azure/keyvault/stored.py",
    "azure/jobs/watch.py",
    "azure/jobs/handle.py",
    "azure/sizes/advice.py",
    "in_job/sampler/recorder.py",
)

#: Tests that execute them. Those of the documents, of containers and of whole demos are too slow for what they add.
TESTS = ("tests/unit", "tests/azure", "tests/cli", "tests/e2e")

#: Tests that run modules in a Python of their own, where no line is noted: they count for all lines of those modules.
IN_PROCESSES = {
    "lifecycle/stop_signals.py": ("tests/unit/lifecycle/test_stop_signals.py",),
    "lifecycle/supervisor.py": ("tests/unit/lifecycle/test_supervisor_at_exit.py",),
    "in_job/watcher/loop.py": ("tests/unit/in_job/test_watcher.py", "tests/unit/in_job/test_watched_step.py"),
}
