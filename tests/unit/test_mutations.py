"""What `make mutants` changes in a module."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from tests.mutation.__main__ import _file_of, _tests
from tests.mutation.mutate import mutations
from tests.mutation.targets import IN_PROCESSES, LEFT_OUT, PACKAGE, ROOT, TARGETS, WHOLE

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


@pytest.mark.parametrize("folder", WHOLE)
def test_every_module_with_logic_is_mutated_or_left_out_for_a_reason(folder: str) -> None:
    paths = sorted((PACKAGE / folder).rglob("*.py"))
    with_logic = {str(path.relative_to(PACKAGE)) for path in paths if any(mutations(path.read_text()))}
    assert with_logic  # the folder exists

    assert with_logic - set(TARGETS) == {module for module in LEFT_OUT if module.startswith(f"{folder}/")}


def test_the_lists_of_mutated_modules_name_files_and_each_once() -> None:
    named = [*TARGETS, *LEFT_OUT, *IN_PROCESSES]
    assert [module for module in named if not (PACKAGE / module).is_file()] == []
    assert len({*TARGETS, *LEFT_OUT}) == len(TARGETS) + len(LEFT_OUT)
    assert set(IN_PROCESSES) <= set(TARGETS)
    assert [test for tests in IN_PROCESSES.values() for test in tests if not (ROOT / test).is_file()] == []
