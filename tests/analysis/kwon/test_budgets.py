"""Requested and achieved shares stand side by side, as the records have them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.kwon import budgets
from analysis.render.output import Table
from tests.support.records import kwon
from tests.support.records.frame import MINILM


def told(folder: Path, **sparsity: float) -> None:
    """Add to what a record says of sparsity."""
    path = folder / "result.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps(result | {"sparsity": result["sparsity"] | sparsity}))


def test_shares_that_remain(tmp_path: Path) -> None:
    for seed, parameters in ((0, 0.2), (1, 0.3)):
        run = kwon.pruning(tmp_path, MINILM, "sst2", seed=seed, loss=0.02, speedup=1.6)
        told(run, requested_macs=0.5, achieved_macs=0.51, achieved_parameters=parameters)
    run = kwon.pruning(tmp_path, MINILM, "sst2", loss=0.01, speedup=2.0, budget="latency")
    told(run, achieved_macs=0.4, achieved_parameters=0.2, achieved_latency_by_table=0.501, achieved_latency=0.5)
    [table] = budgets.draw(Group(load([tmp_path], Journal())), Journal())
    assert isinstance(table, Table)
    by_latency, by_macs = (table.frame[table.frame.budget == budget].iloc[0] for budget in ("latency", "mac"))
    assert (by_macs.requested, by_macs.achieved_macs, by_macs.achieved_parameters) == pytest.approx((50, 49, 75))
    assert (by_macs.achieved_latency, by_macs.change, by_macs.runs) == pytest.approx((62.5, -2, 2))
    assert by_latency.achieved_latency_by_table == pytest.approx(49.9)
    shown = table.display.iloc[1].tolist()
    assert shown[:7] == ["sst2", "MACs", "50", "49.0", "75.0", "", "62.5"]
    assert shown[7:] == ["accuracy 89.2 (89.2; 89.2)", "-2.0", "2", "35.0", ""]
