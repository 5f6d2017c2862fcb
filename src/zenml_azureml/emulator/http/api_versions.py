"""Which keys of an answer an api-version has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zenml_azureml.emulator.types import Json


@dataclass(frozen=True)
class Window:
    """The api-versions that have a key.

    Attributes:
        stable: Date of the first stable version; None if no stable version has it.
        preview: Date of the first preview; None if no preview has it.
        end: Date of the first preview that does not have it any more; None if all later ones have it.
    """

    stable: str | None
    preview: str | None
    end: str | None = None


@dataclass(frozen=True)
class ApiVersion:
    """An api-version.

    Attributes:
        date: E.g. `2024-04-01`.
        preview: True for `2025-01-01-preview`.
    """

    date: str
    preview: bool

    @classmethod
    def parse(cls, text: str) -> ApiVersion:
        """Return an api-version from the query of a request."""
        return cls(date=text[:10], preview=text.endswith("-preview"))

    def has(self, window: Window) -> bool:
        """True if this version lies in a window."""
        first = window.preview if self.preview else window.stable
        is_over = self.preview and window.end is not None and self.date >= window.end
        return first is not None and self.date >= first and not is_over

    def select(self, body: Json, windows: Mapping[str, Window]) -> Json:
        """Return the part of a body that this version has; keys without a window are in all versions."""
        return {key: value for key, value in body.items() if key not in windows or self.has(windows[key])}
