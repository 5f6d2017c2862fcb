"""Models whose `repr` shows no secret."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from zenml_azureml.secrets.redaction import redacted_setting


class RedactedModel(BaseModel):
    """A model whose `repr` and `str` redact its values by the rule of `rule.py`."""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, redacted_setting(name or "", value)
