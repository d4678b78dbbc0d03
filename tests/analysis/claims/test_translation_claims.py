"""The claims on translation are judged by the stated criteria, from records alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.catalogue.all_claims import judge, table_of_all
from analysis.catalogue.commands import of_claim
from analysis.claims import papers
from analysis.data.groups import Group, Setting
from analysis.data.loading import Journal, load
from tests.support.claims import outcomes
from tests.support.records import michel, translation
from tests.support.records.frame import MINILM


def group(root: Path) -> Group:
    return Group(load([root], Journal()))


def test_single_heads_are_those_of_encoder_self_attention(tmp_path: Path) -> None:
    worse = {("enc-enc", 0, head): -0.01 for head in range(3)} | {("enc-enc", 1, 0): 0.01}
    translation.ablation(tmp_path, one_off=worse | {("dec-dec", 0, 0): -0.2})
    [outcome] = outcomes("translation.single_heads", group(tmp_path))
    assert (outcome.number, outcome.holds) == (50.0, False)  # 4 of 8
    assert outcome.note == "4 of 8 enc-enc heads, 19 of 24 of all kinds"
    [better] = outcomes("translation.improvements", group(tmp_path))
    assert (better.number, better.holds, better.note) == (25.0, True, "1 of 4 heads")


def test_without_a_significant_head_nothing_says_which_are_better_removed(tmp_path: Path) -> None:
    translation.ablation(tmp_path, one_off={("enc-dec", 0, 0): 0.01})
    assert outcomes("translation.improvements", group(tmp_path)) == []


@pytest.mark.parametrize(
    ("kept", "number", "holds"),
    [
        ({("enc-dec", 1, "dev"): -0.12, ("enc-dec", 0, "dev"): -0.05}, -12.0, True),
        ({("enc-dec", 1, "dev"): -0.12, ("dec-dec", 0, "dev"): -0.13}, -12.0, False),
        ({("enc-dec", 0, "dev"): -0.12}, -0.05, False),
        ({}, -0.05, False),  # no layer differs
    ],
)
def test_the_last_layer_breaks_if_it_loses_most_of_all(
    tmp_path: Path, kept: dict[tuple[str, int, str], float], number: float, holds: bool
) -> None:
    translation.ablation(tmp_path, kept=kept)
    [outcome] = outcomes("translation.last_cross_layer", group(tmp_path), protocol="dev")
    assert (outcome.number, outcome.holds) == (pytest.approx(number), holds)


def test_half_of_the_layers_is_enough_only_on_other_data(tmp_path: Path) -> None:
    lost = [("enc-enc", 0), ("enc-dec", 1), ("dec-dec", 0)]
    translation.ablation(tmp_path, kept={(*place, protocol): -0.05 for place in lost for protocol in ("dev", "train")})
    frame = papers.judged("translation", {"ablate_heads": [group(tmp_path)]}, Journal(), "a setting").frame
    layers = frame[frame["ours"].str.contains("layers")]
    assert layers["ours"].tolist() == ["50 % of layers (3 of 6 layers)"] * 2
    assert layers["verdict"].tolist() == ["does not hold", "holds"]
    assert layers["published"].tolist() == ["78 % (14 of 18 layers)", "50 % (9 of 18 layers)"]


def curves(root: Path, **at_80: float) -> None:
    """Each kind pruned alone; what is left of a BLEU of 0.40 with 80 % pruned."""
    for name, value in at_80.items():
        translation.pruning(root, "importance", [name.replace("_", "-")], {0.0: 0.40, 0.8: value, 1.0: 0.0})
        translation.pruning(root, "random", [name.replace("_", "-")], {0.0: 0.40, 0.8: 0.0})


def test_encoder_decoder_attention_against_the_other_kinds(tmp_path: Path) -> None:
    curves(tmp_path, enc_enc=0.36, enc_dec=0.10, dec_dec=0.34)
    [sensitive] = outcomes("translation.most_sensitive", group(tmp_path))
    assert (sensitive.number, sensitive.holds) == (pytest.approx(60), True)  # 85 - 25
    [broken] = outcomes("translation.catastrophe", group(tmp_path))
    assert (broken.number, broken.holds) == (pytest.approx(25), True)
    [fine] = outcomes("translation.bearable", group(tmp_path))
    assert (fine.number, fine.holds, fine.note) == (pytest.approx(85), True, "enc-enc 90 %, dec-dec 85 %")


def test_kinds_that_bear_alike(tmp_path: Path) -> None:
    curves(tmp_path, enc_enc=0.30, enc_dec=0.32, dec_dec=0.34)
    [sensitive] = outcomes("translation.most_sensitive", group(tmp_path))
    assert (sensitive.number, sensitive.holds) == (pytest.approx(-5), False)
    assert not outcomes("translation.catastrophe", group(tmp_path))[0].holds
    assert not outcomes("translation.bearable", group(tmp_path))[0].holds


def test_two_kinds_alone_say_nothing_of_the_third(tmp_path: Path) -> None:
    curves(tmp_path, enc_enc=0.36, enc_dec=0.10)
    for criterion in ("most_sensitive", "catastrophe", "bearable"):
        assert outcomes(f"translation.{criterion}", group(tmp_path)) == []


def test_pruning_of_all_kinds_is_judged_from_20_percent_on_and_not_by_runs_of_one_kind(tmp_path: Path) -> None:
    translation.pruning(tmp_path, "importance", values={0.0: 0.35, 0.2: 0.345, 0.4: 0.30, 1.0: 0.0})
    translation.pruning(tmp_path, "oracle", values={0.0: 0.35, 0.2: 0.0, 0.4: 0.28, 1.0: 0.1})
    translation.pruning(tmp_path, "importance", ["enc-enc"], {0.0: 0.35, 0.2: 0.0, 0.4: 0.0, 1.0: 0.0})
    frame = papers.judged("translation", {"prune_heads": [group(tmp_path)]}, Journal(), "a setting").frame
    prunable, better = frame[frame["where"] == "Sec. 4.2, Fig. 3a"].to_dict("records")
    assert (prunable["ours"], prunable["verdict"]) == ("20 % of heads", "holds")
    assert (better["ours"], better["verdict"]) == ("2.0 points (better at 1 of 1 shares)", "holds")
    [bert] = outcomes("michel.prunable", group(tmp_path))  # the share that BERT bears
    assert (bert.number, bert.holds) == (20, False)


@pytest.mark.parametrize(
    ("kept", "late", "early"),
    [
        ({1: 0.60, 2: 0.80, 8: 0.90}, (90, True, "epoch 8; at least 85 % from epoch 8 on"), (60, True)),
        ({1: 0.90, 2: 0.88, 8: 0.95}, (95, True, "epoch 8; at least 85 % from epoch 1 on"), (90, False)),
        ({1: 0.60, 2: 0.95, 8: 0.62}, (62, False, "epoch 8"), (60, False)),  # none has appeared
    ],
)
def test_redundancy_appears_during_training(
    tmp_path: Path, kept: dict[int, float], late: tuple[float, bool, str], early: tuple[float, bool]
) -> None:
    translation.dynamics(tmp_path, {epoch: {0.0: 0.3, 0.4: 0.3 * share} for epoch, share in kept.items()})
    [last] = outcomes("translation.late_redundancy", group(tmp_path))
    assert (last.number, last.holds, last.note) == (pytest.approx(late[0]), *late[1:])
    [first] = outcomes("translation.early_need", group(tmp_path))
    assert (first.number, first.holds) == (pytest.approx(early[0]), early[1])


def test_an_epoch_without_any_bleu_is_left_out(tmp_path: Path) -> None:
    translation.dynamics(tmp_path)
    [first] = outcomes("translation.early_need", group(tmp_path))
    assert (first.number, first.note) == (pytest.approx(50), "epoch 2; 90 % after epoch 8")


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
