"""The pipeline's output, without lines that do not matter to a newcomer."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from zenml_azureml.azure.failures.survived_errors import SurvivedErrors

_ANSI = re.compile(r"\x1b\[[0-9;]*m")

# Beginnings of such lines. If a new version of ZenML changes one, the line is shown, which does no harm.
_UNIMPORTANT = re.compile(
    r"Registered new pipeline|Unable to find a build to reuse|Reusing existing build|  \* |Archiving pipeline code|"
    r"Uploading code|Code already exists in artifact store|"
    r"Code upload finished|Using a build|\s*Image\(s\)|Using user|You can visualize|Skipping visualization|"
    r"  (orchestrator|artifact_store|container_registry|step_operator|image_builder|log_store): |"
    r"Class \w+: This is an experimental class|(\[\w+\] )?(Downloading code|Code download finished)"
)


# The prefix of a line that names its step.
_STEP = re.compile(r"(?:\[\w+\] )?")


def without_colours(line: str) -> str:
    """Return a line without the codes that give it colours."""
    return _ANSI.sub("", line)


def worth_showing(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines that matter to a newcomer.

    Args:
        lines: Output of ZenML and of the steps, with colours or without.

    Returns:
        These lines, unchanged.
    """
    # On Python 3.12 and later every program's log ends with an error of OpenTelemetry, which ZenML logs through.
    survived: defaultdict[str, SurvivedErrors] = defaultdict(SurvivedErrors)
    for line in lines:
        text = without_colours(line)
        step = _STEP.match(text)
        prefix = step[0] if step else ""
        if not survived[prefix].includes(text[len(prefix) :]) and not _UNIMPORTANT.match(text):
            yield line
