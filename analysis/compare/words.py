"""Names and looks of the compared methods, and the caption that says what is not comparable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import TYPE_CHECKING

from analysis.cofi import runs as cofi_runs
from analysis.compare.seconds import RANKING, seconds_of, stages_of
from analysis.data.averages import resampled_text
from analysis.data.groups import describe
from analysis.data.marks.quiet import BESIDE, CROSS, UNKNOWN, disturbed_text
from analysis.data.timings import NO_SPREAD, timed_text
from analysis.kwon import runs as kwon_runs
from analysis.kwon.seconds import PARTS
from analysis.quantization.runs import left
from analysis.render.style import (
    BLUE,
    GREEN,
    METHODS,
    PURPLE,
    SKY,
    VERMILLION,
    Look,
    looks_of,
    structure_name,
)
from prunekit.config.method_names import named

if TYPE_CHECKING:
    import pandas as pd

    from analysis.compare.runs import Comparable
    from analysis.compare.timed import Timed

FAMILIES: Mapping[str, tuple[str, str, Look]] = {
    "prune_heads": ("importance", "heads", Look("other orders of heads", GREEN, "o", (0, (1, 1.3)))),
    "prune_fisher": ("fisher", "Fisher pruning", Look("Fisher pruning's baselines", VERMILLION, "s", (0, (4, 1.5)))),
    "compress": ("", "compress:", Look("methods of compress", PURPLE, "D", (0, (5, 1, 1, 1)))),
    "prune_cofi": ("learned", "distilled:", Look("CoFi's baselines", BLUE, "^", "-")),
    "quantize": ("aware", "in 8 bits,", Look("in 8 bits, not trained for it", SKY, "v", (0, (3, 1, 1, 1)))),
}
"""By verb: what chooses the units in the method itself, words, and the look of all its curves, named as that of its
baselines."""
LETTERS = {
    "importance": "i",
    "oracle": "o",
    "fisher": "f",
    "magnitude": "m",
    "random": "r",
    "learned": "c",
    "layers": "l",
    "dense": "d",
}
"""Beside the curves of baselines, by what chooses their units; what has no letter stands there by its name."""
ORACLE = "prune_heads oracle"
"""It knows the labels that it is evaluated on."""
SHORT = {"quantize dynamic": "after training", "quantize trained": "control"}
"""What stands beside the curve of what has neither a letter nor a name."""
IN_8_BITS = {"dynamic": "after training", "trained": "trained as long without (control)"}
DRAWN_ANEW = {
    "prune_heads": "draws", "prune_fisher": kwon_runs.DRAWS, "compress": kwon_runs.DRAWS, "prune_cofi": cofi_runs.SEEDS,
    "quantize": cofi_runs.SEEDS,
}  # fmt: skip
"""What differs between the runs of one teacher."""
TITLES = {
    "prune_heads": "heads", "prune_fisher": named("fisher").name, "compress": "methods of compress",
    "prune_cofi": "CoFi and its baselines", "quantize": "models in 8 bits",
}  # fmt: skip


def method_look(method: str) -> tuple[Look, bool]:
    """The look of ``VERB CHOICE``, and whether it is a method itself or a baseline of one, which is of its colour."""
    verb, _, choice = method.partition(" ")
    itself, words, look = FAMILIES[verb]
    if verb == "prune_cofi":
        name = structure_name(choice)
    elif verb == "compress":
        name = named(choice).name
    else:
        name = IN_8_BITS.get(choice, named(choice).by)
    own = {
        "prune_fisher": named("fisher").name, "prune_cofi": name, "quantize": "in 8 bits, trained for it (Q8BERT)",
    }  # fmt: skip
    plain = own.get(verb) if choice == itself else None
    return replace(look, label=plain or f"{words} {name}"), choice == itself


def looks_in(methods: Iterable[str]) -> dict[str, tuple[Look, bool]]:
    """:func:`method_look` of all that stands in one figure. Methods of `compress` have looks of their own, each of a
    method itself, where no other verb prunes in it: those that they have in figures of ranks."""
    looks = {method: method_look(method) for method in methods}
    choices = {method: method.partition(" ")[2] for method in looks if method.startswith("compress ")}
    if {method.partition(" ")[0] for method in looks} - {"quantize"} == {"compress"}:
        own = looks_of(METHODS, choices.values())
        looks |= {method: (own[choice], True) for method, choice in choices.items()}
    return looks


def has_bars(method: str) -> bool:
    """Whether its intervals are drawn: those of the many methods of `compress`, at the same MACs, would hide one
    another, and what counts, that of their differences, is in the figure of ranks."""
    return not method.startswith("compress ")


def letter_of(method: str) -> str:
    """What stands beside the curve of a baseline."""
    choice = method.partition(" ")[2]
    return LETTERS.get(choice) or SHORT.get(method) or named(choice).name


def letters_text(methods: Iterable[str]) -> str:
    """A sentence for the caption: what the letters of these baselines are."""
    choices = {method.partition(" ")[2] for method in methods}
    signs = [f"{sign} {named(choice).choice}" for choice, sign in LETTERS.items() if choice in choices]
    return f"Small: baselines (\u2193: below the panel), units by {', '.join(signs)}." if signs else ""


def rank(method: str) -> tuple[int, bool, int]:
    """For sorting: by verb, the method itself before its baselines."""
    verb, _, choice = method.partition(" ")
    place = list(LETTERS).index(choice) if choice in LETTERS else len(LETTERS)
    return list(FAMILIES).index(verb), choice != FAMILIES[verb][0], place


def caption(
    runs: Comparable, frame: pd.DataFrame, timed: Timed, lengths: Mapping[str, list[int]], level: float | None
) -> str:
    """Beside the figure: what is not comparable in it, and what could not be drawn."""
    words = ["Parameters with embeddings."]
    words.append(macs_text(lengths))
    words.append(_speed_text(frame, timed))
    words.append(_seconds_text(runs, frame, timed, level))
    if timed.elsewhere:
        words.append(f"Times measured on other machines are left out ({timed.elsewhere} of {len(runs.records)} runs).")
    if (frame["method"] == ORACLE).any():
        words.append("The oracle order is chosen on the evaluation data, so it is on no front.")
    if missed := sum(map(cofi_runs.missed, runs.members.get("prune_cofi", []))):
        words.append(f"{missed} runs that missed their target sparsity are drawn at what they reached.")
    if any(r.config.get("student", {}).get("select_on") == "validation" for r in runs.members.get("prune_cofi", [])):
        words.append("Best weights of CoFi's training chosen on the evaluation data, as in the paper.")
    words.append(numbered_text([runs]))
    if "quantize" in runs.members:
        words.append(_in_8_bits_text(runs))
    if runs.apart:
        words.append(f"Models in 8 bits of other teachers, rows or settings are left out ({runs.apart} runs).")
    if runs.left:
        words.append(f"Runs on other models or rows, each pruned in one way alone, are left out ({runs.left} runs).")
    if runs.unsaid:
        words.append(
            f"Older records ({runs.unsaid} runs) do not say their teacher's weights: they are matched by its run and "
            "its score."
        )
    words.append(describe(runs.records))
    return " ".join(word for word in words if word)


def numbered_text(compared: Sequence[Comparable]) -> str:
    """What the number of a task means, where one has several comparisons; else empty."""
    numbered = [runs.name for runs in compared if runs.number > 1]
    return f"{', '.join(numbered)}: on other fine-tuned models or rows than without the number." if numbered else ""


def intervals_text(frame: pd.DataFrame) -> str:
    """A sentence for the caption: what the intervals of the methods are over; empty where none has one."""
    over: dict[str, list[str]] = {}
    for verb, rows in frame.groupby(frame["method"].map(lambda method: method.partition(" ")[0]), sort=False):
        if words := resampled_text(rows, DRAWN_ANEW.get(str(verb), "draws")):
            over.setdefault(words, []).append(TITLES[str(verb)])
    named_too = [f"{words} ({', '.join(titles)})" for words, titles in over.items()]
    return f"Bars: 95 % interval of the mean over {'; '.join(named_too if len(over) > 1 else over)}." if over else ""


def macs_text(lengths: Mapping[str, list[int]]) -> str:
    """At which length MACs are counted, and what that means where methods differ in it."""
    return f"MACs: shares at length {by_verb(lengths)}{_unlike(lengths, 'shares')}."


def _speed_text(frame: pd.DataFrame, timed: Timed) -> str:
    if not timed.batches:
        return "No latency was measured."
    shapes: dict[str, dict[str, list[int]]] = {}
    for verb, batch in timed.batches.items():
        shapes.setdefault(f"batch {batch}", {})[verb] = timed.lengths[verb]
    measured = "; ".join(f"{batch}, length {by_verb(verbs)}" for batch, verbs in shapes.items())
    absent = [
        TITLES[verb] if verb not in timed.batches else method_look(str(method))[0].label
        for method, rows in frame.groupby("method", sort=False)
        if (verb := str(method).partition(" ")[0]) and rows["speedup"].isna().all()
    ]
    left_out = f" Not timed there, so not in that panel: {', '.join(dict.fromkeys(absent))}." if absent else ""
    signs = ((CROSS, f"timed {BESIDE}", timed.disturbed), ("?", UNKNOWN, timed.unknown))
    marked = "".join(f" {sign}: {words} ({n} run{'s' * (n > 1)})." for sign, words, n in signs if n)
    more = f"{left_out}{marked} {timed_text(frame)}{NO_SPREAD}".rstrip()
    return f"Speed-up in PyTorch: {measured}{_unlike(timed.lengths, 'speed-ups')}; {timed.device}.{more}"


def _in_8_bits_text(runs: Comparable) -> str:
    """What was done before 8 bits, which a model with all of its MACs was spared."""
    pruned = {left(record) < 1 for record in runs.members["quantize"]}
    if pruned == {False}:
        return "Models in 8 bits were not pruned."
    whole = "; those with all of their MACs were not pruned" if False in pruned else ""
    return f"Models in 8 bits were pruned {named('fisher').by} and trained, then quantised{whole}."


def _seconds_text(runs: Comparable, frame: pd.DataFrame, timed: Timed, level: float | None) -> str:
    parts = {
        "prune_heads": "ranking the heads, for a whole curve",
        "prune_fisher": "gradients, search, rearrangement and tuning",
        "compress": "all stages of the method",
        "prune_cofi": "all training, with the warm-up that runs of a seed share",
    }
    recorded = frame.groupby("method", sort=False)["seconds"].apply(lambda seconds: bool(seconds.notna().any()))
    absent = [method_look(str(method))[0].label for method in recorded.index[~recorded]]
    unknown = f" Not recorded: {', '.join(absent)}." if absent else ""
    if level is None:
        return unknown.strip()
    what = "; ".join(f"{TITLES[verb]}: {parts[verb]}" for verb in runs.members if verb in parts)
    return (
        f"Seconds: each method's best model with at most {level:.0f} % of the MACs; {what}; teacher and evaluation not "
        f"counted; {timed.device}.{unknown} {beside_text([runs])}"
    ).rstrip()


def beside_text(compared: Sequence[Comparable]) -> str:
    """A sentence behind one on seconds of pruning: how many runs' were taken beside other work."""
    by_verb = {
        verb: [record for runs in compared for record in runs.members.get(verb, []) if not isnan(seconds_of(record))]
        for verb in ("prune_heads", "prune_fisher", "compress", "prune_cofi")
    }
    members = [record for runs in by_verb.values() for record in runs]
    return disturbed_text(members, "Among these", {*RANKING, *PARTS, "train", *stages_of(by_verb["compress"])})


def by_verb(lengths: Mapping[str, list[int]]) -> str:
    """``39``, or ``39 (heads, Fisher pruning), 128 (CoFi)`` where they differ."""
    verbs: dict[str, list[str]] = {}
    for verb, values in lengths.items():
        verbs.setdefault(" and ".join(map(str, values)), []).append(TITLES[verb])
    if len(verbs) == 1:
        return next(iter(verbs))
    return "; ".join(f"{text} ({', '.join(names)})" for text, names in verbs.items()) or "unknown"


def unlike(lengths: Mapping[str, Iterable[int]]) -> bool:
    """Do methods differ in it?"""
    return len({tuple(values) for values in lengths.values()}) > 1


def _unlike(lengths: Mapping[str, Iterable[int]], what: str) -> str:
    return f" (at other lengths other {what}: compare these roughly)" if unlike(lengths) else ""
