"""Parallel text: files, encoding, scores, and the generated pair of languages."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sacrebleu
import torch
from sacrebleu.dataset import DATASETS

from prunekit.config.sections import ModelConfig, check
from prunekit.config.task import TaskConfig
from prunekit.data import bleu, demo_translation
from prunekit.data.bleu import bleu_band, paired_p_values, signatures, translation_scores
from prunekit.data.checked_rows import Rows
from prunekit.data.kinds import encode, new_tokenizer, training_loss
from prunekit.data.kinds.translation import Pairs
from prunekit.data.losses import target_losses
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import joint_bpe
from prunekit.support.errors import UserError
from prunekit.support.statistics import bootstrap_counts

SENTENCES = [("ein Hund .", "a dog ."), ("zwei Katzen schlafen .", "two cats sleep ."), ("ja !", "yes !")]


def task_of(folder: Path, name: str = "corpus", **settings: Any) -> TaskConfig:
    files: dict[str, str | None] = {"train": str(folder / name)}
    return TaskConfig(
        name="own", translation=True, columns=["de", "en"], metrics=["bleu"], files=files, max_length=16,
        vocabulary=300, **settings,
    )  # fmt: skip


def aligned(folder: Path, sources: str, targets: str) -> TaskConfig:
    (folder / "corpus.de").write_text(sources, encoding="utf-8")
    (folder / "corpus.en").write_text(targets, encoding="utf-8")
    return task_of(folder)


def lines(side: int) -> str:
    return "".join(f"{pair[side]}\n" for pair in SENTENCES)


class TestFiles:
    def test_line_aligned_files(self, tmp_path: Path) -> None:
        rows = load_rows(aligned(tmp_path, lines(0), lines(1)), "train")
        assert rows.texts == [(source,) for source, _ in SENTENCES]
        assert rows.labels.tolist() == [target for _, target in SENTENCES]
        assert rows.take([2]).labels.tolist() == ["yes !"]

    @pytest.mark.parametrize("last", ["", "\n"])
    def test_a_final_line_break_is_no_line(self, tmp_path: Path, last: str) -> None:
        assert len(load_rows(aligned(tmp_path, "eins\nzwei" + last, "one\ntwo" + last), "train")) == 2

    def test_tables_are_read_as_of_other_tasks(self, tmp_path: Path) -> None:
        pd.DataFrame(SENTENCES, columns=["de", "en"]).to_csv(tmp_path / "rows.csv", index=False)
        assert load_rows(task_of(tmp_path, "rows.csv"), "train").labels.tolist() == [b for _, b in SENTENCES]

    @pytest.mark.parametrize(
        ("sources", "targets", "message"),
        [
            ("eins\nzwei\n", "one\n", r"line 2 of .*\.en is missing or empty \(corpus\.de has 2 lines, corpus\.en 1"),
            ("eins\n \n", "one\ntwo\n", r"line 2 of .*corpus\.de is missing or empty"),
            ("", "", "own train: the split is empty"),
        ],
    )
    def test_misaligned_text_is_named_by_its_line(
        self, tmp_path: Path, sources: str, targets: str, message: str
    ) -> None:
        with pytest.raises(UserError, match=message):
            load_rows(aligned(tmp_path, sources, targets), "train")

    def test_missing_files_and_sides(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"task\.files\.train: there is no file .*corpus\.de"):
            load_rows(task_of(tmp_path), "train")
        pd.DataFrame([("eins", "one"), ("zwei", "")], columns=["de", "en"]).to_csv(tmp_path / "rows.csv", index=False)
        with pytest.raises(UserError, match="own train, row 1: 'en' is empty, its partner is 'zwei'"):
            load_rows(task_of(tmp_path, "rows.csv"), "train")
        (tmp_path / "corpus.de").write_bytes(b"\xff\xfe\n")
        (tmp_path / "corpus.en").write_text("one\n")
        with pytest.raises(UserError, match="is no UTF-8 text"):
            load_rows(task_of(tmp_path), "train")


class TestSettings:
    def test_one_kind_of_task_at_a_time(self, tmp_path: Path) -> None:
        assert task_of(tmp_path).kind == "translation" and check(task_of(tmp_path)) == []
        problems = check(task_of(tmp_path, labels=["a", "b"]))
        assert any("a task is one of translation, questions and classification" in problem for problem in problems)

    def test_metrics_are_those_of_translation(self, tmp_path: Path) -> None:
        task = task_of(tmp_path)
        task.metrics, task.columns = ["accuracy"], ["de"]
        found = check(task)
        assert any(problem.startswith("metrics: accuracy is one of classification") for problem in found)
        assert any(problem.startswith("columns: ['de'] should be two columns") for problem in found)


class TestTestSets:
    """Of sacreBLEU, without a network: its files are laid where it would put them."""

    @pytest.fixture
    def mtnt(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TaskConfig:
        found = DATASETS["mtnt1.1/test"]
        monkeypatch.setattr(found, "_outdir", str(tmp_path))
        monkeypatch.setattr(found, "_rawdir", str(tmp_path / "raw"))
        return TaskConfig(
            name="mtnt", source="sacrebleu", subset="mtnt1.1", translation=True, columns=["en", "fr"], metrics=["bleu"]
        )

    def test_pairs_stand_line_by_line(self, mtnt: TaskConfig, tmp_path: Path) -> None:
        for side, text in (("src", "lol\u2028no\nyes\n"), ("ref", "mdr\noui\n")):
            (tmp_path / f"mtnt1.1_test.en-fr.{side}").write_text(text, encoding="utf-8")
        rows = load_rows(mtnt, "test")
        assert rows.texts == [("lol\u2028no",), ("yes",)] and rows.labels.tolist() == ["mdr", "oui"]

    def test_what_is_not_there(self, mtnt: TaskConfig, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(UserError, match=r"split 'dev' is not in mtnt1.1 of sacreBLEU, it has .*'valid'"):
            load_rows(mtnt, "dev")
        with pytest.raises(UserError, match=r"columns: mtnt1.1 of sacreBLEU is not in de-en, it has en-fr"):
            load_rows(replace(mtnt, columns=["de", "en"]), "test")
        with pytest.raises(UserError, match=r"task.subset: sacreBLEU has no test set 'mtnt9'"):
            load_rows(replace(mtnt, subset="mtnt9"), "test")

        def no_network() -> None:
            raise SystemExit(1)

        monkeypatch.setattr(DATASETS["mtnt1.1/test"], "maybe_download", no_network)
        with pytest.raises(UserError, match=r"task.source: mtnt1.1/test of sacreBLEU cannot be loaded"):
            load_rows(mtnt, "test")

    def test_only_of_translation(self, mtnt: TaskConfig) -> None:
        assert check(mtnt) == []
        [problem] = check(replace(mtnt, subset=None))
        assert problem.startswith("source: sacrebleu has test sets of translation")


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    rows = load_rows(aligned(tmp_path, lines(0), lines(1)), "train")
    encoded = encode(rows, new_tokenizer(ModelConfig(name="m", family="marian", weights="scratch"), rows), 16)
    assert isinstance(encoded, Pairs)
    return encoded


class TestEncoding:
    def test_both_sides_end(self, pairs: Pairs) -> None:
        end = pairs.tokenizer.eos_token_id
        assert all(ids[-1] == end and ids.count(end) == 1 for ids in pairs.input_ids + pairs.target_ids)
        batch = pairs.batch([0, 1])
        assert batch["labels"].shape == (2, 16) and batch["input_ids"].shape == (2, 16)
        for row in range(2):
            target = pairs.target_ids[row]
            assert batch["labels"][row].tolist() == target + [-100] * (16 - len(target))

    def test_taking_some(self, pairs: Pairs) -> None:
        some = pairs.take([2, 0])
        assert some.target_ids == [pairs.target_ids[2], pairs.target_ids[0]]
        assert some.rows.labels.tolist() == ["yes !", "a dog ."]

    def test_text_comes_back_as_it_was(self) -> None:
        texts = ["Ein Mann, der (heute) läuft.", "Don't stop -- it's 5 o'clock!", "Zwei Männer laufen."]
        tokenizer = joint_bpe(texts * 2, 400)
        for text in texts:
            ids = tokenizer([text])["input_ids"][0]
            assert tokenizer.decode(ids, skip_special_tokens=True) == text
        assert len(tokenizer) <= 400 and tokenizer.pad_token_id == 0

    def test_long_text_is_cut_and_unfit_tokenizers_are_named(self, pairs: Pairs, tmp_path: Path) -> None:
        rows = load_rows(aligned(tmp_path, "ja " * 40 + "\n", "yes\n"), "train")
        assert len(encode(rows, pairs.tokenizer).input_ids[0]) == 16
        with pytest.raises(UserError, match=r"task\.max_length: 16 is more than the 8 positions"):
            encode(rows, pairs.tokenizer, 8)
        pairs.tokenizer.pad_token = None
        with pytest.raises(UserError, match="has no tokens for padding and the end of a sentence"):
            encode(rows, pairs.tokenizer)


class TestLosses:
    def test_smoothed_loss_by_hand(self) -> None:
        """(1 - e) of the target's cross-entropy and e of the mean over all words, over the tokens that there are."""
        torch.manual_seed(0)
        logits, labels = torch.randn(2, 3, 5), torch.tensor([[1, 2, -100], [4, -100, -100]])
        smoothing = 0.1
        losses = []
        for row, place in ((0, 0), (0, 1), (1, 0)):
            log = logits[row, place].log_softmax(-1)
            losses.append(-(1 - smoothing) * log[labels[row, place]] - smoothing * log.mean())
        output = type("Output", (), {"logits": logits})()
        found = training_loss(output, {"labels": labels}, smoothing)
        torch.testing.assert_close(found, torch.stack(losses).mean())
        plain = training_loss(output, {"labels": labels})
        torch.testing.assert_close(plain, target_losses(logits, labels).sum() / 3)


