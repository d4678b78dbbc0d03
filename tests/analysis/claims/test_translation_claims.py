"""The claims on translation are judged by the stated criteria, from records alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.catalogue.all_claims import judge, table_of_all
from analysis.catalogue.commands import of_claim
from analysis.claims import papers
from analysis.claims.table import OURS
from analysis.data.groups import Group, Setting
from analysis.data.loading import Journal, load
from analysis.intervals.power import MORE
from analysis.michel import fig5
from analysis.render.output import Drawing
from tests.support.claims import outcomes, rulings
from tests.support.records import michel, translation
from tests.support.records.frame import MINILM


def group(root: Path) -> Group:
    return Group(load([root], Journal()))


def three(write: Callable[[int], object]) -> None:
    """Runs of three teachers."""
    for teacher in range(3):
        write(teacher)


def test_single_heads_are_those_of_encoder_self_attention(tmp_path: Path) -> None:
    """Changes with p = 0.002 are known to a third of themselves: 5 points surely cost one, 1 point gained none."""
    worse = {("enc-enc", 0, head): -0.05 for head in range(3)} | {("enc-enc", 1, 0): 0.01}
    translation.ablation(tmp_path, one_off=worse | {("dec-dec", 0, 0): -0.2})
    [outcome] = outcomes("michel.single_heads", group(tmp_path), "translation")
    assert outcome.effect.value == 100 * 5 / 8
    assert outcome.note.endswith("3 surely not; 4 of 8 changes with p < 0.01")
    [better] = outcomes("translation.improvements", group(tmp_path))
    band = stats.binomtest(1, 4).proportion_ci(0.95, "wilson")
    assert better.effect.value == 25 and better.note == "1 of 4 heads"
    assert better.effect.alone(0.95) == pytest.approx((100 * band.low, 100 * band.high))
    assert better.effect.main.rows_of == "heads"


def test_half_of_the_changes_are_gains_if_teachers_agree(tmp_path: Path) -> None:
    heads = {("enc-enc", layer, head): (-1) ** head * 0.05 for layer in range(2) for head in range(4)}
    three(lambda teacher: translation.ablation(tmp_path, one_off=heads, teacher=teacher))
    [ruling] = rulings("translation.improvements", group(tmp_path))
    assert ruling.outcome.effect.value == 50 and ruling.state == "undecided", "of eight heads Wilson says 22 to 78"
    assert ruling.margin == (25, 75) and ruling.needed == (0, MORE)


def test_without_a_significant_head_nothing_says_which_are_better_removed(tmp_path: Path) -> None:
    translation.ablation(tmp_path, one_off={("enc-dec", 0, 0): 0.01})
    assert outcomes("translation.improvements", group(tmp_path)) == []


@pytest.mark.parametrize(
    ("kept", "number"),
    [
        ({("enc-dec", 1, "dev"): -0.12, ("enc-dec", 0, "dev"): -0.05}, -7.0),
        ({("enc-dec", 1, "dev"): -0.12, ("dec-dec", 0, "dev"): -0.13}, 1.0),
        ({("enc-dec", 0, "dev"): -0.12}, 11.95),
        ({}, 0.0),  # no layer differs
    ],
)
def test_the_last_layer_is_beside_the_worst_other_one(
    tmp_path: Path, kept: dict[tuple[str, int, str], float], number: float
) -> None:
    translation.ablation(tmp_path, kept=kept)
    [ruling] = rulings("translation.last_cross_layer", group(tmp_path), protocol="dev")
    assert ruling.outcome.effect.value == pytest.approx(number)
    assert ruling.outcome.cells == 5, "it is the worst of five"
    assert ruling.state == "undecided", "one teacher"


@pytest.mark.parametrize(("last", "state"), [(-0.5, "holds"), (-0.02, "undecided"), (0.3, "does not hold")])
def test_the_last_layer_breaks_in_three_teachers(tmp_path: Path, last: float, state: str) -> None:
    kept = {("enc-dec", 1, "dev"): last, ("enc-dec", 0, "dev"): -0.01}
    three(lambda teacher: translation.ablation(tmp_path, kept=kept, teacher=teacher))
    [ruling] = rulings("translation.last_cross_layer", group(tmp_path), protocol="dev")
    errors = [100 * abs(delta) / stats.norm.isf(0.001) for delta in kept.values()]
    # a head that is chosen on these rows is the best of four
    assert ruling.outcome.effect.main.rows_error == pytest.approx(np.hypot(*errors))
    assert ruling.state == state


def test_half_of_the_layers_is_enough_only_on_other_data(tmp_path: Path) -> None:
    claims = [claim for claim in papers.read("translation").claims if "cut to one head" in claim.text]
    assert [(claim.side, claim.margin) for claim in claims] == [("above", 50), ("at least", 50)]
    lost = [("enc-enc", 0), ("enc-dec", 1), ("dec-dec", 0)]
    kept = {(*place, protocol): -0.05 for place in lost for protocol in ("dev", "train")}
    translation.ablation(tmp_path, kept=kept)
    frame = papers.judged("translation", {"ablate_heads": [group(tmp_path)]}, Journal(), "a setting").frame
    layers = frame[frame[OURS].str.contains("% of layers")]
    assert [text.split(" (")[0] for text in layers[OURS]] == ["50", "50"]
    assert layers["published"].tolist() == ["78 % (14 of 18 layers)", "50 % (9 of 18 layers)"]


def curves(root: Path, teacher: int = 0, **at_80: float) -> None:
    """Each kind pruned alone; what is left of a BLEU of 0.40 with 80 % pruned."""
    for name, value in at_80.items():
        kinds = [name.replace("_", "-")]
        translation.pruning(root, "importance", kinds, {0.0: 0.40, 0.8: value, 1.0: 0.0}, teacher=teacher)
        translation.pruning(root, "random", kinds, {0.0: 0.40, 0.8: 0.0}, teacher=teacher)


def test_encoder_decoder_attention_against_the_other_kinds(tmp_path: Path) -> None:
    three(lambda teacher: curves(tmp_path, teacher, enc_enc=0.38, enc_dec=0.10, dec_dec=0.36 + 0.002 * teacher))
    [sensitive] = rulings("translation.most_sensitive", group(tmp_path))
    assert (sensitive.outcome.effect.value, sensitive.state) == (pytest.approx(65.5), "holds")
    error, kept = 100 * 0.01 / stats.norm.isf(0.025) / 0.4, np.array([0.905, 0.25])
    expected = error * float(np.sqrt((1 + kept**2).sum()))
    assert sensitive.outcome.effect.main.rows_error == pytest.approx(expected, rel=0.02)
    [broken] = rulings("translation.catastrophe", group(tmp_path))
    assert (broken.outcome.effect.value, broken.state) == (pytest.approx(25), "holds")
    [fine] = rulings("translation.bearable", group(tmp_path))
    assert (fine.outcome.effect.value, fine.state) == (pytest.approx(90.5), "holds")
    assert fine.outcome.note.startswith("enc-enc 95 %, dec-dec 90 %; ")


def test_kinds_that_bear_alike(tmp_path: Path) -> None:
    three(lambda teacher: curves(tmp_path, teacher, enc_enc=0.30, enc_dec=0.32, dec_dec=0.34))
    [sensitive] = rulings("translation.most_sensitive", group(tmp_path))
    assert (sensitive.outcome.effect.value, sensitive.state) == (pytest.approx(-5), "does not hold")
    assert rulings("translation.catastrophe", group(tmp_path))[0].state == "does not hold"
    assert rulings("translation.bearable", group(tmp_path))[0].state == "does not hold"


def test_two_kinds_alone_say_nothing_of_the_third(tmp_path: Path) -> None:
    curves(tmp_path, enc_enc=0.36, enc_dec=0.10)
    for criterion in ("most_sensitive", "catastrophe", "bearable"):
        assert outcomes(f"translation.{criterion}", group(tmp_path)) == []


def test_pruning_of_all_kinds_is_judged_at_20_percent_and_not_by_runs_of_one_kind(tmp_path: Path) -> None:
    translation.pruning(tmp_path, "importance", values={0.0: 0.35, 0.2: 0.345, 0.4: 0.30, 1.0: 0.0})
    translation.pruning(tmp_path, "oracle", values={0.0: 0.35, 0.2: 0.0, 0.4: 0.28, 1.0: 0.1})
    translation.pruning(tmp_path, "importance", ["enc-enc"], {0.0: 0.35, 0.2: 0.0, 0.4: 0.0, 1.0: 0.0})
    frame = papers.judged("translation", {"prune_heads": [group(tmp_path)]}, Journal(), "a setting").frame
    prunable, better = frame[frame["where"] == "Sec. 4.2, Fig. 3a"].to_dict("records")
    assert (prunable["estimate"], prunable["verdict"]) == ("-0.5", "undecided: only 1 teacher")
    assert (better["estimate"], better["verdict"]) == ("2", "undecided: only 1 teacher")
    [bert] = outcomes("michel.prunable", group(tmp_path))  # the share that BERT bears
    assert bert.effect.value == pytest.approx(-5)


def epochs(root: Path, kept: Mapping[int, float], teacher: int = 0) -> None:
    """What is left of a BLEU of 0.3 with 40 % pruned, by epoch."""
    curve = {epoch: {0.0: 0.3, 0.4: 0.3 * share} for epoch, share in kept.items()}
    translation.dynamics(root, curve, teacher=teacher)


@pytest.mark.parametrize(
    ("kept", "late", "early"),
    [
        ({1: 0.40, 2: 0.80, 8: 0.97}, (97, 85, "holds"), (57, "holds")),
        ({1: 1.07, 2: 0.88, 8: 0.93}, (93, 107, "does not hold"), (-14, "does not hold")),  # no later than early
        ({1: 0.30, 2: 0.95, 8: 0.60}, (60, 85, "does not hold"), (30, "holds")),  # too little is left
        ({1: 0.92, 2: 0.90, 8: 0.95}, (95, 92, "undecided"), (3, "does not hold")),
        ({1: 0.85, 2: 0.90, 8: 0.95}, (95, 85, "holds"), (10, "undecided")),
    ],
)
def test_redundancy_appears_during_training(
    tmp_path: Path, kept: dict[int, float], late: tuple[float, float, str], early: tuple[float, str]
) -> None:
    epochs(tmp_path, kept)
    for name in ("late_redundancy", "early_need"):
        assert rulings(f"translation.{name}", group(tmp_path))[0].state == "undecided", "one training decides nothing"
    for teacher in (1, 2):
        epochs(tmp_path, kept, teacher)
    [last] = rulings("translation.late_redundancy", group(tmp_path))
    assert (last.outcome.effect.value, last.margin) == (pytest.approx(late[0]), pytest.approx(late[1]))
    assert last.state == late[2]
    [first] = rulings("translation.early_need", group(tmp_path))
    assert (first.outcome.effect.value, first.state) == (pytest.approx(early[0]), early[1])


def test_a_margin_of_each_teacher_varies_with_what_it_is_beside(tmp_path: Path) -> None:
    """All teachers keep 8 % more late than early, at very different levels: only the differences have a spread."""
    for teacher, level in enumerate((0.88, 1.0, 1.1)):
        epochs(tmp_path, {1: level, 8: level + 0.08}, teacher)
    [ruling] = rulings("translation.late_redundancy", group(tmp_path))
    assert ruling.outcome.effect.main.spread == pytest.approx(0, abs=1e-9)
    assert ruling.outcome.margin is not None
    assert ruling.outcome.effect.value - ruling.outcome.margin == pytest.approx(8)


def test_an_epoch_without_any_bleu_is_left_out(tmp_path: Path) -> None:
    translation.dynamics(tmp_path)
    [first] = outcomes("translation.early_need", group(tmp_path))
    assert first.effect.value == pytest.approx(40) and first.note == "50 % after epoch 2, 90 % after epoch 8"


def test_an_epoch_that_had_learnt_next_to_nothing_is_no_margin(tmp_path: Path) -> None:
    """By the rule of Fig. 5: less than a quarter of what the best epoch has above the trivial answer."""
    first, second = {0.0: 0.07, 0.4: 0.075}, {0.0: 0.09, 0.4: 0.054}
    path = translation.dynamics(tmp_path, {1: first, 2: second, 8: {0.0: 0.32, 0.4: 0.304}}) / "result.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"metrics": record["metrics"] | {"trivial": {"bleu": 0.0}}}))
    [late] = rulings("translation.late_redundancy", group(tmp_path))
    assert (late.outcome.note, late.margin) == ("epoch 8; 60 % after epoch 2", 85), "7 of 32 are less than a quarter"
    [early] = outcomes("translation.early_need", group(tmp_path))
    assert early.effect.value == pytest.approx(35) and early.note == "60 % after epoch 2, 95 % after epoch 8"
    [drawing] = fig5.draw(group(tmp_path), Journal())
    assert isinstance(drawing, Drawing) and "next to nothing: epoch 1 (BLEU 7.0)." in drawing.key
    path.write_text(json.dumps(record | {"metrics": record["metrics"] | {"trivial": {"bleu": 0.03}}}))
    assert outcomes("translation.early_need", group(tmp_path)) == [], "6 above it are less than a quarter of 29"


def test_every_claim_is_tested_by_the_runs_of_the_paper(tmp_path: Path) -> None:
    translation.everything(tmp_path)
    journal = Journal()
    [judged] = judge(load([tmp_path], journal), journal)
    assert judged.chapter.paper == "translation"
    assert "not tested" not in set(judged.table.frame["verdict"]) and len(judged.table.frame) == 14


def test_the_ledger_names_model_task_and_second_set(tmp_path: Path) -> None:
    translation.transfer(tmp_path)
    journal = Journal()
    records = load([tmp_path], journal)
    table = table_of_all(judge(records, journal), records, journal)
    assert table is not None
    commands = table.frame.set_index("claim")["command"]
    transfer = commands[commands.index.str.contains("another test set")].iloc[0]
    assert transfer == (
        "python -m experiments.transfer experiment=michel_fig2a second=multi30k scale=small model=marian-small "
        "task=multi30k"
    )
    of_bert = commands[commands.index.str.startswith("Most single heads")].iloc[0]
    assert of_bert == "python -m experiments.ablate_heads experiment=michel_fig1b", "no encoder to name"


def test_untested_claims_name_a_translation_model_whatever_else_is_there(tmp_path: Path) -> None:
    michel.ablation(tmp_path, MINILM)
    journal = Journal()
    records = load([tmp_path], journal)
    table = table_of_all(judge(records, journal), records, journal)
    assert table is not None
    rows = table.frame[table.frame["paper"] == "Michel et al. 2019 (translation)"]
    assert len(rows) == 14 and set(rows["verdict"]) == {"not tested"}
    assert rows["command"].str.endswith("scale=small model=marian-small task=multi30k").all()


def test_command_puts_the_task_where_the_claim_asks_for_it() -> None:
    [claim] = [claim for claim in papers.read("translation").claims if claim.evidence == "transfer"]
    setting = Setting("marian-demo", "scratch", "demo_translation", "demo")
    assert "second=demo_translation" in of_claim(claim, setting)


def test_published_numbers_come_from_the_papers_tables() -> None:
    texts = [claim.published for claim in papers.read("translation").claims]
    assert texts[:2] == ["92 % (88 of 96 heads)", "4 of 8 heads"]
    assert [text for text in texts if text.endswith(" points")] == ["-13.56 points", "-18.89 points"]
