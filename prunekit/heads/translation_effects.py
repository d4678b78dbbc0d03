"""Effects of single heads on translation: cached by content, and tested for significance on whole corpora."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial

import numpy as np

from prunekit.config.sections import EvaluationConfig
from prunekit.config.task import TaskConfig
from prunekit.data.bleu import paired_p_values, sentence_counts, untested
from prunekit.data.kinds.translation import Pairs
from prunekit.evaluation.comparison import Comparison
from prunekit.evaluation.evaluate import evaluated
from prunekit.evaluation.row_answers import of_sentences
from prunekit.forward.translate import texts, translate
from prunekit.forward.translation_ablation import TranslationAblation
from prunekit.heads.tables import WHOLE, without
from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.runs.beside_trivial import record_beside_trivial
from prunekit.runs.execute import Run
from prunekit.runs.teachers import Teacher
from prunekit.support.cache import Cache, EntryKind, Json
from prunekit.support.fingerprints import model_fingerprint

TRANSLATIONS = EntryKind("translations", revision=1)


def translation_comparisons(
    task: TaskConfig,
    teacher: Teacher,
    pairs: Pairs,
    run: Run,
    ablations: Sequence[str],
    evaluation: EvaluationConfig,
    *,
    tested: bool,
    beside: str | None,
    label: str,
    role: str | None,
) -> dict[str, dict[str, Comparison]]:
    """By ablation and attention kind, see :func:`prunekit.heads.effects.head_comparisons`."""
    translations = _translations(teacher, pairs, run, ablations, evaluation, label)
    (baseline,) = translations["baseline"]
    if beside is not None:
        whole = evaluated(task, pairs, baseline)
        record_beside_trivial(run, task, teacher.model, pairs.rows, whole, prefix=beside)
    layout = describe(teacher.model)
    test = paired_p_values if tested else untested
    compared: dict[str, dict[str, Comparison]] = {name: {} for name in ablations}
    with run.stage("test significance", len(ablations) * len(layout.kinds)) as advance:
        for name in ablations:
            for kind in layout.kinds:
                shapes = layout.of_kind(kind)
                others = [text for shape in shapes for text in translations[f"{name}-{kind}-{shape.layer}"]]
                value, scores, p_values = test(task.metric, baseline, others, pairs.labels.tolist())
                places = np.nonzero(Masks.ones(layout).heads[kind].numpy())
                values = np.full((len(shapes), max(shape.heads for shape in shapes)), np.nan)
                p_value_of = values.copy()
                values[places], p_value_of[places] = scores, p_values
                compared[name][kind] = Comparison(task.metric, value, values, values - value, p_value_of)
                advance(1)
    if role is not None:
        models, given = [WHOLE], [baseline]
        for name in ablations:
            for shape in layout.attention:
                models += [without(name, shape.kind, shape.layer, head) for head in range(shape.heads)]
                given += translations[f"{name}-{shape.kind}-{shape.layer}"]
        counts = [{task.metric: sentence_counts(task.metric, one, pairs.labels.tolist())} for one in given]
        run.answers.add(role, models, of_sentences(pairs.rows.fingerprint(), counts))
    return compared


def _translations(
    teacher: Teacher, pairs: Pairs, run: Run, ablations: Sequence[str], evaluation: EvaluationConfig, label: str
) -> dict[str, list[list[str]]]:
    """Texts of all sentences: ``baseline`` once, every ``ABLATION-KIND-LAYER`` once a head.

    Each is an entry of the cache: an interrupted ablation loses one sublayer at most.
    """
    model, beams, batch_size = teacher.model, evaluation.beams, evaluation.batch_size
    cache = Cache(run.config.run.folder, run.device)
    how = {name: value for name, value in asdict(evaluation).items() if name != "examples"}  # these are the pairs
    identity = {
        "model": model_fingerprint(model), "examples": pairs.fingerprint(), "task": pairs.rows.task.beyond_rows(),
        "dtype": run.config.run_dtype, "evaluation": how,
    }  # fmt: skip
    engine: list[TranslationAblation] = []

    def ablation() -> TranslationAblation:
        if not engine:
            engine.append(TranslationAblation(model, pairs, device=run.device, beams=beams, batch_size=batch_size))
        return engine[0]

    def whole() -> list[list[str]]:
        return [texts(pairs, translate(model, pairs, device=run.device, beams=beams, batch_size=batch_size))]

    def ablated(name: str, kind: str, layer: int) -> Callable[[], list[list[str]]]:
        return lambda: [texts(pairs, one) for one in ablation().without(kind, layer, name)]

    layout = describe(model)
    wanted = {"baseline": (1, whole)} | {
        f"{name}-{shape.kind}-{shape.layer}": (shape.heads, ablated(name, shape.kind, shape.layer))
        for name in ablations
        for shape in layout.attention
    }
    translations = {}
    with run.stage(label, sum(heads for heads, _ in wanted.values())) as advance:
        for name, (heads, compute) in wanted.items():
            codec = Json(list, partial(_checked, heads, len(pairs)))
            translations[name] = cache.get(TRANSLATIONS, {**identity, "ablation": name}, compute, codec)
            advance(heads)
    return translations


def _checked(heads: int, rows: int, translations: list[list[str]]) -> list[list[str]]:
    """What was read, if it is the texts of so many rows for each of so many heads."""
    if [len(texts_) for texts_ in translations] != [rows] * heads:
        raise ValueError(f"not the translations of {rows} rows by {heads} models")
    return translations
