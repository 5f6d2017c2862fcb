"""Tracebacks in reports show the frames of the user's own code alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.azure.logs.frames import with_users_frames

ZENML = ['  File "/env/lib/python3.11/site-packages/zenml/entrypoint.py", line 44, in main', "    entrypoint.run()"]
RUNPY = ['  File "<frozen runpy>", line 198, in _run_module_as_main']
LIBRARY = [
    '  File "/usr/lib/python3/dist-packages/numpy/core.py", line 7, in add',
    "    raise TypeError",
    "          ^^^^^",
]
USERS = ['  File "/app/code/train.py", line 18, in train', "    helper(1)", "    ~~~~~~^^^"]
HEADING, ERROR = ["Traceback (most recent call last):"], ["TypeError: no"]

FRAMES = st.sampled_from([ZENML, RUNPY, LIBRARY, USERS])


def test_frames_of_zenml_of_libraries_and_of_python_itself_are_left_out() -> None:
    log = ["epoch 1", *HEADING, *RUNPY, *ZENML, *USERS, *LIBRARY, *ERROR]

    assert with_users_frames(log) == ["epoch 1", *HEADING, *USERS, *ERROR]


def test_a_traceback_without_a_frame_of_the_user_stays_whole() -> None:
    log = [*HEADING, *RUNPY, *ZENML, *ERROR]

    assert with_users_frames(log) == log


def test_a_traceback_whose_beginning_was_cut_off_is_treated_alike() -> None:
    assert with_users_frames([*ZENML, *USERS, *ERROR]) == [*USERS, *ERROR]


def test_both_tracebacks_of_a_chain_keep_their_own_frames() -> None:
    between = ["", "During handling of the above exception, another exception occurred:", ""]
    log = [*HEADING, *ZENML, *USERS, *ERROR, *between, *HEADING, *USERS, *LIBRARY, *ERROR]

    assert with_users_frames(log) == [*HEADING, *USERS, *ERROR, *between, *HEADING, *USERS, *ERROR]


@given(st.lists(FRAMES, max_size=6), st.lists(st.sampled_from(["epoch 1", "", "  indented", "loss: 3"]), max_size=6))
def test_nothing_is_left_out_but_frames(frames: list[list[str]], others: list[str]) -> None:
    flat = [line for frame in frames for line in frame]
    shown = with_users_frames([*others, *HEADING, *flat, *ERROR])

    assert [line for line in shown if line not in flat] == [*others, *HEADING, *ERROR]
    assert set(USERS) <= set(shown) or USERS not in frames
