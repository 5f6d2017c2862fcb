"""Mutants of what shows the logs of jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.chaos.mutants.mutant import Mutant, put
from tests.chaos.schedule import PlannedFault, PlannedStep


def _name_no_rank() -> None:
    from zenml_azureml.azure.logs.streamer import LogFollower

    end: Any = LogFollower.end
    put(LogFollower, "end", property(lambda follower: replace(end.fget(follower), label="")))


def _show_twice() -> None:
    from zenml_azureml.azure.logs.streamer import LogFollower

    put(LogFollower, "_tell", lambda self: list(self._untold))


def _show_no_rest() -> None:
    from zenml_azureml.azure.logs.streamer import LogFollower

    put(LogFollower, "tell_rest", lambda self, _on_lines: self._list_files())


def _label_nothing() -> None:
    from zenml_azureml.azure.logs import streamer

    put(streamer, "label_of", lambda *_arguments: "")


def _show_all_the_same() -> None:
    from zenml_azureml.settings.of_steps import SettingsOfSteps

    settings: Any = SettingsOfSteps.of
    put(
        SettingsOfSteps,
        "of",
        lambda self, container: settings(self, container).model_copy(update={"stream_logs": True}),
    )


_KILLED = (("job GET", "rank killed"), ("log", "rank killed"))
_QUICK: dict[str, Any] = {"steps": (PlannedStep("step0", 0.1, 5),), "stream_logs": True, "faults": ()}

#: Whose log cannot be read before its end.
_UNREAD: dict[str, Any] = {**_QUICK, "faults": (PlannedFault("log", "503", times=6),)}

MUTANTS = (
    Mutant("no rank named", _name_no_rank, "ranks", _KILLED, "static", {"faults": ()}),
    Mutant("lines twice", _show_twice, "lines", (("details", "429"), ("log", "503")), "static", _QUICK),
    Mutant("no rest of the log", _show_no_rest, "lines", (("log", "503"),), "static", _UNREAD),
    Mutant("no labels", _label_nothing, "lines", _KILLED, "static", {"faults": ()}),
    Mutant(
        "logs all the same",
        _show_all_the_same,
        "lines",
        (("job GET", "429"),),
        "static",
        {"stream_logs": False, "faults": ()},
    ),
)
