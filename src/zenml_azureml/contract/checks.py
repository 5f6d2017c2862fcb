"""The lines with which a job reports checks of itself to its client, and the variables that request them. Pure.

`in_job/checks/bare.py` repeats the constants, because an image without this package gets its text alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from zenml_azureml.contract.variables import PREFIX

#: Begins the part of a log line that is a report.
MARK: Final = "zenml-azureml check:"

#: Variable with the request, a JSON object. A job with it reports how its preparation fails, instead of failing.
CHECKS: Final = f"{PREFIX}CHECKS"

#: Variable with a random value, which travels as the secrets of a step do.
CANARY: Final = "ZENML_AZUREML_CHECK_SECRET"

#: Names of the checks.
IMAGE: Final = "image"
KEY_VAULT: Final = "key vault"
SECRETS: Final = "secrets"
SERVER: Final = "ZenML server"
ARTIFACT_STORE: Final = "artifact store"
CHECKPOINTS: Final = "checkpoint folder"
GPUS: Final = "GPUs"
NODES: Final = "other nodes"

#: Results of a check.
OK: Final = "ok"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"


@dataclass(frozen=True)
class Report:
    """Result of a check in a job.

    Attributes:
        check: Name of the check.
        result: `ok`, `failed` or `skipped`.
        found: Result, as a sentence or a phrase.
        facts: Numbers and texts that the client judges.
    """

    check: str
    result: str
    found: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def report_in(line: str) -> Report | None:
    """Return the report in a line of a log; None if it has none.

    Args:
        line: The line. It may begin with the label of its process.
    """
    _, mark, text = line.partition(MARK)
    if not mark:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in ("check", "result", "found")):
        return None
    facts = {key: value for key, value in found.items() if key not in ("check", "result", "found")}
    return Report(found["check"], found["result"], found["found"], facts)
