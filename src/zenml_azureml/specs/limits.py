"""Azure ML's limits and rules for what a job and a compute are called. Pure.

The Azure SDK checks none of them, so the first refusal would come from Azure.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

# Source: Microsoft's "Manage and increase quotas and limits for resources with Azure Machine Learning", section
# "Azure Machine Learning metadata": https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas
TAGS: Final = 50
TAG_KEY_LENGTH: Final = 100
TAG_VALUE_LENGTH: Final = 1000
DISPLAY_NAME_LENGTH: Final = 256
DESCRIPTION_LENGTH: Final = 5000
EXPERIMENT_NAME_LENGTH: Final = 256

#: Longest time that a job can live. Source: the same page, section "Azure Machine Learning compute".
JOB_LIFETIME: Final = timedelta(days=21)
LOW_PRIORITY_JOB_LIFETIME: Final = timedelta(days=7)

# Source: an error of the service: https://github.com/Azure/dstoolkit-mlops-v2/issues/180
_EXPERIMENT = re.compile(rf"[a-zA-Z0-9][a-zA-Z0-9_-]{{0,{EXPERIMENT_NAME_LENGTH - 1}}}")

#: Names of new computes. Source: measured at the service.
_NEW_COMPUTE = re.compile(r"[a-zA-Z](?![a-zA-Z0-9-]*-[0-9]+$)[a-zA-Z0-9-]{2,23}")

#: Names that a compute can have at all. Clusters and attached computes of earlier years have 2 to 16 characters with
#: any ending. Source: https://github.com/MicrosoftDocs/azure-docs/issues/55961
_COMPUTE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{1,63}")

_OMISSION: Final = "..."


def is_experiment_name(name: str) -> bool:
    """True if an experiment can have this name."""
    return _EXPERIMENT.fullmatch(name) is not None


def is_compute_name(name: str) -> bool:
    """True if a compute that exists can have this name."""
    return _COMPUTE.fullmatch(name) is not None


def is_new_compute_name(name: str) -> bool:
    """True if Azure ML creates a compute instance or cluster with this name."""
    return _NEW_COMPUTE.fullmatch(name) is not None


def shortened(text: str, length: int) -> str:
    """Return a text cut to a length, with an omission mark at its end if something is missing.

    Args:
        text: The text.
        length: Largest number of characters.
    """
    return text if len(text) <= length else text[: length - len(_OMISSION)] + _OMISSION
