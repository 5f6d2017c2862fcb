"""What `make mutants` changes in a module."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from tests.mutation.__main__ import _file_of, _tests
from tests.mutation.mutate import mutations

SOURCE = dedent(
    '''
    """A module."""

    LIMIT: int | None = 3


    def work(job: str | None, *, loud: bool = False) -> str:
        """Do it."""
        logger.debug("not a mutation")
        if job is None and not loud:
            raise ValueError("no job")
        done = False
        try:
            cancel(job)
        finally:
            self.done = True
        return job
    '''
)


def test_every_statement_condition_and_result_of_a_function_is_changed_once() -> None:
    assert [mutation.what for mutation in mutations(SOURCE)] == [
        "negates `job is None and (not loud)`",
        "swaps and/or in `job is None and (not loud)`",
        "turns round `job is None`",
        "drops `not` of `not loud`",
        "removes `raise ValueError('no job')`",
        "turns `False` round",
        "removes `cancel(job)`",
        "removes `self.done = True`",
        "turns `True` round",
        "returns None for `job`",
    ]


def test_a_mutation_changes_one_thing_and_names_its_lines() -> None:
    for mutation in mutations(SOURCE):
        assert ast.unparse(ast.parse(mutation.source)) != ast.unparse(ast.parse(SOURCE))
        assert mutation.line in mutation.lines
    (removed,) = [mutation for mutation in mutations(SOURCE) if mutation.what == "removes `cancel(job)`"]
    assert removed.source == ast.unparse(ast.parse(SOURCE)).replace("cancel(job)", "pass")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("tests.unit.test_mutations", "tests/unit/test_mutations.py"),
        ("tests.unit.lifecycle.test_life_of_a_step.TestLife", "tests/unit/lifecycle/test_life_of_a_step.py::TestLife"),
    ],
)
def test_a_recorded_test_has_the_id_that_pytest_knows_it_by(names: str, found: str) -> None:
    assert _file_of(names) == found


def test_the_tests_of_a_module_in_processes_of_their_own_meet_each_of_its_mutants() -> None:
    module, quick = "lifecycle/stop_signals.py", "tests/unit/lifecycle/test_stop_signals.py::test_one"
    mutation = next(mutations(SOURCE))
    durations = {quick: 2.0, "tests/unit/test_a.py::test_line": 1.0, "tests/unit/test_b.py::test_other": 1.0}
    executed = {mutation.line: {"tests/unit/test_a.py::test_line", "tests/unit/test_c.py::test_that_failed"}}

    assert _tests(module, executed, mutation, durations) == (("tests/unit/test_a.py::test_line", quick), 3.0)
    assert _tests("lifecycle/other.py", executed, mutation, durations) == (("tests/unit/test_a.py::test_line",), 1.0)
