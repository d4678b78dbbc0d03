"""The cells of a preset, and how a command line narrows them."""

from __future__ import annotations

from typing import Any

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from experiments.cli.cells import cells_of, names_of, narrowed, parts_of, register_resolvers, shown
from prunekit.support.errors import UserError

CURVES: dict[str, Any] = {
    "params": {"task": "mnli"},
    "parts": [
        {"order": "importance,oracle", "train.seed": "0,1"},
        {"order": "random", "seed, train.seed": [[0, 0], [1, 1], [2, 0]]},
    ],
}


def found(sweeper: dict[str, Any], *given: str) -> list[str]:
    parts = narrowed(parts_of(OmegaConf.create(sweeper)), given)
    return [" ".join(f"{key}={value}" for key, value in cell.items()) for cell in cells_of(parts)]


@pytest.mark.parametrize(
    "overrides",
    [
        ["constraint=0.3,0.5", "seed=0,1,2"],
        ["seed=range(0,3)", "task=sst2", "constraint=0.3,0.5", "run.folder=runs"],
        ["task=sst2,mrpc", "+model.shape={a: 1}", "batch_sizes=[1,2]"],
        ["constraint=0.5"],
        ["seed=1", "constraint=0.3,0.5", "seed=0,1"],
        ["train.seed='0,1'", "kinds=[enc-enc],[enc-dec]", "~teacher"],
    ],
)
def test_without_a_preset_cells_are_those_of_hydra(overrides: list[str]) -> None:
    [batch] = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(overrides), None)
    cells = cells_of(narrowed([{}], overrides))
    assert [[f"{key}={value}" for key, value in cell.items()] for cell in cells] == batch
    swept = {texts[0].partition("=")[0] for texts in zip(*batch, strict=True) if len(set(texts)) > 1}
    expected = [" ".join(text for text in cell if text.partition("=")[0] in swept) for cell in batch]
    assert names_of(cells) == expected


def test_params_alone_are_hydras_product() -> None:
    params = {"constraint": "0.3,0.5", "seed": 0, "units": ["heads"], "teacher": None, "tune": True}
    assert found({"params": params}) == [
        "constraint=0.3 seed=0 units=[heads] teacher=null tune=True",
        "constraint=0.5 seed=0 units=[heads] teacher=null tune=True",
    ]
    assert found({"params": params}, "seed=1,2", "constraint=0.9") == [
        "constraint=0.9 seed=1 units=[heads] teacher=null tune=True",
        "constraint=0.9 seed=2 units=[heads] teacher=null tune=True",
    ]


def test_parts_stand_beside_what_is_common_and_joined_settings_go_together() -> None:
    assert found(CURVES) == [
        "task=mnli order=importance train.seed=0",
        "task=mnli order=importance train.seed=1",
        "task=mnli order=oracle train.seed=0",
        "task=mnli order=oracle train.seed=1",
        "task=mnli order=random seed=0 train.seed=0",
        "task=mnli order=random seed=1 train.seed=1",
        "task=mnli order=random seed=2 train.seed=0",
    ]


@pytest.mark.parametrize(
    ("given", "cells"),
    [
        (["order=oracle", "train.seed=1"], ["order=oracle train.seed=1"]),
        (["order=random"], ["order=random seed=0 train.seed=0", "order=random seed=1 train.seed=1",
                            "order=random seed=2 train.seed=0"]),
        (["order=oracle,random", "train.seed=0"],
         ["order=oracle train.seed=0", "order=random seed=0 train.seed=0", "order=random seed=2 train.seed=0"]),
        (["order=random", "seed=1,0", "train.seed=0,1"],  # both of what is joined: their product
         ["order=random seed=1 train.seed=0", "order=random seed=1 train.seed=1",
          "order=random seed=0 train.seed=0", "order=random seed=0 train.seed=1"]),
        (["order=random", "seed=7"], ["order=random seed=7 train.seed=0", "order=random seed=7 train.seed=1"]),
        (["order=oracle", "train.seed=9"], ["order=oracle train.seed=9"]),  # no part has it: all that name it
        (["order=magnitude", "train.seed=0"], ["order=magnitude train.seed=0", "order=magnitude seed=0 train.seed=0",
                                               "order=magnitude seed=2 train.seed=0"]),
        (["order=oracle", "train.seed=0", "floor=0,1"],
         ["order=oracle train.seed=0 floor=0", "order=oracle train.seed=0 floor=1"]),
        (["task=rte", "order=oracle", "train.seed=0"], ["order=oracle train.seed=0"]),
    ],
)  # fmt: skip
def test_the_command_line_narrows(given: list[str], cells: list[str]) -> None:
    task = next((text for text in given if text.startswith("task=")), "task=mnli")
    assert found(CURVES, *given) == [f"{task} {cell}" for cell in cells]


def test_values_that_no_run_has_together_leave_nothing() -> None:
    assert found({"parts": [{"order": "oracle", "floor": 0}, {"order": "random", "floor": 1}]},
                 "order=oracle", "floor=1") == []  # fmt: skip


def test_a_part_without_values_has_no_cells_until_they_are_given() -> None:
    sweeper = {"params": {"model": "marian"}, "parts": [{"task": ""}, {"task, teacher": []}]}
    assert found(sweeper) == []
    assert found(sweeper, "task=iwslt14") == ["model=marian task=iwslt14"]


def test_cells_that_two_parts_have_are_run_once() -> None:
    assert found({"parts": [{"seed": "0,1"}, {"seed": "1,2"}]}) == ["seed=0", "seed=1", "seed=2"]


def test_an_interval_has_no_values() -> None:
    with pytest.raises(UserError, match="an interval has no values"):
        found({"params": {"seed": "interval(0,1)"}})


def test_what_presets_take_from_lists_of_the_scale() -> None:
    register_resolvers()
    config = OmegaConf.create({
        "seeds": [0, 1, 2, 3, 4], "teachers": [0, 1, 2], "none": [], "units": [["heads"], ["heads", "neurons"]],
        "sparsities": {"sst2": [0.6, 0.9], "rte": [0.9]}, "word": "", "alone": {"heads": 0.3},
        "sweep": "${sweep:${seeds}}", "lists": "${sweep:${units}}", "else": "${sweep:${none},demo}",
        "first": "${first:${teachers}}", "given": "${first:${word},demo}", "left": "${first:${none},demo}",
        "spread": "${spread:${seeds},${teachers}}", "pairs": "${pairs:${sparsities}}", "by_itself": "${alone:${alone}}",
    })  # fmt: skip
    assert (config.sweep, config.lists, config["else"]) == ("0,1,2,3,4", "[heads],[heads,neurons]", "demo")
    assert (config.first, config.given, config.left) == ("0", "demo", "demo")
    assert config.spread == [[0, 0], [1, 1], [2, 2], [3, 0], [4, 1]]
    assert config.pairs == [["sst2", 0.6], ["sst2", 0.9], ["rte", 0.9]]
    assert config.by_itself == [[["heads"], 0.3]]


def test_a_part_is_shown_as_it_is_written() -> None:
    parts = narrowed(parts_of(OmegaConf.create(CURVES)), ["experiment=curves", "seed=1,2"])
    assert [shown(part) for part in parts] == [
        "task=mnli order=importance,oracle train.seed=0,1 seed=1,2",
        "task=mnli order=random seed,train.seed=[1,1],[2,0]",
    ]
