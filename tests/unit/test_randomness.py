"""Which texts look random: the shortest and the least mixed that do, and their neighbours that do not."""

from __future__ import annotations

import pytest

from zenml_azureml.secrets.randomness import has_random_part, is_uuid

#: 100 characters with 33 switches between kinds of characters, and 50 in short parts with 21.
_MIXED = "aaaaaA" * 16 + "aaa1"
_MIXED_PARTS = "-".join(["aAaaA", *["aaaaA"] * 9])

_UUID = "0b2f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11"


@pytest.mark.parametrize(
    ("random", "not_random"),
    [
        ("abcd1efgh2", "abcd1efgh"),  # ten characters
        ("abcd1efgh2", "abcd1efghi"),  # digits meet letters three times
        ("1" * 21, "1" * 20),
        ("aBaBaBaBaBaBaBaB", "aBaBaBaBaBaBaBa"),  # sixteen characters, without digits
        (_MIXED, f"a{_MIXED}"),
        ("aeiouaeiobcdfgha", "aeiouaeioubcdfga"),  # six consonants in a row
        ("aeiouaeiobcdfgha", "eiouaeiobcdfgha"),
        ("-".join(["aBcD"] * 6), "-".join([*["aBcD"] * 5, "aBc"])),  # 24 characters together
        (_MIXED_PARTS, f"a{_MIXED_PARTS}"),
        (f"{_UUID}/abcd1efgh2", _UUID),
        ("words/abcd1efgh2", "words/and_more-words.txt"),
    ],
)
def test_a_text_that_looks_random_and_one_that_does_not_quite(random: str, not_random: str) -> None:
    assert has_random_part(random)
    assert not has_random_part(not_random)


@pytest.mark.parametrize(
    ("text", "is_one"), [(_UUID, True), (_UUID.upper(), True), (f"{_UUID}0", False), (_UUID[1:], False), ("", False)]
)
def test_a_uuid_is_known_by_its_form(text: str, is_one: bool) -> None:
    assert is_uuid(text) is is_one
