"""The stages of a method as they come, held to what records and budgets take for granted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prunekit.methods.common.method import Compression, Method
from prunekit.methods.common.options import file_of
from prunekit.methods.common.problem import Problem
from prunekit.methods.common.stage_tables import check_tables
from prunekit.models.blocks import describe
from prunekit.support.errors import UserError

WHOLE = "dense"
"""The stage of the whole model in records."""


def checked_stages(name: str, method: Method, problem: Problem) -> Iterator[Compression]:
    """What every stage of a method leaves; the last one is the result.

    Stages before the last may be over the budget: a method may come down to it. Nothing is computed before the first
    one is asked for.

    Raises:
        UserError: at once as :meth:`Method.check`; then as :meth:`Method.compress`, and for no stage, what is no stage,
            masks of another model, a name that another stage or the whole model has (scores are recorded by it), a
            table that no record has, or a result over the budget.
    """
    method.check(problem)
    return _stages(name, method, problem)


def _stages(name: str, method: Method, problem: Problem) -> Iterator[Compression]:
    where, seen, tables = file_of(name), {WHOLE: "the whole model"}, set[str]()
    layout, last = describe(problem.model), None
    stages: object = method.compress(problem)
    if not isinstance(stages, Iterable):
        raise UserError(f"{where}: compress returns a {type(stages).__name__}, it should yield a Compression a stage")
    for last in stages:
        if not isinstance(last, Compression):
            raise UserError(f"{where}: compress yields a {type(last).__name__}, it should yield a Compression a stage")
        if not isinstance(last.stage, str) or not last.stage.strip():
            raise UserError(f"{where}: a stage is called {last.stage!r}, give it a name")
        if last.stage in seen:
            raise UserError(
                f"{where}: method={name} calls a stage {last.stage!r} as {seen[last.stage]} is called, give it a name "
                "of its own"
            )
        seen[last.stage] = "one before it"
        last.masks.check(layout, batched=False)
        check_tables(where, last.tables, tables)
        tables |= last.tables.keys()
        yield last
    if last is None:
        raise UserError(f"{where}: compress yields nothing, it should yield a Compression a stage")
    problem.budget.check_kept(name, problem.model, last.masks)
