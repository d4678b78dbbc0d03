"""No name in a record leads out of the folder that figures go to, and no two of them into one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.catalogue.draw import draw_all
from analysis.data.file_names import one_name
from analysis.data.groups import Setting, folder_names
from analysis.render.output import file_name
from tests.support.drawings import only_csv
from tests.support.records import michel
from tests.support.records.frame import DEMO

HOSTILE = ["..", ".", "", "/", "/etc/passwd", "../x", "..\\x", "a/../../b", "a\0b", "\ud800", "x" * 300, "ü" * 300]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_text_is_one_name_in_its_folder(name: str, tmp_path: Path) -> None:
    for found in (one_name(name), file_name(name, name), file_name("fig", name), Setting(name, "x", name, name).folder):
        path = tmp_path / f"{found}.csv"
        assert path.resolve().parent == tmp_path and not found.startswith(".")
        path.write_text("")


def test_usual_names_stay_as_they_are() -> None:
    for name in ("minilm-l6_mnli", "kwon_kept_sst2", "fig3b_evaluation-rows=mnli-validation_matched:500"):
        assert one_name(name) == name.replace(":", "-")
    assert one_name("org/model") == "org-model"
    assert one_name("x" * 300) != one_name("x" * 301)


def test_settings_that_would_meet_keep_apart() -> None:
    settings = [Setting(*words, "small") for words in (("a/b", "x", "c"), ("a-b", "x", "c"), ("d", "x", ""))]
    names = folder_names(settings)
    assert len(set(names.values())) == 3 and names[settings[2]] == "d"
    scales = [Setting("m", "x", "t", scale) for scale in ("/../../x", "/..-..-x", "plain")]
    found = folder_names(scales)
    assert found[scales[2]] == "m_t_plain" and len(set(found.values())) == 3
    assert all("/" not in name for name in found.values())


def test_nothing_is_written_outside_of_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.render.output.save_figure", only_csv)
    root, out = tmp_path / "runs", tmp_path / "deep" / "out"
    for scale in ("/../../x", "small"):
        michel.timing(root, {**DEMO, "name": ".."}, task="../t", scale=scale)
    drawn = draw_all([root], out)
    paths = [*drawn.figures, *drawn.table_files]
    assert paths and all(path.resolve().is_relative_to(out) and path.exists() for path in paths)
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "deep"}
    assert {path.name for path in out.parent.iterdir()} == {"out"}
