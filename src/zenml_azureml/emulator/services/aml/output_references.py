"""References to outputs of jobs, as inputs and assets name them: pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Names that stand for a job's artifacts: its logs, `./outputs` and `./logs`.
ARTIFACTS = frozenset({"artifacts", "default"})

# Documented by Microsoft: `azureml://jobs/NAME/outputs/OUTPUT/paths/PATH`, where `artifacts` is the default output;
# public scripts leave `paths` out. `runs:/NAME/PATH` is MLflow's form.
_REFERENCE = re.compile(
    r"(?:azureml://jobs/(?P<job>[^/]+)/outputs/(?P<output>[^/]+)(?:/paths)?(?:/(?P<path>.*))?"
    r"|runs:/+(?P<run>[^/]+)(?:/(?P<run_path>.*))?)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class OutputReference:
    """A path in an output of a job.

    Attributes:
        job: Name of the job.
        output: Name of its output.
        path: Path in it, without slashes at its ends; empty for all of it.
    """

    job: str
    output: str
    path: str


def output_reference(uri: str) -> OutputReference | None:
    """Return what a reference to an output of a job names; None for any other reference."""
    found = _REFERENCE.fullmatch(uri)
    if found is None:
        return None
    if found["run"] is not None:
        return OutputReference(found["run"], "artifacts", (found["run_path"] or "").strip("/"))
    return OutputReference(found["job"], found["output"], (found["path"] or "").strip("/"))
