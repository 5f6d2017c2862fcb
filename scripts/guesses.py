"""Lists what the emulator guesses about Azure ML, as the questions that a real workspace can answer: `make guesses`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

EMULATOR = Path(__file__).parents[1] / "src" / "zenml_azureml" / "emulator"

_COMMENT = re.compile(r"^\s*#+:? ?")


def main() -> None:
    """Print each guess with its place, and how many there are."""
    found = list(guesses())
    for place, text in found:
        print(f"{place}: {text}")
    print(f"{len(found)} guesses")


def guesses() -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each guess, as far as its comment goes."""
    for file in sorted(EMULATOR.rglob("*.py")):
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
            yield f"{file.relative_to(EMULATOR)}:{number + 1}", " ".join(text)


if __name__ == "__main__":
    main()
