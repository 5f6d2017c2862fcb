"""Mutants that no test can notice, or need not, each with the reason."""

from __future__ import annotations

#: By the module, the function and the change, as `Mutant.name` has them.
ACCEPTED: dict[str, str] = {
    "azure/jobs/watch.py: __init__: removes `self._try_again_at = 0.0`": (
        "`may_try` reads it only after `add` has set it, since it asks for the number of failures first."
    ),
    "lifecycle/cost_limit.py: exceeded_by: turns round `_order(job) < _order(own)`": (
        "The order ends with the name of the job, and the jobs that are compared have other names."
    ),
    "in_job/watcher/zenml_server.py: _answer: removes `error.close()`": (
        "The connection is also closed when the error is collected, which is when the function raises another one."
    ),
    "lifecycle/uncaught_errors.py: hook: turns `True` round": (
        "Python writes standard error line by line, so flushing it changes nothing."
    ),
    "lifecycle/earlier_jobs.py: _unseen: returns None for `[]`": (
        "Its only caller asks whether there are any, and None has none either."
    ),
    "lifecycle/step_submission.py: _submit_first: swaps and/or in "
    "`step.state.phase is StepPhase.FAILED and step.state.error is not None`": (
        "The second condition is for the type checker: after a submission, a step has an error exactly if it is FAILED."
    ),
}
