"""The claims of Michel et al. 2019 on translation beside what the records say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from analysis.claims import criteria_michel, criteria_translation
from analysis.claims.claim import Claim, Outcome, claims_table
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.published import claim
from analysis.michel import published
from analysis.render.output import Table

CAPTION = (
    "Published: Transformers of 6 layers of 16 heads for WMT14 En-Fr, of 8 heads for IWSLT14 De-En in Fig. 5. BLEU in "
    "points. Not significant does not mean equal: fewer sentences find fewer differences. "
    "± is the standard deviation over teachers."
)
KIND_BY_KIND = "prune_heads -m experiment=michel_fig4 kinds=[enc-enc],[enc-dec],[dec-dec]"


def draw(runs: Mapping[str, list[Group]], journal: Journal, setting: str) -> Table:
    """The claims table of one setting; ``runs`` has the groups of each verb, of which the first is judged."""
    evidence = {verb: groups[0] for verb, groups in runs.items() if groups}
    title = f"Claims of Michel et al. 2019 on translation ({setting})"
    return claims_table("claims_translation", title, claims(), evidence, journal, CAPTION)


def claims() -> list[Claim]:
    """Every claim, in the order of the paper."""
    return [*_ablation(), *_pruning(), *_dynamics()]


def _ablation() -> list[Claim]:
    _, r = published.transfer(translation=True)
    grid = published.single_heads()
    significant = grid[grid["significant"]]
    unchanged, better = len(grid) - len(significant), int((significant["delta_points"] > 0).sum())
    return [
        Claim(
            text="Single heads of encoder self-attention can mostly be removed without a significant change of BLEU",
            where="Sec. 3.2, Table 1",
            published=f"{100 * unchanged / len(grid):.0f} % ({unchanged} of {len(grid)} heads)",
            evidence="ablate_heads",
            test=criteria_translation.single_heads,
            unit="% of heads",
            digits=0,
            command="ablate_heads experiment=michel_fig1a",
            criterion="p >= 0.01 for more than half of the enc-enc heads",
        ),
        Claim(
            text="About half of the heads with a significant effect on BLEU are better removed",
            where="Sec. 3.2, Table 1",
            published=f"{better} of {len(significant)} heads",
            evidence="ablate_heads",
            test=criteria_translation.improvements,
            unit="% of significant changes",
            digits=0,
            command="ablate_heads experiment=michel_table1",
            criterion="an increase in a quarter to three quarters of the changes of enc-enc heads with p < 0.01",
        ),
        Claim(
            text="Most layers of encoder and decoder can be cut to one head (chosen on the evaluation data) without a "
            "significant loss",
            where="Sec. 3.3, Table 2",
            published=_published_layers("dev"),
            evidence="ablate_heads",
            test=partial(criteria_michel.one_head_layers, protocol="dev"),
            unit="% of layers",
            digits=0,
            command="ablate_heads experiment=michel_table2",
            criterion="no decrease with p < 0.01 for more than half of the layers of all kinds",
        ),
        Claim(
            text="Half of the layers of encoder and decoder can be cut to one head (chosen on other data) without a "
            "significant loss",
            where="App., Table 5",
            published=_published_layers("train"),
            evidence="ablate_heads",
            test=_half_of_layers,
            unit="% of layers",
            digits=0,
            command="ablate_heads experiment=michel_table2",
            criterion="no decrease with p < 0.01 for at least half of the layers of all kinds",
        ),
        *(
            Claim(
                text=f"The last layer of encoder-decoder attention breaks with one head (chosen on {chosen})",
                where=where,
                published=f"{_published_last_layer(protocol):+.2f} points",
                evidence="ablate_heads",
                test=partial(criteria_translation.last_cross_layer, protocol=protocol),
                unit="points",
                digits=2,
                command="ablate_heads experiment=michel_table2",
                criterion="a decrease with p < 0.01, larger than that of any other layer of any kind",
            )
            for protocol, chosen, where in (
                ("dev", "the evaluation data", "Sec. 3.3, Table 2"),
                ("train", "other data", "App., Table 5"),
            )
        ),
        Claim(
            text="The effect of removing a head transfers to another test set of translations",
            where="Sec. 3.4, Fig. 2a",
            published=f"r = {r} (newstest2013 and MTNT)",
            evidence="transfer",
            test=criteria_michel.transfer,
            unit="Pearson r",
            digits=2,
            command="transfer experiment=michel_fig2a second={task}",
            criterion="r > 0 with p < 0.01",
        ),
    ]


def _pruning() -> list[Claim]:
    prunable, collapse = published.prunable_heads()["pruned_percent"]
    left = claim("michel", "BLEU with 20% of enc-enc or dec-dec heads left")
    whole = claim("michel", "base BLEU, WMT14 En-Fr transformer-big on newstest2013")
    beyond = criteria_translation.WITHOUT_LOSS
    return [
        Claim(
            text="Heads of translation can be pruned by importance up to a share of 20 % without noticeable loss",
            where="Sec. 4.2, Fig. 3a",
            published=f"{prunable:.0f} % of heads",
            evidence="prune_heads",
            test=partial(criteria_michel.prunable, without_loss=beyond),
            unit="% of heads",
            digits=0,
            command="prune_heads experiment=michel_fig3a order=importance",
            criterion="up to at least 20 %, every point is above the low end of the unpruned model's 95 % "
            "sampling interval",
        ),
        Claim(
            text="Beyond 20 %, the importance order keeps more BLEU than the oracle order of single-head effects",
            where="Sec. 4.2, Fig. 3a",
            published="better",
            evidence="prune_heads",
            test=partial(criteria_michel.importance_beats_oracle, beyond=beyond),
            unit="points",
            digits=1,
            command="prune_heads -m experiment=michel_fig3a order=importance,oracle",
            criterion="positive mean difference over the shares above 20 % and below 100 %",
        ),
        Claim(
            text="Encoder-decoder attention is the kind that bears pruning least",
            where="Sec. 5, Fig. 4",
            published="yes",
            evidence="prune_heads",
            test=criteria_translation.most_sensitive,
            unit="% of BLEU less kept than by the worse other kind",
            digits=0,
            command=KIND_BY_KIND,
            criterion="each kind pruned alone by importance, the least BLEU kept, averaged over shares below 100 %",
        ),
        Claim(
            text="Pruning more than 60 % of encoder-decoder heads is catastrophic",
            where="Sec. 5, Fig. 4",
            published=f"collapse beyond {collapse:.0f} %",
            evidence="prune_heads",
            test=criteria_translation.catastrophe,
            unit="% of BLEU kept",
            digits=0,
            command=KIND_BY_KIND,
            criterion="less than half of the unpruned BLEU left with 80 % pruned by importance",
        ),
        Claim(
            text="With 20 % of either kind of self-attention heads left, most of the BLEU stays",
            where="Sec. 5, Fig. 4",
            published=f"{left} of {whole} BLEU",
            evidence="prune_heads",
            test=criteria_translation.bearable,
            unit="% of BLEU kept",
            digits=0,
            command=KIND_BY_KIND,
            criterion="at least 80 % of the unpruned BLEU left with 80 % pruned by importance, for both kinds",
        ),
    ]


def _dynamics() -> list[Claim]:
    pruned = published.kept_late()["pruned_percent"].iloc[0]
    return [
        Claim(
            text=f"Late in training {pruned:.0f} % of the heads can be pruned while 85 to 90 % of the BLEU stay",
            where="Sec. 6, Fig. 5",
            published="85 to 90 % of BLEU (from epoch 10 on)",
            evidence="head_dynamics",
            test=criteria_translation.late_redundancy,
            unit="% of BLEU kept",
            digits=0,
            command="head_dynamics experiment=michel_fig5",
            criterion="at least 85 % with 40 % pruned after the last epoch",
        ),
        Claim(
            text="Redundancy appears during training: early on, pruning 40 % of the heads costs more",
            where="Sec. 6, Fig. 5",
            published="less (first epochs)",
            evidence="head_dynamics",
            test=criteria_translation.early_need,
            unit="% of BLEU kept",
            digits=0,
            command="head_dynamics experiment=michel_fig5",
            criterion="less than 85 % with 40 % pruned after the first epoch that scores at all, and at least 10 % of "
            "BLEU more after the last",
        ),
    ]


def _half_of_layers(group: Group, journal: Journal) -> list[Outcome]:
    found = criteria_michel.one_head_layers(group, journal, "train")
    return [replace(outcome, holds=outcome.number >= 50) for outcome in found]


def _published_layers(protocol: str) -> str:
    """The same share, counted in the paper's table."""
    rows = published.best_translation_heads()
    rows = rows[rows["protocol"] == protocol]
    fine = int((~(rows["significant"] & (rows["delta_points"] < 0))).sum())
    return f"{100 * fine / len(rows):.0f} % ({fine} of {len(rows)} layers)"


def _published_last_layer(protocol: str) -> float:
    rows = published.best_translation_heads()
    rows = rows[(rows["protocol"] == protocol) & (rows["kind"] == criteria_translation.CROSS)]
    return float(rows.sort_values("layer")["delta_points"].iloc[-1])
