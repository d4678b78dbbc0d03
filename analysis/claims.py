"""The claims of Michel et al. 2019 on BERT beside what the records say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from analysis import criteria, published
from analysis.criteria import Outcome
from analysis.groups import Group, by_teacher
from analysis.loading import Journal
from analysis.output import Table, mean_std


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper that can be checked."""

    text: str
    where: str
    published: str
    verb: str
    test: Callable[[Group, Journal], list[Outcome]]
    unit: str
    digits: int
    criterion: str


def claims() -> list[Claim]:
    """Every claim, in the order of the paper."""
    r = published.claim("Pearson r of single-head effects, MNLI-m vs MNLI-mm")
    prunable = float(published.claim("share of heads prunable without noticeable loss, BERT MNLI"))
    gain = float(published.claim("speed gain with 50% of heads removed, batch 16 and 64"))
    one = published.speed().set_index("batch_size")["gain"][1]
    return [
        Claim(
            text="Most single heads can be removed without a significant change",
            where="Sec. 3.2, Fig. 1b",
            published="most heads",
            verb="ablate_heads",
            test=criteria.single_heads,
            unit="% of heads",
            digits=0,
            criterion="p >= 0.01 for more than half of the heads",
        ),
        Claim(
            text="Most layers can be cut to one head (chosen on validation data) without a significant loss",
            where="Sec. 3.3, Table 3",
            published="100 % of layers",
            verb="ablate_heads",
            test=_layers("dev"),
            unit="% of layers",
            digits=0,
            criterion="no decrease with p < 0.01 for more than half of the layers",
        ),
        Claim(
            text="Most layers can be cut to one head (chosen on training data) without a significant loss",
            where="App., Table 6",
            published="100 % of layers",
            verb="ablate_heads",
            test=_layers("train"),
            unit="% of layers",
            digits=0,
            criterion="no decrease with p < 0.01 for more than half of the layers",
        ),
        Claim(
            text="The effect of removing a head transfers across domains",
            where="Sec. 3.4, Fig. 2b",
            published=f"r = {r}",
            verb="transfer",
            test=criteria.transfer,
            unit="Pearson r",
            digits=2,
            criterion="r > 0 with p < 0.01",
        ),
        Claim(
            text="Heads can be pruned by importance up to a share of 40 % without noticeable loss",
            where="Sec. 4.2, Fig. 3b",
            published=f"{100 * prunable:.0f} % of heads",
            verb="prune_heads",
            test=criteria.prunable,
            unit="% of heads",
            digits=0,
            criterion="up to at least 40 %, every point is above the low end of the unpruned model's 95 % "
            "sampling interval",
        ),
        Claim(
            text="Beyond that, the importance order is better than the oracle order of single-head effects",
            where="Sec. 4.2, Fig. 3b",
            published=_published_advantage(),
            verb="prune_heads",
            test=criteria.importance_beats_oracle,
            unit="points",
            digits=1,
            criterion="positive mean difference over the shares above 40 % and below 100 %",
        ),
        Claim(
            text="Removing half of the heads speeds inference up at larger batches",
            where="Sec. 4.3, Table 4",
            published=f"up to {100 * gain:+.1f} % (batch 16, 64)",
            verb="time_inference",
            test=criteria.large_batch_gain,
            unit="% gain",
            digits=1,
            criterion="best gain at batch 16 or more at least 10 %, at length 128 (else the longest)",
        ),
        Claim(
            text="Removing half of the heads hardly speeds inference up at batch 1",
            where="Sec. 4.3, Table 4",
            published=f"{100 * one:+.1f} % (batch 1)",
            verb="time_inference",
            test=criteria.batch_one_gain,
            unit="% gain",
            digits=1,
            criterion="gain below 10 %, at length 128 (else the longest)",
        ),
        Claim(
            text="Attention holds about a third of all parameters",
            where="Sec. 4.3",
            published=published.claim("share of all parameters that sits in attention"),
            verb="time_inference",
            test=criteria.attention_share,
            unit="% of parameters",
            digits=1,
            criterion="within 5 points of a third",
        ),
    ]


def draw(evidence: Mapping[str, Group], journal: Journal, setting: str) -> Table:
    """The claims table of one setting; ``evidence`` has the runs of each verb."""
    import pandas as pd

    rows = []
    for claim in claims():
        group = evidence.get(claim.verb)
        outcomes = claim.test(group, journal) if group is not None else []
        rows.append(
            {
                "claim": claim.text,
                "where": claim.where,
                "published": claim.published,
                "ours": value_text(claim, outcomes),
                "verdict": verdict(outcomes),
                "criterion (for every teacher)": claim.criterion,
                "setting": setting_text(group) if group is not None and outcomes else "not in the records",
            }
        )
    frame = pd.DataFrame(rows)
    shown = frame.assign(verdict=frame["verdict"].map("**{}**".format))
    return Table(
        name="claims",
        title=f"Claims of Michel et al. 2019 ({setting})",
        frame=frame,
        display=shown,
        caption=CAPTION,
        narrow=("claim", "published", "ours", "verdict"),
    )


CAPTION = (
    "Not significant does not mean equal: fewer evaluation rows find fewer differences. "
    "± is the standard deviation over teachers."
)


def verdict(outcomes: list[Outcome]) -> str:
    """``holds`` only if it does for every teacher.

    >>> verdict([Outcome(1.0, True), Outcome(2.0, False)])
    'does not hold (holds for 1 of 2 teachers)'
    """
    if not outcomes:
        return "not tested"
    holding = sum(outcome.holds for outcome in outcomes)
    if holding == len(outcomes):
        return "holds"
    return "does not hold" + (f" (holds for {holding} of {len(outcomes)} teachers)" if holding else "")


def value_text(claim: Claim, outcomes: list[Outcome]) -> str:
    """``mean ± std unit, number of teachers; what the number was taken from``."""
    if not outcomes:
        return ""
    text = f"{mean_std([outcome.number for outcome in outcomes], claim.digits)} {claim.unit}"
    if len(outcomes) > 1:
        text += f", {len(outcomes)} teachers"
    notes = list(dict.fromkeys(outcome.note for outcome in outcomes if outcome.note))
    return text + (f" ({'; '.join(notes)})" if notes else "")


def setting_text(group: Group) -> str:
    """Model, evaluation rows, and teachers, short."""
    record = group.records[0]
    words = [record.model.name + (" (random weights)" if record.model.weights == "random" else "")]
    words += [f"{d.name} {d.split}, {d.rows:,} rows" for d in record.data if d.role in ("evaluation", "second")]
    if record.teacher_seed is not None:
        words.append("teachers: " + ", ".join(by_teacher(group.records)))
    if record.verb == "time_inference":
        words.append(record.device)
    return "; ".join(words)


def _layers(protocol: str) -> Callable[[Group, Journal], list[Outcome]]:
    return lambda group, journal: criteria.one_head_layers(group, journal, protocol)


def _published_advantage() -> str:
    """The same mean difference, computed from the independent rerun's curves."""
    curves = published.pruning_curves()
    by_order = {order: rows.set_index("share")["value"] for order, rows in curves.groupby("order")}
    outcome = criteria.advantage(by_order["importance"], by_order["oracle"])
    assert outcome is not None
    return f"{outcome.number:+.1f} points ({outcome.note}; independent rerun)"
