"""The claims of Michel et al. 2019 on BERT beside what the records say."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from analysis.claims import criteria_michel
from analysis.claims.claim import Claim, Outcome, claims_table
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.published import claim
from analysis.michel import published
from analysis.render.output import Table

CAPTION = (
    "Not significant does not mean equal: fewer evaluation rows find fewer differences. "
    "± is the standard deviation over teachers."
)


def draw(runs: Mapping[str, list[Group]], journal: Journal, setting: str) -> Table:
    """The claims table of one setting; ``runs`` has the groups of each verb, of which the first is judged."""
    evidence = {verb: groups[0] for verb, groups in runs.items() if groups}
    return claims_table(
        "claims_michel", f"Claims of Michel et al. 2019 ({setting})", claims(), evidence, journal, CAPTION
    )


def claims() -> list[Claim]:
    """Every claim, in the order of the paper."""
    _, r = published.transfer(translation=False)
    prunable = float(claim("michel", "share of heads prunable without noticeable loss, BERT MNLI"))
    gain = float(claim("michel", "speed gain with 50% of heads removed, batch 16 and 64"))
    one = published.speed().set_index("batch_size")["gain"][1]
    return [
        Claim(
            text="Most single heads can be removed without a significant change",
            where="Sec. 3.2, Fig. 1b",
            published="most heads",
            evidence="ablate_heads",
            test=criteria_michel.single_heads,
            unit="% of heads",
            digits=0,
            command="ablate_heads experiment=michel_fig1b",
            criterion="p >= 0.01 for more than half of the heads",
        ),
        Claim(
            text="Most layers can be cut to one head (chosen on validation data) without a significant loss",
            where="Sec. 3.3, Table 3",
            published="100 % of layers",
            evidence="ablate_heads",
            test=_layers("dev"),
            unit="% of layers",
            digits=0,
            command="ablate_heads experiment=michel_table3",
            criterion="no decrease with p < 0.01 for more than half of the layers",
        ),
        Claim(
            text="Most layers can be cut to one head (chosen on training data) without a significant loss",
            where="App., Table 6",
            published="100 % of layers",
            evidence="ablate_heads",
            test=_layers("train"),
            unit="% of layers",
            digits=0,
            command="ablate_heads experiment=michel_table3",
            criterion="no decrease with p < 0.01 for more than half of the layers",
        ),
        Claim(
            text="The effect of removing a head transfers across domains",
            where="Sec. 3.4, Fig. 2b",
            published=f"r = {r}",
            evidence="transfer",
            test=criteria_michel.transfer,
            unit="Pearson r",
            digits=2,
            command="transfer experiment=michel_fig2b",
            criterion="r > 0 with p < 0.01",
        ),
        Claim(
            text="Heads can be pruned by importance up to a share of 40 % without noticeable loss",
            where="Sec. 4.2, Fig. 3b",
            published=f"{100 * prunable:.0f} % of heads",
            evidence="prune_heads",
            test=criteria_michel.prunable,
            unit="% of heads",
            digits=0,
            command="prune_heads -m experiment=michel_fig3b order=importance train.seed=0,1,2",
            criterion="up to at least 40 %, every point is above the low end of the unpruned model's 95 % "
            "sampling interval",
        ),
        Claim(
            text="Beyond that, the importance order is better than the oracle order of single-head effects",
            where="Sec. 4.2, Fig. 3b",
            published=_published_advantage(),
            evidence="prune_heads",
            test=criteria_michel.importance_beats_oracle,
            unit="points",
            digits=1,
            command="prune_heads -m experiment=michel_fig3b order=importance,oracle train.seed=0,1,2",
            criterion="positive mean difference over the shares above 40 % and below 100 %",
        ),
        Claim(
            text="Removing half of the heads speeds inference up at larger batches",
            where="Sec. 4.3, Table 4",
            published=f"up to {100 * gain:+.1f} % (batch 16, 64)",
            evidence="time_inference",
            test=criteria_michel.large_batch_gain,
            unit="% gain",
            timed=True,
            digits=1,
            command="time_inference experiment=michel_table4",
            criterion="best gain at batch 16 or more at least 10 %, at length 128 (else the longest)",
        ),
        Claim(
            text="Removing half of the heads hardly speeds inference up at batch 1",
            where="Sec. 4.3, Table 4",
            published=f"{100 * one:+.1f} % (batch 1)",
            evidence="time_inference",
            test=criteria_michel.batch_one_gain,
            unit="% gain",
            timed=True,
            digits=1,
            command="time_inference experiment=michel_table4",
            criterion="gain below 10 %, at length 128 (else the longest)",
        ),
        Claim(
            text="Attention holds about a third of all parameters",
            where="Sec. 4.3",
            published=claim("michel", "share of all parameters that sits in attention"),
            evidence="time_inference",
            test=criteria_michel.attention_share,
            unit="% of parameters",
            timed=True,
            digits=1,
            command="time_inference experiment=michel_table4",
            criterion="within 5 points of a third",
        ),
    ]


def _layers(protocol: str) -> Callable[[Group, Journal], list[Outcome]]:
    return lambda group, journal: criteria_michel.one_head_layers(group, journal, protocol)


def _published_advantage() -> str:
    """The same mean difference, computed from the independent rerun's curves."""
    curves = published.pruning_curves()
    by_order = {order: rows.set_index("share")["value"] for order, rows in curves.groupby("order")}
    outcome = criteria_michel.advantage(by_order["importance"], by_order["oracle"])
    assert outcome is not None
    return f"{outcome.number:+.1f} points ({outcome.note}; independent rerun)"
