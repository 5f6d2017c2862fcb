"""Lists what is guessed about Azure ML, as the questions that a real workspace can answer: `make guesses`.

A guess that a test of `make live` can confirm names it: "`make live`: test_name."
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "zenml_azureml"

_COMMENT = re.compile(r"^\s*#+:? ?")

#: A test that can confirm a guess.
_TEST = re.compile(r"`make live`: (test_\w+)")


def main() -> None:
    """Print each guess with its place, and how many there are."""
    found = list(guesses())
    for place, text in found:
        print(f"{place}: {text}")
    print(
        f"{len(found)} guesses, {sum(bool(live_tests_in(text)) for _, text in found)} of which `make live` can confirm"
    )


def guesses() -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each guess, as far as its comment goes."""
    for file in sorted(PACKAGE.rglob("*.py")):
        lines = file.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if "Guess:" not in line:
                continue
            text = [line.partition("Guess:")[2].strip()]
            if line.lstrip().startswith("#"):
                for following in lines[number + 1 :]:
                    if not following.lstrip().startswith("#") or "Guess:" in following:
                        break
                    text.append(_COMMENT.sub("", following).strip())
            yield f"{file.relative_to(PACKAGE)}:{number + 1}", " ".join(text)


def live_tests_in(text: str) -> list[str]:
    """Return the names of the tests that can confirm a guess.

    Args:
        text: The guess.
    """
    return _TEST.findall(text)


if __name__ == "__main__":
    main()
