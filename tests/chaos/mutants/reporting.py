"""Mutants of what becomes of the report of a job on what it has used."""

from __future__ import annotations

from typing import Any

from tests.chaos.mutants.mutant import Mutant, put


def _show_reports() -> None:
    from zenml_azureml.azure.logs import streamer

    put(streamer, "without_report", lambda line: (line, None))


def _lose_reports() -> None:
    from zenml_azureml.lifecycle import publisher

    put(publisher, "merged", lambda _usages: None)


_SEEN = (("job GET", "503"),)
_WHOLE: dict[str, Any] = {"usage": "whole", "stream_logs": True}

MUTANTS = (
    Mutant("reports shown", _show_reports, "usage", _SEEN, "static", _WHOLE),
    Mutant("reports lost", _lose_reports, "usage", _SEEN, "static", _WHOLE),
)
