"""The claims of Lan et al. 2019 (ALBERT) on parameters and time, beside what timings of both models say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from analysis.claims import criteria_albert
from analysis.claims.claim import Claim, claims_table
from analysis.data import published
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.records import Record
from analysis.render.output import Table

PAPER = "Lan et al. 2019 (ALBERT)"
COMMAND = (
    "time_inference -m scale=small model=albert-base,bert-base model.weights=random batch_sizes=[1,16] lengths=[32,128]"
)
"""Shapes that a CPU times in minutes."""


def draw(records: Sequence[Record], journal: Journal) -> Table:
    """The claims table of both models; times are of the machine with the most runs of both."""
    return claims_table("claims_albert", f"Claims of {PAPER}", claims(), evidence(records), journal, "")


def evidence(records: Sequence[Record]) -> dict[str, Group]:
    """The timings of both models that were taken on one machine."""
    both = [r for r in records if r.verb == "time_inference" and r.model.name in criteria_albert.MODELS]
    runs = Counter(record.device for record in both)
    for device, _ in sorted(runs.items(), key=lambda item: (-item[1], item[0])):
        found = [record for record in both if record.device == device]
        if {record.model.name for record in found} == set(criteria_albert.MODELS):
            return {"timings": Group(sorted(found, key=lambda record: (record.model.name, record.model.weights)))}
    return {}


def claims() -> list[Claim]:
    """Both ways to fewer parameters, and what they are not: faster."""
    return [
        Claim(
            text="Factorised embeddings save parameters",
            where="Sec. 3.1",
            published=f"{published.claim('albert', 'factorised embedding saves parameters')}, "
            f"{criteria_albert.published_ratio():.1f} x",
            evidence="timings",
            test=criteria_albert.factorised,
            unit="x fewer in the word embeddings",
            digits=1,
            command=COMMAND,
            criterion="BERT's word embeddings over ALBERT's with their projection, within 5 % of the published ratio",
            over="models",
        ),
        Claim(
            text="Sharing all layers, not the embedding, brings most of the saving",
            where="Table 4",
            published=published.claim("albert", "sharing all layers, not the embedding, brings most of the saving"),
            evidence="timings",
            test=criteria_albert.shared,
            unit="% of the parameters saved",
            digits=0,
            command=COMMAND,
            criterion="more than half of what the layers and the word embeddings save together",
            over="models",
        ),
        Claim(
            text="Sharing lowers parameters but not inference time",
            where="write-ups of the paper",
            published=published.claim("albert", "sharing lowers parameters but not inference time"),
            evidence="timings",
            test=criteria_albert.not_faster,
            unit="x BERT's time",
            digits=2,
            command=COMMAND,
            criterion="fewer parameters in the layers, and unpruned ALBERT's time over BERT's above 0.9 in the "
            "geometric mean over the batch sizes and lengths of both (two runs on one machine differ by up to a "
            "tenth); embeddings are looked up, so it is the time of the layers",
            timed=True,
            over="models",
        ),
    ]
