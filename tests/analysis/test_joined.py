"""Tables read together are the tables read one by one, and thousands of records are a matter of seconds."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import fig3b
from analysis.groups import by_condition
from analysis.joined import join_tables
from analysis.loading import Journal, load, read_tables
from tests.analysis import factory

COLUMNS = {"name": "str", "value": "float", "count": "int", "good": "bool"}
WHOLE = "name,value,count,good,more\na,0.1,1,True,x\nb,2,2,False,y\n"


def write(root: Path, *texts: str) -> list[Any]:
    """Records with these texts as their table ``t``, in this order."""
    for seed, text in enumerate(texts):
        folder = factory.write_run(root, "verb", seed=seed)
        (folder / "tables" / "t.csv").write_text(text)
    return load([root], Journal())


def one_by_one(records: list[Any], journal: Journal) -> pd.DataFrame:
    parts = [table[list(COLUMNS)].assign(seed=r.seed) for r, table in read_tables(records, "t", COLUMNS, journal)]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    "odd",
    [
        WHOLE,
        WHOLE[:-3],
        "",
        "name,value,count,good,more\n",
        WHOLE.replace("name", "nome"),
        WHOLE.replace("0.1", "x"),
        WHOLE.replace("True", "yes"),
        WHOLE.replace("b,2", "b,"),
        WHOLE.replace("b,2", "b,2,3"),
        WHOLE.replace("\nb", "\n\nb"),
        WHOLE.replace("x", '"x\nx"'),
        "count,good,name,value\n3,True,c,0.25\n",
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_rows_and_the_warnings_are_the_same(odd: str, place: int, tmp_path: Path) -> None:
    texts = [WHOLE, WHOLE.replace("a,0.1", "c,1e-3")]
    texts.insert(place, odd)
    records = write(tmp_path, *texts)
    journal, expected = Journal(), Journal()
    found = join_tables(records, "t", COLUMNS, journal, seed=lambda record: record.seed)
    assert found is not None
    pd.testing.assert_frame_equal(found, one_by_one(records, expected))
    assert journal.warnings == expected.warnings


def test_no_usable_table_is_none(tmp_path: Path) -> None:
    journal = Journal()
    assert join_tables([], "t", COLUMNS, journal) is None and not journal.warnings
    records = write(tmp_path, "no,such\n1,2\n")
    (records[0].folder / "tables" / "t.csv").unlink()
    assert join_tables(records, "t", COLUMNS, journal) is None
    assert journal.warnings == [f"skipped: {records[0].table_path('t')}: missing"]


@pytest.mark.slow
def test_ten_thousand_records_are_read_and_drawn_in_ten_seconds(tmp_path: Path) -> None:
    """Seconds of this process's own, so that a busy machine is no failure."""
    orders = [factory.pruning(tmp_path / "originals", factory.BERT, order) for order in factory.ORDERS]
    contents = [(run / "tables" / "points.csv").read_bytes() for run in orders]
    results = [json.loads((run / "result.json").read_bytes()) for run in orders]
    for number in range(10_000):
        which = number % len(orders)
        copy = tmp_path / "runs" / "prune_heads" / f"{number:016x}"
        (copy / "tables").mkdir(parents=True)
        (copy / "tables" / "points.csv").write_bytes(contents[which])
        seed = number // len(orders)
        config = results[which]["config"] | {"seed": seed}
        result = results[which] | {"run_id": copy.name, "seed": seed, "config": config}
        (copy / "result.json").write_text(json.dumps(result))

    start, journal = time.process_time(), Journal()
    records = load([tmp_path / "runs"], journal)
    [group] = by_condition(records)
    [drawing] = fig3b.draw(group, journal)
    drawing.save(tmp_path / "figures")
    seconds = time.process_time() - start
    assert len(records) == 10_000 and not journal.warnings
    assert drawing.frame["runs"].max() == 10_000, "behind the unpruned point"
    shutil.rmtree(tmp_path / "runs")  # pytest would keep 20,000 files, and delete them in another session
    assert seconds < 10
