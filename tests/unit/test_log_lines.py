"""From the bytes of a log to the lines that are shown."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.azure.logs.line_decoder import (
    BAR_INTERVAL_SECONDS,
    LONGEST_LINE,
    LineReader,
    without_terminal_codes,
)


class Watch:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def reader(watch: Watch) -> LineReader:
    return LineReader(watch)


def read(data: bytes, *, cuts: list[int] | None = None) -> list[str]:
    """The lines of a whole log, which arrives cut at some places."""
    reader = LineReader(lambda: 0.0)
    places = sorted({0, *(cut % (len(data) + 1) for cut in cuts or []), len(data)})
    lines = [line for start, end in pairwise(places) for line in reader.feed(data[start:end])]
    return lines + reader.flush()


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"one\ntwo", ["one", "two"]),
        (b"one\r\ntwo\r\n", ["one", "two"]),  # as Windows ends lines
        (b"\xff\xfe\nnext\n", ["\ufffd\ufffd", "next"]),  # bytes that are no text do not end the log
        ("a\u2028b\x0cc\x85d\n".encode(), ["a\u2028bcd"]),  # what Python takes for a line end is none
        (b"gr\xc3", ["gr\ufffd"]),
        (b"\x1b[31mred\x1b[0m\n", ["\x1b[31mred\x1b[0m"]),  # colours are for the reader's terminal
        (b"\x1b[2J\x1b[A\x1b]0;title\x07text\x1b[K\n", ["text"]),  # to clear or name that terminal is not
    ],
)
def test_lines_are_what_a_terminal_would_show(data: bytes, lines: list[str]) -> None:
    assert read(data) == lines


@given(
    st.lists(st.sampled_from(["\x1b", "\x9d", "]52;c;", "\x07", "[2J", "[31m", "\n", "\r", "\b", "ü", "\u202e"])),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_a_sequence_is_removed_wherever_its_bytes_are_cut(parts: list[str], cuts: list[int]) -> None:
    data = "".join(parts).encode()
    lines = read(data, cuts=cuts)

    assert lines == read(data)
    for line in lines:
        assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f\u202e]", re.sub("\x1b\\[[0-9;]*m", "", line))


def test_a_sequence_that_never_ends_costs_no_more_memory_than_a_line(reader: LineReader) -> None:
    lines = [line for _ in range(8) for line in reader.feed(b"\x1b]0;" + b"x" * LONGEST_LINE)]

    assert len("".join(lines)) <= 8 * (LONGEST_LINE + 4)
    assert all("\x1b" not in line for line in lines)


@given(st.text(st.sampled_from("aü€😀\n\r\x1b[31m "), max_size=60), st.lists(st.integers(0, 300), max_size=8))
def test_it_does_not_matter_where_the_bytes_are_cut(text: str, cuts: list[int]) -> None:
    assert read(text.encode(), cuts=cuts) == read(text.encode())


def test_a_progress_bar_is_one_line(reader: LineReader) -> None:
    bar = "".join(f"\r{percent:3}%|{'#' * percent}" for percent in range(100))

    lines = [line for letter in f"begin\n{bar}\r100%| done\nend\n".encode() for line in reader.feed(bytes([letter]))]

    assert lines == ["begin", "100%| done", "end"]


def test_a_progress_bar_that_goes_on_is_told_now_and_then(reader: LineReader, watch: Watch) -> None:
    told = []
    for percent in range(100):
        watch.now = percent * BAR_INTERVAL_SECONDS / 25
        told += reader.feed(f"\r{percent}%".encode())
    told += reader.feed(b"\r100%\n")

    assert told == ["24%", "49%", "74%", "100%"]


def test_a_bar_that_removes_itself_leaves_what_is_written_over_it() -> None:
    assert read(b"\r 50%|###\r 100%|######\r             \rdone\n") == ["done"]


def test_a_line_that_never_ends_is_cut_and_loses_nothing(reader: LineReader) -> None:
    pieces = [line for _ in range(5) for line in reader.feed(b"x" * (LONGEST_LINE // 2))]
    last = reader.feed(b"y\n")

    assert [len(piece) for piece in pieces] == [LONGEST_LINE] * 2
    assert last == ["x" * (LONGEST_LINE // 2) + "y"]


def test_what_is_stored_has_no_terminal_codes() -> None:
    assert without_terminal_codes("\x1b[1;31mError\x1b[0m: \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\") == "Error: link"
