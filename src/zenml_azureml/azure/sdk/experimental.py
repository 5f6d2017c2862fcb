"""A cheaper check of the SDK's before its warnings of experimental classes.

The SDK looks for one function among its callers, with `inspect.stack()`, which reads the source of each of them. It
does so for each job that Azure returns, which took an eighth of the processor time of a submit on its thread. The SDK
has no option for this. Only this module uses the private name; `tests/azure/test_submit.py` fails if the name changes.
"""

from __future__ import annotations

import sys
from types import FrameType

from azure.ai.ml._utils import _experimental

#: The SDK gives no warning of an experimental class if it makes the object from an answer.
_CONVERSION = "_from_rest_object"


def check_callers_cheaply() -> None:
    """Make the SDK look for its caller without the source of all callers. May be called again, by any thread."""
    _experimental._should_skip_warning = is_conversion


def is_conversion() -> bool:
    """True if one of the callers converts an answer of Azure into an object of the SDK."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == _CONVERSION:
            return True
        frame = frame.f_back
    return False
