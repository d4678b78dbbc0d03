"""Table 2: the best change of BLEU with only one head kept in a layer, for each kind of attention."""

from __future__ import annotations

from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.marks.trivial import trivial_words
from analysis.michel import published
from analysis.michel.table3 import display, examples_chosen_on, kept_one_head, of_teachers, with_published
from analysis.render.output import Item, Table
from analysis.render.style import metric_name

PROTOCOLS = {"dev": "same data", "train": "other data"}
"""Where the head that stays was chosen, in records and in the table."""


def draw(group: Group, journal: Journal) -> list[Item]:
    """Table 2 and appendix Table 5 side by side, as they differ only in where the head was chosen."""
    effects = kept_one_head(group, journal)
    if effects is None:
        return []
    printed, metric = published.best_translation_heads(), metric_name(effects["metric"].iloc[0])
    return [
        Table(
            name="table2",
            title=f"Table 2: change of {metric} with one head kept in a layer, in points",
            frame=with_published(effects, printed.assign(metric="bleu")),
            display=display(effects, printed, PROTOCOLS),
            caption="The head that stays is chosen on the evaluation data itself (as in Table 2) or on other "
            f"data{examples_chosen_on(effects)} (as in appendix Table 5). sig.: p < 0.01, paired bootstrap. "
            "Published: another model and language pair, a Transformer for WMT14 En-Fr with 6 layers of 16 heads in "
            f"encoder and decoder, so layers do not correspond; *: p < 0.01. {of_teachers(effects)}"
            f"{trivial_words(group.records)}{group.caption}",
        )
    ]
