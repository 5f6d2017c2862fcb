"""What in two answers of the service is different each time."""

from __future__ import annotations

import json
import re
from typing import Any

# What no two answers have in common, and what stands for it in a comparison.
_VARIABLE = (
    (r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^/]+/workspaces/[^/]+", "<workspace>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?(\+00:00|Z)", "<time>"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"),
    (r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b(?!\.)", "<ip>"),
)


def comparable(body: Any) -> str:
    """A body as text, in which ids and times stand as `<uuid>` and `<time>`.

    Keys keep their order and nulls stay: two such texts are equal only if the answers are.
    """
    text = json.dumps(body, indent=1)
    for pattern, name in _VARIABLE:
        text = re.sub(pattern, name, text)
    return text
