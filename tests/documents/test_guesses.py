"""The list of guesses: those of the operator too, and a guess that names a test names one that exists."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.guesses import guesses, live_tests_in

TESTS = Path(__file__).parents[1]

#: A test that `make live` runs.
_LIVE = re.compile(r"@pytest\.mark\.azure_verified\([^)]*\)\n(?:@.*\n)*def (test_\w+)")


def test_guesses_of_the_operator_and_of_the_emulator_are_listed() -> None:
    places = [place for place, _ in guesses()]

    assert any(place.startswith("lifecycle/holding.py:") for place in places)
    assert any(place.startswith("emulator/services/ssh/") for place in places)


def test_each_test_that_a_guess_names_is_one_of_make_live() -> None:
    live = {name for file in TESTS.rglob("test_*.py") for name in _LIVE.findall(file.read_text(encoding="utf-8"))}
    named = {name for _, text in guesses() for name in live_tests_in(text)}

    assert len(named) >= 4
    assert named <= live


def test_make_live_can_confirm_what_is_guessed_about_held_jobs() -> None:
    held = [text for place, text in guesses() if place.startswith(("lifecycle/holding.py:", "cli/ssh.py:"))]

    assert len(held) >= 4
    assert all(live_tests_in(text) for text in held)