HYPOTHESES = ["a dog runs in the park .", "two cats sleep on a chair .", "the man reads a book ."] * 7
REFERENCES = ["a dog is running in the park .", "two cats are asleep on a chair .", "the man reads a book ."] * 7


class TestScores:
    def test_they_are_those_of_sacrebleu(self) -> None:
        found = translation_scores(HYPOTHESES, REFERENCES, ["bleu", "chrf"])
        assert found["bleu"] == sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score / 100
        assert found["chrf"] == sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score / 100
        names = signatures(["bleu", "accuracy"])
        assert list(names) == ["bleu_signature"] and "tok:13a|smooth:exp|version:" in names["bleu_signature"]

    @pytest.mark.parametrize("metric", ["bleu", "chrf"])
    def test_the_band_is_of_resampled_corpora(self, metric: str) -> None:
        band = bleu_band(metric, HYPOTHESES, REFERENCES)
        assert band.value == pytest.approx(translation_scores(HYPOTHESES, REFERENCES, [metric])[metric], abs=1e-12)
        drawn = np.random.default_rng(1).integers(len(HYPOTHESES), size=(300, len(HYPOTHESES)))
        scores = [
            translation_scores([HYPOTHESES[i] for i in rows], [REFERENCES[i] for i in rows], [metric])[metric]
            for rows in drawn
        ]
        assert band.low == pytest.approx(np.quantile(scores, 0.025), abs=0.03)
        assert band.high == pytest.approx(np.quantile(scores, 0.975), abs=0.03)

    def test_the_ends_of_the_band_leave_out_a_fortieth_each(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bleu, "RESAMPLES", 120)
        scores = []
        for counts in bootstrap_counts(len(HYPOTHESES), resamples=120, seed=3).astype(int):
            rows = np.repeat(np.arange(len(HYPOTHESES)), counts)
            texts = ([HYPOTHESES[row] for row in rows], [REFERENCES[row] for row in rows])
            scores.append(translation_scores(*texts, ["bleu"])["bleu"])
        band = bleu_band("bleu", HYPOTHESES, REFERENCES, seed=3)
        assert (band.low, band.high) == pytest.approx(tuple(np.quantile(scores, [0.025, 0.975])))

    def test_paired_test(self) -> None:
        much_worse = [" ".join(reversed(text.split())) for text in HYPOTHESES]
        baseline, values, p_values = paired_p_values("bleu", HYPOTHESES, [HYPOTHESES, much_worse], REFERENCES)
        assert baseline == values[0] == translation_scores(HYPOTHESES, REFERENCES, ["bleu"])["bleu"]
        assert values[1] < 0.2 and p_values[0] == 1 and p_values[1] == 2 / 1001  # the least that 1,000 can give

    def test_paired_test_is_the_loop_over_resamples(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Both tails of the differences of corpus scores, in either direction."""
        monkeypatch.setattr(bleu, "RESAMPLES", 39)
        first = [" ".join(reversed(text.split())) if row % 2 else text for row, text in enumerate(HYPOTHESES)]
        second = [text if row % 2 else " ".join(reversed(text.split())) for row, text in enumerate(HYPOTHESES)]
        smaller = 0
        for counts in bootstrap_counts(len(HYPOTHESES), resamples=39, seed=0).astype(int):
            rows = np.repeat(np.arange(len(counts)), counts)
            own, other = (
                translation_scores([system[i] for i in rows], [REFERENCES[i] for i in rows], ["bleu"])["bleu"]
                for system in (first, second)
            )
            smaller += other < own
        expected = min(1.0, 2 * (1 + min(smaller, 39 - smaller)) / 40)
        assert 0 < smaller < 39
        for systems in ((first, second), (second, first)):
            assert paired_p_values("bleu", systems[0], [systems[1]], REFERENCES)[2] == pytest.approx([expected])


class TestDemo:
    def test_splits_are_disjoint_and_repeatable(self) -> None:
        made = {split: demo_translation.generate(split, 300) for split in demo_translation.SPLITS}
        sources = {split: {row["source"] for row in rows} for split, rows in made.items()}
        assert all(len(found) == 300 for found in sources.values())
        assert not sources["train"] & sources["test"] and not sources["validation"] & sources["test"]
        assert demo_translation.generate("test", 100) == made["test"][:100]

    def test_a_translation_by_hand(self) -> None:
        """The verb goes last, adjectives follow and agree, names stay, "because" goes first."""
        rows = {row["source"]: row["target"] for row in demo_translation.generate("train", 4000)}
        copied = re.compile(r"([A-Z][a-z]+) follows the horse\.")
        names = [found[1] for source in rows if (found := copied.fullmatch(source))]
        assert names
        for name in names:
            assert rows[f"{name} follows the horse."] == f"{name} lo kavalo seket."
        for source, target in rows.items():
            assert target.startswith("perke ") == (" because " in source)
            assert sorted(re.findall("[A-Z][a-z]+", source)) == sorted(re.findall("[A-Z][a-z]+", target))

    def test_agreement(self) -> None:
        nouns = {stem: gender for stem, gender in demo_translation.NOUNS.values()}
        for row in demo_translation.generate("validation", 200):
            words = row["target"].replace(",", "").rstrip(".").split()
            for article, noun in pairwise(words):
                if article[:-1] in demo_translation.ARTICLES.values() and noun[:-1] in nouns:
                    assert article[-1] == noun[-1]

    def test_bad_splits_and_sizes(self) -> None:
        with pytest.raises(UserError, match="no split 'dev'; there are train, validation, test"):
            demo_translation.generate("dev", 1)


def test_rows_of_translation_have_a_fingerprint() -> None:
    task = TaskConfig(name="t", translation=True, columns=["a", "b"], metrics=["bleu"], files={"train": "t"})
    one = Rows(task, "train", [("a",)], np.asarray(["b"], dtype=object), 1)
    other = Rows(task, "train", [("a",)], np.asarray(["c"], dtype=object), 1)
    assert one.fingerprint() != other.fingerprint()
