"""How a run made its model, in a sentence: of its verb and of the settings that make it another method."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prunekit.config.method_names import named

IMPORTANCE, COFI = named("importance").cited, named("learned")
ORDERS = {
    "importance_released": f"{IMPORTANCE}, as the authors' code computes it",
    "importance_stepwise": f"{IMPORTANCE}, estimated again after every step",
    "oracle": "by what each alone costs on the evaluation rows themselves",
}
"""Of heads; others are as :func:`named` has them."""
STRUCTURES = {
    "learned": f"{{units}} {COFI.cited}{{released}}",
    "random": f"Units drawn at random, in the shape that CoFi ({COFI.paper}) leaves: a control of it",
    "layers": f"Whole layers gone, no unit chosen: a baseline of CoFi ({COFI.paper})",
    "dense": f"A small model, not pruned: a baseline of CoFi ({COFI.paper})",
}
"""Of `prune_cofi`; others are methods."""
UNITS = {"layers": "layers", "heads": "heads", "neurons": "neurons", "hidden": "hidden dimensions"}
REFITS = {
    "scales": "tuned by scales", "weights": "tuned by least squares of weights", "bias": "with biases for what is gone",
}  # fmt: skip
RELEASED = ", as the authors' code does it"


def method_in_words(record: Mapping[str, Any], runs: Path | None = None) -> str:
    """A phrase for the card, without a full stop.

    Args:
        record: of a verb that leaves a model, as ``result.json`` has it.
        runs: folder of all runs, which may have the one whose model was quantised.
    """
    return _VERBS[record["verb"]](record["config"], record, runs)


def _finetuned(config: Mapping[str, Any], record: Mapping[str, Any], runs: Path | None) -> str:
    return "Fine-tuned, not pruned"


def _by_order(config: Mapping[str, Any], record: Mapping[str, Any], runs: Path | None) -> str:
    order = str(config.get("order"))
    words = f"Heads, one after another, {ORDERS.get(order, named(order).cited)}"
    if steps := config.get("retrain_steps"):
        words += f", trained for {steps} steps after each step of pruning"
    return words


def _by_fisher(config: Mapping[str, Any], record: Mapping[str, Any], runs: Path | None) -> str:
    score = str(config.get("score", "fisher"))
    stages = [word for name, word in (("rearrange", "rearranged"), ("tune", "tuned")) if config.get(name)]
    words = f"Heads and neurons {named(score).cited}, {' and '.join(stages) or 'as the search left them'}"
    return f"{words}, without training{_released(config)}"


def _by_method(config: Mapping[str, Any], record: Mapping[str, Any], runs: Path | None) -> str:
    metrics, name = record.get("metrics", {}), str((config.get("method") or {}).get("name"))
    refine, refit = metrics.get("refine", "none"), metrics.get("refit", "none")
    stages = [] if refine == "none" else [f"refined by {refine}"]
    stages += [] if refit == "none" else [REFITS.get(refit, f"refitted {refit}")]
    words = f"Heads and neurons {named(name).cited}"
    return ", ".join([words, *stages, "without training"])


def _by_cofi(config: Mapping[str, Any], record: Mapping[str, Any], runs: Path | None) -> str:
    structure = str(config.get("structure", "learned"))
    units = [word for name, word in UNITS.items() if name in config.get("units", UNITS)]
    masked = f"{', '.join(units[:-1])} and {units[-1]}" if len(units) > 1 else "".join(units)
    ready = STRUCTURES.get(structure, f"Heads and neurons {named(structure).cited}")
    words = ready.format(units=masked.capitalize(), released=_released(config))
    return f"{words}; {'trained on labels' if config.get('learn_from') == 'labels' else 'distilled'}"


def _quantized(config: Mapping[str, Any], record: Mapping[str, Any], runs: Path | None) -> str:
    aware = config.get("quantization") == "aware"
    then = "trained for 8 bits (Q8BERT, Zafrir et al. 2019)" if aware else (
        "trained as long as a model that is trained for 8 bits, without them: its control"
    )  # fmt: skip
    before = _before(config, record, runs)
    return f"{before}; then {then}" if before else f"Not pruned; {then}"


def _before(config: Mapping[str, Any], record: Mapping[str, Any], runs: Path | None) -> str:
    """How the model was pruned that was quantised; nothing if it was not."""
    run = record["model"].get("pruned_run")
    of_it = None if run is None or runs is None else runs / run / "result.json"
    if of_it is not None and of_it.is_file():
        return f"{method_in_words(json.loads(of_it.read_text(encoding='utf-8')), runs)} (run {run})"
    if run is not None and config.get("source") is not None:
        return f"Pruned by run {run}"
    if config.get("source") is None and config.get("remaining", 1) < 1:
        return f"Heads and neurons {named('fisher').cited}; distilled"
    return ""


def _released(config: Mapping[str, Any]) -> str:
    return RELEASED if config.get("variant") == "released" else ""


_VERBS = {
    "finetune": _finetuned, "prune_heads": _by_order, "prune_fisher": _by_fisher, "compress": _by_method,
    "prune_cofi": _by_cofi, "quantize": _quantized,
}  # fmt: skip
LEAVE_A_MODEL = tuple(_VERBS)
"""Verbs."""
