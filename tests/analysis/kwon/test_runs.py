"""Which runs are the usual ones: of several numbers of calibration examples, which counts."""

from __future__ import annotations

from pathlib import Path

from analysis.compare.runs import chosen_by, comparisons
from analysis.data.loading import Journal, load
from analysis.kwon.runs import default_runs, usual_examples
from tests.support.records import kwon, methods
from tests.support.records.frame import MINILM


def test_of_the_numbers_of_examples_that_with_the_most_different_values_counts(tmp_path: Path) -> None:
    """Then that with the most runs, then the largest."""
    for number, names in ((64, ["fisher"] * 3), (256, ["fisher", "ziplm"]), (512, ["flap", "ziplm"])):
        for seed, name in enumerate(names):
            methods.run(tmp_path, MINILM, name, seed=seed, calibration_examples=number)
    records = load([tmp_path], Journal())

    def numbers() -> set[int]:
        return {one.config["calibration_examples"] for one in usual_examples(records, chosen_by)}

    assert numbers() == {512}
    records += [one for one in records if one.config["calibration_examples"] == 256][:1]
    assert numbers() == {256}
    assert usual_examples([], chosen_by) == []


def test_fisher_pruning_counts_constraints_and_other_methods_count_methods(tmp_path: Path) -> None:
    for number, constraints in ((64, (0.5, 0.7)), (2048, (0.5,))):
        for constraint in constraints:
            kwon.pruning(tmp_path, MINILM, "sst2", constraint=constraint, calibration_examples=number)
            methods.run(tmp_path, MINILM, "fisher", constraint=constraint, calibration_examples=number)
    for seed in range(3):
        kwon.pruning(tmp_path, MINILM, "sst2", constraint=0.5, seed=seed + 1, calibration_examples=2048)
    methods.run(tmp_path, MINILM, "ziplm", constraint=0.5, calibration_examples=2048)
    records = load([tmp_path], Journal())
    [group] = default_runs([one for one in records if one.verb == "prune_fisher"])
    assert {one.config["calibration_examples"] for one in group.records} == {64}
    [runs] = comparisons([one for one in records if one.verb == "compress"], fewest=1)
    assert {one.config["calibration_examples"] for one in runs.records} == {2048}
