"""One step run from the submit to its end. Only the step operator and the packages above it may import it.

To follow a step, read the modules in this order:

- `step_submission.py` has the jobs of earlier step runs ended (`earlier_jobs.py`), and submits the first job;
- `submitter.py` submits this and each further job, within the cost limits (`cost_guard.py`);
- `controller.py` watches the job for a caller that waits or polls; `observation.py` turns what it sees into an event;
- `transitions.py` decides what follows from the event;
- `action_executor.py` does it, with `canceller.py` and `publisher.py`; `outcome.py` finds the reason of a failure;
- `supervisor.py` cancels the jobs for which no caller waits.

The steps themselves, with all that is known of each, are in `execution.py`, and the kinds of events in `state.py`.
"""
