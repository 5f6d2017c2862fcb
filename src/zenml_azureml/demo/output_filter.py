"""The pipeline's output without the lines that tell a newcomer nothing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from zenml_azureml.azure.failures.survived_errors import SurvivedErrors

_ANSI = re.compile(r"\x1b\[[0-9;]*m")

# How such lines begin. One that a new version words otherwise is shown, and does no harm.
_TELLS_NOTHING = re.compile(
    r"Registered new pipeline|Unable to find a build to reuse|  \* |Archiving pipeline code|Uploading code|"
    r"Code upload finished|Using a build|\s*Image\(s\)|Using user|You can visualize|Skipping visualization|"
    r"Class \w+: This is an experimental class|(\[\w+\] )?(Downloading code|Code download finished)"
)


# The step whose log a line is of.
_STEP = re.compile(r"(?:\[\w+\] )?")


def worth_showing(lines: Iterable[str]) -> Iterator[str]:
    """The lines that are worth a newcomer's time.

    Args:
        lines: What ZenML and the steps print, with colours or without.

    Returns:
        Those of them that tell something, unchanged.
    """
    # On Python 3.12 and later every program's log ends with an error of OpenTelemetry, which ZenML logs through.
    survived: defaultdict[str, SurvivedErrors] = defaultdict(SurvivedErrors)
    for line in lines:
        text = _ANSI.sub("", line)
        step = _STEP.match(text)
        prefix = step[0] if step else ""
        if not survived[prefix].includes(text[len(prefix) :]) and not _TELLS_NOTHING.match(text):
            yield line
