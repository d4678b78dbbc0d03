"""Effects of single heads on translation: cached by content, and tested for significance on whole corpora."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import filelock
import numpy as np

from prunekit.config.sections import EvaluationConfig
from prunekit.config.task import TaskConfig
from prunekit.data.bleu import paired_p_values, untested
from prunekit.data.kinds.translation import Pairs
from prunekit.evaluation.comparison import Comparison
from prunekit.forward.translate import texts, translate
from prunekit.forward.translation_ablation import TranslationAblation
from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.runs.execute import Run
from prunekit.runs.teachers import Teacher
from prunekit.support.files import remove_leftovers, write_json
from prunekit.support.fingerprints import examples_fingerprint, weights_fingerprint

ENGINE_REVISION = 1
"""Raised whenever ablated models translate otherwise; part of the cache's keys."""


def translation_comparisons(
    task: TaskConfig,
    teacher: Teacher,
    pairs: Pairs,
    run: Run,
    ablations: Sequence[str],
    evaluation: EvaluationConfig,
    *,
    tested: bool,
    label: str,
) -> dict[str, dict[str, Comparison]]:
    """By ablation and attention kind, see :func:`prunekit.heads.effects.head_comparisons`."""
    found = _translations(teacher, pairs, run, ablations, evaluation, label)
    (baseline,) = found["baseline"]
    layout = describe(teacher.model)
    test = paired_p_values if tested else untested
    compared: dict[str, dict[str, Comparison]] = {name: {} for name in ablations}
    with run.stage("test significance", len(ablations) * len(layout.kinds)) as advance:
        for name in ablations:
            for kind in layout.kinds:
                shapes = layout.of_kind(kind)
                others = [text for shape in shapes for text in found[f"{name}-{kind}-{shape.layer}"]]
                value, scores, p_values = test(task.metric, baseline, others, pairs.labels.tolist())
                places = np.nonzero(Masks.ones(layout).heads[kind].numpy())
                values = np.full((len(shapes), max(shape.heads for shape in shapes)), np.nan)
                found_p = values.copy()
                values[places], found_p[places] = scores, p_values
                compared[name][kind] = Comparison(task.metric, value, values, values - value, found_p)
                advance(1)
    return compared


def _translations(
    teacher: Teacher, pairs: Pairs, run: Run, ablations: Sequence[str], evaluation: EvaluationConfig, label: str
) -> dict[str, list[list[str]]]:
    """Texts of all sentences: ``baseline`` once, every ``ABLATION-KIND-LAYER`` once a head."""
    model, beams, batch_size = teacher.model, evaluation.beams, evaluation.batch_size
    identity = [
        ENGINE_REVISION, weights_fingerprint(model), examples_fingerprint(pairs), pairs.rows.task.max_length,
        run.config.run_dtype, model.config._attn_implementation, beams, batch_size,
    ]  # fmt: skip
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
    folder = Path(run.config.run.folder) / "cache" / "translations" / key
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
    found = {}
    with run.stage(label, sum(heads for heads, _ in wanted.values())) as advance:
        for name, (heads, compute) in wanted.items():
            found[name] = _cached(folder / name, heads, len(pairs), compute)
            advance(heads)
    return found


def _cached(folder: Path, heads: int, rows: int, compute: Callable[[], list[list[str]]]) -> list[list[str]]:
    """Computed once for all experiments; an interrupted ablation loses one sublayer at most."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "translations.json"
    with filelock.FileLock(folder / "lock"):
        remove_leftovers(folder)
        found = _read(path)
        if found is None or len(found) != heads or any(len(texts_) != rows for texts_ in found):
            found = compute()
            write_json(path, found)
    return found


def _read(path: Path) -> list[list[str]] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or damaged: computed again
        return None
    return found if isinstance(found, list) else None
