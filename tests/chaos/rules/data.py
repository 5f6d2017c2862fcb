"""What becomes of the data of steps: what a label means is the same for all jobs of a run."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.catalogue import DATA_PHASES, passes
from tests.chaos.trial import Trial

#: The version that the label means when a run begins.
FIRST_VERSION = "1"


def data(trial: Trial) -> Iterator[str]:
    """Each job reads the version that the label meant at the first one; there is no job if the data is not found."""
    for job, uri in sorted(trial.inputs.items()):
        if not uri.endswith((f"/images/versions/{FIRST_VERSION}", f":images:{FIRST_VERSION}")):
            yield f"job {job} reads {uri}"
    refused = [
        planned
        for index, planned in enumerate(trial.schedule.faults)
        if trial.fired[index] and planned.phase in DATA_PHASES and not passes(planned.phase, planned.fault)
    ]
    if refused and trial.jobs and trial.schedule.shape == "static":
        yield f"there is a job, though its data could not be looked up ({refused[0].fault} at {refused[0].phase})"
