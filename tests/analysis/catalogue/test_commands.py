"""The command beside a verdict makes the runs that were judged, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.catalogue.commands import of_claim
from analysis.claims import papers
from analysis.data.groups import Setting
from analysis.data.loading import Journal, load
from analysis.data.records import Record
from tests.support.records import cofi, kwon
from tests.support.records.frame import MINILM

SMALL = Setting("minilm-l6", "pretrained", "", "small")
MACS = papers.read("kwon").claims[0]
TASKS = papers.read("cofi").claims[-1]


def pruned(root: Path, *cells: tuple[str, int, float]) -> list[Record]:
    for task, seed, constraint in cells:
        kwon.pruning(root, MINILM, task, seed=seed, constraint=constraint)
    return load([root], Journal())


def test_a_grid_has_its_own_seeds_sizes_and_tasks(tmp_path: Path) -> None:
    judged = pruned(tmp_path, *((task, seed, 0.5) for task in ("rte", "sst2") for seed in (0, 1234567)))
    assert of_claim(MACS, SMALL, judged=judged) == (
        "python -m experiments.prune_fisher -m experiment=kwon_macs constraint=0.5 seed=0,1234567 scale=small "
        "model=minilm-l6 task=rte,sst2"
    )


def test_sizes_are_written_as_they_are(tmp_path: Path) -> None:
    """Another digit would be another run."""
    assert f"constraint={1 / 3} seed=0 " in of_claim(MACS, SMALL, judged=pruned(tmp_path, ("sst2", 0, 1 / 3)))


@pytest.mark.parametrize(
    "cells",
    [(("rte", 0, 0.5), ("rte", 1, 0.5), ("sst2", 0, 0.5)), (("rte", 0, 0.5), ("rte", 1, 0.3))],
    ids=["a seed of one task", "a size of each seed"],
)
def test_runs_that_are_no_grid_have_the_words_of_the_claim(
    tmp_path: Path, cells: tuple[tuple[str, int, float], ...]
) -> None:
    """A sweep over all of their values would make runs that nobody has judged."""
    line = of_claim(MACS, SMALL, judged=pruned(tmp_path, *cells))
    assert "constraint=0.3,0.4,0.5,0.6,0.7,0.8,0.9 seed=0,1,2 " in line


def test_budgets_of_which_each_has_its_own_seeds_are_no_grid(tmp_path: Path) -> None:
    """Three draws of MACs and one of latency: a sweep that names what was judged would make more."""
    claim = papers.read("kwon").claims[1]
    kwon.pruning(tmp_path, MINILM, "sst2", constraint=0.5, budget="latency")
    judged = pruned(tmp_path, *(("sst2", seed, 0.5) for seed in (0, 1, 2)))
    whole = "budget=mac,latency constraint=0.3,0.4,0.5,0.6,0.7,0.8,0.9 seed=0,1,2 "
    assert whole in of_claim(claim, SMALL, judged=judged)
    assert "budget=mac constraint=0.5 seed=0,1,2 " in of_claim(
        claim, SMALL, judged=[one for one in judged if one.config["budget"] == "mac"]
    )


def test_seeds_that_a_claim_does_not_name_are_added(tmp_path: Path) -> None:
    kept = papers.read("cofi").claims[1]
    for seed in (0, 3):
        cofi.run(tmp_path, MINILM, "mrpc", seed=seed, sparsity=0.95)
    assert of_claim(kept, SMALL, judged=load([tmp_path], Journal())) == (
        "python -m experiments.prune_cofi -m experiment=cofi_sparsity sparsity=0.95 seed=0,3 scale=small "
        "model=minilm-l6 task=mrpc"
    )


def test_tasks_that_a_command_names_are_those_that_were_judged(tmp_path: Path) -> None:
    for task in ("rte", "qnli"):
        for seed in (0, 1):
            cofi.run(tmp_path, MINILM, task, seed=seed, sparsity=0.9)
    line = of_claim(TASKS, SMALL, judged=load([tmp_path], Journal()))
    assert "sparsity=0.9 task=qnli,rte seed=0,1 " in line and line.count("task=") == 1
