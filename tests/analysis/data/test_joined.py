"""Tables read together are the tables read one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.data.joined import join_tables
from analysis.data.loading import Journal, load, read_tables
from tests.support.records.frame import write_run

COLUMNS = {"name": "str", "value": "float", "count": "int", "good": "bool"}
WHOLE = "name,value,count,good,more\na,0.1,1,True,x\nb,2,2,False,y\n"


def write(root: Path, *texts: str) -> list[Any]:
    """Records with these texts as their table ``t``, in this order."""
    for seed, text in enumerate(texts):
        folder = write_run(root, "verb", seed=seed)
        (folder / "tables" / "t.csv").write_text(text)
    return load([root], Journal())


def one_by_one(records: list[Any], journal: Journal) -> pd.DataFrame:
    parts = [table[list(COLUMNS)].assign(seed=r.seed) for r, table in read_tables(records, "t", COLUMNS, journal)]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("number", ["1.7", "inf", "True"])
def test_a_number_of_units_is_whole(number: str, tmp_path: Path) -> None:
    journal = Journal()
    assert list(read_tables(write(tmp_path, WHOLE.replace("2,2", f"2,{number}")), "t", COLUMNS, journal)) == []
    (warning,) = journal.warnings
    assert warning.endswith("t.csv, line 3: column count must be a whole number")


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
        WHOLE.replace("2,2", "2,1.7"),
        WHOLE.replace("2,2", "2,inf"),
        WHOLE.replace("2,2", "2,2.0"),
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
