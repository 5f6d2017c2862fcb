"""The pictures of the documents show what the commands print today."""

from __future__ import annotations

from scripts.pictures import DEMO, comparable, draw_demo, picture


def test_the_picture_of_the_demo_is_up_to_date() -> None:
    assert comparable(DEMO.read_text(encoding="utf-8")) == comparable(draw_demo()), "run `make pictures`"


def test_the_picture_of_the_demo_explains_a_failure() -> None:
    text = " ".join(comparable(DEMO.read_text(encoding="utf-8")))

    assert "The Azure ML job of step train failed: it was killed (SIGKILL), most likely because" in text
    assert "Next steps: Request more memory" in text


def test_a_changed_line_is_noticed_and_what_differs_between_runs_is_not() -> None:
    shown = """A workspace
  https://127.0.0.1:41003, workspace `emulator`
  \x1b[32mAzure ML job zenml-0b92f479-0996-4295-982a-2d893468a623\x1b[0m on serverless compute: https://ml.azure.com/runs/zenml-0b92f479-0996-4295-982a-2d893468a623?wsid=/subscriptions/0
[train] Preparing on serverless compute
[train] 50 trees: out-of-bag accuracy 0.9703
Step train has finished in 21.769s.
"""
    other = (
        shown.replace("41003", "40999")
        .replace("0b92f479-0996-4295-982a-2d893468a623", "e6b16983-da81-40be-a95f-f1c2654f7925")
        .replace("[train] Preparing on serverless compute\n", "")
        .replace("0.9703", "0.9699")
        .replace("21.769s", "1m 2s")
    )

    def lines(text: str) -> list[str]:
        return comparable(picture("title", "typed", text))

    assert lines(shown) == lines(other)
    assert len(lines(shown)) == 6
    for word in ("workspace", "compute", "trees", "Step", "emulator"):
        assert lines(shown) != lines(shown.replace(word, f"{word}s")), word
