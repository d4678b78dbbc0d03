"""Runs of different settings or conditions never share a figure."""

from __future__ import annotations

from pathlib import Path

from analysis.data.groups import Group, by_condition, by_setting, describe, folder_names
from analysis.data.loading import Journal, load
from tests.support.records import michel
from tests.support.records.frame import BERT, DEMO, MINILM


def test_settings_and_their_folders(tmp_path: Path) -> None:
    michel.timing(tmp_path, MINILM)
    michel.timing(tmp_path, MINILM, scale="paper")
    michel.timing(tmp_path, BERT | {"weights": "random"}, teacher=None)
    groups = by_setting(load([tmp_path], Journal()))
    assert sorted(folder_names(groups).values()) == [
        "bert-base-random_mnli",
        "minilm-l6_mnli_paper",
        "minilm-l6_mnli_small",
    ]


def test_seeds_orders_and_shares_join_and_everything_else_splits(tmp_path: Path) -> None:
    for order, teacher, seed in (("importance", 0, 0), ("importance", 1, 0), ("random", 0, 3)):
        michel.pruning(tmp_path, DEMO, order, teacher, seed)
    michel.pruning(tmp_path, DEMO, "importance", config={"floor": 1, "share": 0.5})
    michel.pruning(tmp_path, DEMO, "importance", rows=500)
    groups = by_condition(load([tmp_path], Journal()))
    assert [len(group.records) for group in groups] == [3, 1, 1]
    assert groups[0].suffix == ""
    assert "floor=1" in groups[1].suffix
    assert "evaluation rows=mnli/validation_matched:2000" in groups[0].caption
    assert "evaluation rows=mnli/validation_matched:500" in groups[2].caption


def test_caption_names_model_data_rows_and_seeds(tmp_path: Path) -> None:
    for teacher in (0, 2):
        michel.pruning(tmp_path, MINILM, "importance", teacher)
    assert Group(load([tmp_path], Journal())).caption == (
        "minilm-l6 (sentence-transformers/all-MiniLM-L6-v2, 6 layers x 12 heads, pretrained); "
        "trained on mnli train (24,511 of 392,702 rows); "
        "evaluated on mnli validation_matched (2,000 of 9,815 rows); "
        "teacher seeds 0, 2; run seed 0; scale small."
    )


def test_caption_says_random_weights_and_demo(tmp_path: Path) -> None:
    michel.timing(tmp_path, BERT | {"weights": "random"}, teacher=None, task="demo")
    caption = describe(load([tmp_path], Journal()))
    assert "RANDOM WEIGHTS" in caption
    assert "not a reproduction" in caption


def test_a_setting_that_older_records_do_not_know_splits_nothing_where_it_is_null(tmp_path: Path) -> None:
    for seed, train in ((0, {}), (1, {"attention_dropout": None}), (2, {"attention_dropout": 0.0})):
        config = {"train": {"seed": 0, "examples": 24511, **train}}
        michel.pruning(tmp_path, MINILM, "random", seed=seed, config=config)
    groups = by_condition(load([tmp_path], Journal()))
    assert [sorted(record.seed for record in group.records) for group in groups] == [[0, 1], [2]]
    assert groups[1].label == "train.attention_dropout=0.0"


def test_many_seeds_are_told_by_their_range(tmp_path: Path) -> None:
    for seed in range(12):
        michel.pruning(tmp_path, DEMO, "random", seed=seed, values={0.0: 0.7})
    records = load([tmp_path], Journal())
    assert "run seeds 0 to 11;" in describe(records)
    assert "run seeds 0 to 11 (11 of them);" in describe([record for record in records if record.seed != 5])
    assert "run seeds 0, 1, 2;" in describe(records[:3])
