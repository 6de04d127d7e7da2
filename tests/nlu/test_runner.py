"""Our graph runner gives what Rasa's own gives, and refuses what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rasa.engine.exceptions import GraphRunError
from rasa.engine.graph import ExecutionContext, GraphComponent, GraphSchema, SchemaNode
from rasa.engine.runner.dask import DaskGraphRunner
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage

from bot.nlu.runner import StraightGraphRunner

pytestmark = pytest.mark.rasa


class Sum(GraphComponent):  # type: ignore[misc]
    """Adds two numbers, and counts how often it ran."""

    runs = 0

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> Sum:
        """Make one (see parent class)."""
        return cls()

    def add(self, left: int, right: int) -> int:
        """The sum."""
        Sum.runs += 1
        return left + right


def node(target: bool = False, **needs: str) -> SchemaNode:
    return SchemaNode(
        needs=needs, uses=Sum, fn="add", constructor_name="create", config={}, eager=True, is_target=target
    )


SCHEMA = GraphSchema(
    {
        # Written down in no order that could be run from top to bottom.
        "last": node(True, left="middle", right="first"),
        "middle": node(left="first", right="number"),
        "aside": node(True, left="number", right="number"),
        "first": node(left="number", right="number"),
    }
)


@pytest.fixture
def runners(tmp_path: Path) -> tuple[DaskGraphRunner, StraightGraphRunner]:
    storage = LocalModelStorage(tmp_path)
    context = ExecutionContext(GraphSchema({}))
    theirs = DaskGraphRunner.create(SCHEMA, storage, context)
    return theirs, StraightGraphRunner.create(SCHEMA, storage, context)


@pytest.mark.parametrize("targets", [None, ["last"], ["aside"], ["middle", "aside"], ["first"]])
def test_the_same_results(
    runners: tuple[DaskGraphRunner, StraightGraphRunner], targets: list[str] | None
) -> None:
    theirs, ours = runners
    for number in (1, 20):
        expected = theirs.run({"number": number}, targets)
        assert ours.run({"number": number}, targets) == expected
    assert expected


def test_only_what_a_target_needs_is_run_and_once(
    runners: tuple[DaskGraphRunner, StraightGraphRunner],
) -> None:
    _, ours = runners
    before = Sum.runs
    assert ours.run({"number": 1}, ["middle"]) == {"middle": 3}
    assert Sum.runs == before + 2


def test_an_input_that_is_missing_or_named_like_a_node_is_refused(
    runners: tuple[DaskGraphRunner, StraightGraphRunner],
) -> None:
    _, ours = runners
    with pytest.raises(GraphRunError, match="number"):
        ours.run({"something": 1}, ["last"])
    with pytest.raises(GraphRunError, match="first"):
        ours.run({"number": 1, "first": 2}, ["last"])
