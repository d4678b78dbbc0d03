"""The claims of all papers in one table, and ALBERT's, which two models test together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from analysis.catalogue.all_claims import judge, table_of_all
from analysis.catalogue.chapters import CHAPTERS
from analysis.catalogue.draw import draw_all
from analysis.claims import papers
from analysis.claims.table import OURS
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from tests.support.drawings import only_csv
from tests.support.records import cofi, kwon, michel
from tests.support.records.frame import BERT, MINILM, mark_quiet

UNTRAINED = BERT | {"weights": "random"}
ALBERT = UNTRAINED | {"name": "albert-base", "path": "albert/albert-base-v2", "parameters": 11_685_891, "layers": 1,
                 "heads": 12}  # fmt: skip
SHAPES: dict[str, dict[str, int]] = {
    "albert-base": {"vocab_size": 30000, "hidden_size": 768, "embedding_size": 128},
    "bert-base": {"vocab_size": 30522, "hidden_size": 768},
}
OF_ALL = {"albert-base": 0.2022, "bert-base": 0.2589}


def timed(root: Path, model: dict[str, Any], slower: float = 1.0, **device: Any) -> Path:
    """A run of ``time_inference`` with the shape and shares of a real one, its times multiplied."""
    folder = michel.timing(root, model, teacher=None, data=[])
    path = folder / "result.json"
    result = json.loads(path.read_text())
    result["config"]["model"]["shape"] = SHAPES[model["name"]]
    result["metrics"] = {"attention_parameter_share": OF_ALL[model["name"]], "attention_share_of_layers": 0.3334}
    result["device"] |= device
    path.write_text(json.dumps(result))
    table = pd.read_csv(folder / "tables" / "timings.csv")
    for column in ("median_ms", "low_ms", "high_ms"):
        table[column] *= slower
    table.to_csv(folder / "tables" / "timings.csv", index=False)
    return folder


def albert(root: Path) -> pd.DataFrame:
    runs = {"time_inference": [Group(load([root], Journal()))]}
    return papers.judged("albert", runs, Journal()).frame.set_index("where")


def whole(root: Path) -> pd.DataFrame:
    journal = Journal()
    records = load([root], journal)
    table = table_of_all(judge(records, journal), records, journal)
    assert table is not None and journal.warnings == []
    return table.frame


@pytest.mark.parametrize(
    ("slower", "verdict"), [(1.0, "holds"), (1.5, "holds"), (0.7, "does not hold"), (0.9, "undecided")]
)
def test_albert_has_fewer_parameters_and_is_not_faster(tmp_path: Path, slower: float, verdict: str) -> None:
    folders = [timed(tmp_path, ALBERT, slower), timed(tmp_path, UNTRAINED)]
    frame = albert(tmp_path)
    assert frame.loc["Sec. 3.1", OURS] == "102 % of the published ratio (6.0 x, 23.4 M to 3.9 M)"
    assert str(frame.loc["Table 4", OURS]).startswith("80 % of the parameters saved (layers 85.0 M to 7.1 M")
    assert list(frame["verdict"][:2]) == ["holds", "holds"] and set(frame["n"][:2]) == {"counted"}
    row = frame.loc["write-ups of the paper"]
    assert row["verdict"] == "undecided: machine not known to be quiet"
    assert str(row[OURS]).startswith(f"{slower:.2f} (") and "x BERT's time" in str(row[OURS])
    timings = pd.read_csv(folders[1] / "tables" / "timings.csv")
    cells = timings[timings["variant"] == "original"].drop_duplicates(["batch_size", "length"])
    relative = 1.2533 * (cells["high_ms"] - cells["low_ms"]) / 1.349 / cells["repeats"] ** 0.5 / cells["median_ms"]
    half = slower * float((2 * relative**2).sum() ** 0.5) / len(cells) * stats.t.ppf(0.975, cells["repeats"].min() - 1)
    assert (float(str(row["low"])), float(str(row["high"]))) == pytest.approx((slower - half, slower + half), rel=1e-4)
    for folder in folders:
        mark_quiet(folder, {"time inference": 0.0})
    assert str(albert(tmp_path).loc["write-ups of the paper", "verdict"]).startswith(verdict)
    assert row["setting"] == (
        "albert-base (random weights) and bert-base (random weights); AMD EPYC 7B13 (cpu), 2 threads, float32; "
        "not known to be quiet"
    )


def test_two_machines_or_one_model_say_nothing_of_albert(tmp_path: Path) -> None:
    timed(tmp_path, ALBERT)
    assert set(albert(tmp_path)["verdict"]) == {"not tested"}
    timed(tmp_path, UNTRAINED, threads=16)
    assert set(albert(tmp_path)["verdict"]) == {"not tested"}


def test_a_row_a_claim_and_model_and_one_for_what_no_run_tests(tmp_path: Path) -> None:
    michel.ablation(tmp_path, MINILM)
    michel.ablation(tmp_path, BERT, scale="paper")
    cofi.run(tmp_path, MINILM, sparsity=0.95)
    frame = whole(tmp_path)
    claims = sum(len(chapter.list_claims()) for chapter in CHAPTERS) + len(papers.read("albert").claims)
    assert set(frame["paper"]) == {*(c.title for c in CHAPTERS if c.paper), "Lan et al. 2019 (ALBERT)"}
    assert frame["claim"].nunique() == claims and len(frame) == claims + 3, "three claims are tested on both models"
    heads = frame[frame["claim"].str.startswith("Most single heads")]
    assert list(heads["command"]) == [
        "python -m experiments.ablate_heads experiment=michel_fig1b scale=paper model=bert-base task=mnli",
        "python -m experiments.ablate_heads experiment=michel_fig1b scale=small model=minilm-l6 task=mnli",
    ]
    untested = frame[frame["claim"].str.startswith("The effect of removing a head")].iloc[0]
    assert (untested["verdict"], untested[OURS], untested["setting"]) == ("not tested", "", "not in the records")
    assert untested["command"].startswith("python -m experiments.transfer experiment=michel_fig2b scale=")
    assert (frame.loc[frame["claim"].str.startswith("At 95 %"), "verdict"] != "not tested").all()


def test_the_ledger_says_what_the_tables_of_the_papers_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.render.output.save_figure", only_csv)
    for task in ("mnli", "sst2"):
        kwon.pruning(tmp_path / "runs", MINILM, task)
    result = draw_all([tmp_path / "runs"], tmp_path / "figures")
    frame = pd.read_csv(tmp_path / "figures" / "claims.csv", keep_default_na=False).set_index("claim")
    own = pd.read_csv(tmp_path / "figures" / "minilm-l6" / "claims_kwon.csv", keep_default_na=False).set_index("claim")
    shared = ["where", "published", OURS, "n", "verdict", "estimate", "low", "high", "margin", "decides_at"]
    tested = own[own["verdict"] != "not tested"]
    assert len(tested) == 3
    assert frame.loc[tested.index, shared].equals(tested[shared])
    assert [table.name for table in result.tables][-1] == "claims"
    assert (tmp_path / "figures" / "claims.md").read_text().startswith("**What the papers claim")
    assert frame.loc[tested.index[0], "command"] == (
        "python -m experiments.prune_fisher -m experiment=kwon_macs constraint=0.5 seed=0 scale=small model=minilm-l6 "
        "task=mnli,sst2"
    ), "of the runs that were judged, not of those that the claim would have"


def test_no_ledger_without_any_verdict(tmp_path: Path) -> None:
    michel.finetune(tmp_path)
    records = load([tmp_path], Journal())
    assert table_of_all(judge(records, Journal()), records, Journal()) is None
