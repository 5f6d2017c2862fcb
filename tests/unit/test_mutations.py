"""What `make mutants` changes in a module."""

from __future__ import annotations

import ast
from textwrap import dedent

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
