"""Stand-in for the module of the same name."""

from __future__ import annotations

from collections.abc import Mapping


class VariableRecorder:
    """Values that a recording keeps for its replay; here each is new."""

    def get_or_record(self, _name: str, value: str) -> str:
        return value


class EnvironmentVariables(dict[str, str]):
    """The variables of the tests, of which nothing is replaced."""

    def sanitize_batch(self, defaults: Mapping[str, str]) -> dict[str, str]:
        return {**defaults, **self}
