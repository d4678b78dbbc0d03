"""The pictures in ``docs/``: figures that pages show, by the figures that they are copies of."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from analysis.catalogue.draw import draw_each
from analysis.data.loading import Journal, load
from analysis.render.output import Drawing, file_name
from prunekit.support.errors import UserError

PICTURES = {
    "michel_fig1a_marian": "marian-small_multi30k/fig1a",
    "michel_fig1b_minilm": "minilm-l6_mnli/fig1b",
    "michel_fig3a_marian": "marian-small_multi30k/fig3a",
    "michel_fig3b_minilm": "minilm-l6_mnli/fig3b",
    "michel_fig4_marian": "marian-small_multi30k/fig4",
    "michel_fig5_marian": "marian-small_multi30k/fig5",
    "michel_kept_heads_minilm": "minilm-l6_mnli/kept_heads",
    "kwon_latency_minilm": "minilm-l6/kwon_latency",
    "kwon_macs_minilm": "minilm-l6/kwon_macs",
    "kwon_stages_minilm": "minilm-l6/kwon_stages",
    "cofi_kept_sst2_minilm": "minilm-l6/cofi_kept_sst2",
    "cofi_speed_minilm": "minilm-l6/cofi_speed",
    "cofi_training_sst2_minilm": "minilm-l6/cofi_training_sst2",
    "compare_mrpc_minilm": "minilm-l6/compare_mrpc",
    "compare_mrpc-2_minilm": "minilm-l6/compare_mrpc-2",
    "ranks_minilm": "minilm-l6/ranks",
    "quantized_mrpc_minilm": "minilm-l6/quantized_mrpc",
    "quantized_sst2_minilm": "minilm-l6/quantized_sst2",
}
"""Names without ending: in ``docs/``, and below the folder that ``python -m analysis`` writes."""


def draw_pictures(sources: Iterable[Path], folder: Path) -> list[Path]:
    """Write those of the pictures that the records in ``sources`` give into ``folder``; returns their paths.

    They are the bytes that ``python -m analysis`` writes: a figure is laid out for its PDF, then saved as PNG.

    Raises:
        UserError: a source is no folder, or a figure cannot be drawn.
    """
    names = {figure: name for name, figure in PICTURES.items()}
    journal, written = Journal(), []
    with tempfile.TemporaryDirectory() as home:
        for made in draw_each(load(sources, journal), journal):
            name = names.get(f"{made.folder}/{file_name(made.item.name, made.suffix)}")
            if name is not None and isinstance(made.item, Drawing):
                _, png = made.item.save(Path(home), made.suffix, kinds=("pdf", "png"))
                written.append(Path(shutil.copyfile(png, folder / f"{name}.png")))
    if journal.failed:
        raise UserError(journal.failed[0])
    return written
