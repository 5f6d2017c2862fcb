"""A table of what happened last: bounded, and the oldest entry goes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.lifecycle.recent import Recent


@given(most=st.integers(1, 5), keys=st.lists(st.integers(0, 9)))
def test_the_newest_entries_are_kept(most: int, keys: list[int]) -> None:
    recent: Recent[int, int] = Recent(most)
    for number, key in enumerate(keys):
        recent[key] = number

    newest = list(dict.fromkeys(reversed(keys)))[:most]
    assert list(recent) == newest[::-1]
    assert [keys[number] for number in recent.values()] == list(recent)


def test_setdefault_adds_a_new_entry_and_leaves_an_old_one_alone() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.setdefault("a", 1)
    recent.setdefault("a", 2)
    recent.setdefault("b", 3)
    recent.setdefault("c", 4)

    assert recent == {"b": 3, "c": 4}
