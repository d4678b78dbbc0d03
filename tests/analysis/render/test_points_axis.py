"""The axis of differences in points, for whatever a panel shows."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from analysis.render.points_axis import scale


@pytest.mark.parametrize(
    ("shown", "limits", "kind"),
    [
        ([], (-1.25, 1.25), "linear"),
        ([0.5], (-1.25, 1.25), "linear"),
        ([-4.0, 2.0], (-5.0, 2.5), "linear"),
        ([-40.0], (-50.0, 1.25), "symlog"),
    ],
)
def test_an_axis_has_room_for_all_of_its_panel_and_for_one_point(
    shown: list[float], limits: tuple[float, float], kind: str
) -> None:
    axes = Figure().add_subplot()
    scale(axes, shown)
    assert (axes.get_ylim(), axes.get_yscale()) == (limits, kind)
