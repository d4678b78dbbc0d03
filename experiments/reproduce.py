"""A whole paper, from teachers to figures: its presets, one after another in one process.

    python -m experiments.reproduce paper=michel scale=small

Overrides are handed on to every run: ``run.folder=... run.wandb=disabled train.epochs=1`` and so on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig

from experiments.cli.cells import cells_of, parts_of
from experiments.cli.composition import preset_named, register, typed
from experiments.cli.sweeper import sweeps
from experiments.cli.verb import Command, named
from prunekit.config.checks import one_of
from prunekit.config.ranges import path_setting
from prunekit.config.sections import Settings


@dataclass(frozen=True)
class Paper:
    """A paper: presets of ``conf/experiment/``, in its order."""

    title: str
    target: str  # of the Makefile
    presets: tuple[str, ...]


PAPERS = {
    "michel": Paper("Michel et al. 2019", "reproduce-michel", (
        "michel_teachers", "michel_fig1b", "michel_fig2b", "michel_fig3b", "michel_table4",
        "michel_translation_teacher", "michel_fig1a", "michel_fig2a", "michel_fig3a", "michel_fig4", "michel_fig5",
    )),
    "kwon": Paper("Kwon et al. 2022", "reproduce-fisher", (
        "kwon_macs", "kwon_latency_table", "kwon_latency", "kwon_scores", "kwon_labels", "kwon_variants",
        "kwon_calibration",
    )),
    "cofi": Paper("Xia et al. 2022 (CoFi)", "reproduce-cofi",
                  ("cofi_sparsity", "cofi_baselines", "cofi_units", "cofi_distillation")),
}  # fmt: skip


@dataclass(kw_only=True)
class Reproduce(Settings):
    """Everything of a paper at one scale."""

    paper: str = "michel"
    """Which: ``michel``, ``kwon`` or ``cofi``."""
    figures: str = path_setting("figures", written=True)
    """Where figures and tables go."""
    dry_run: bool = False
    """Check every run and print its command, but run nothing."""
    estimate: bool = False
    """The same, and tell its hours and memory, from steps measured now at the true shape with random weights."""

    def problems(self) -> Iterator[str]:
        yield from one_of("paper", self.paper, PAPERS)


def perform(config: Reproduce) -> None:
    import analysis.catalogue.options
    from prunekit.support.progress import console

    start = time.perf_counter()
    dry, here = config.dry_run or config.estimate, ("paper", "figures", "dry_run", "estimate")
    handed_on = [text for text in HydraConfig.get().overrides.task if text.partition("=")[0] not in here]
    paper, scale = PAPERS[config.paper], config.scale
    runs = [(name, cell) for name in paper.presets for cell in cells_of_preset(name, handed_on)]
    settings: list[Any] = []
    for number, (name, cell) in enumerate(runs, 1):
        verb = preset_named(name).verb
        command = " ".join([f"python -m experiments.{verb}", *handed_on, f"experiment={name}", *cell])
        settings.append(settings_of(verb, [*handed_on, f"experiment={name}", *cell]))
        earlier = settings.index(settings[-1]) + 1  # figures may share runs
        same = f" (the same run as {earlier})" if earlier < number else ""
        console.print(f"{number}/{len(runs)} {command}{same}", soft_wrap=True)
        if not same and not dry:
            named(verb).perform(settings[-1], " ".join([name, *cell]))
    if config.estimate:
        from experiments.estimates.reproduction import estimate

        estimate(zip([name for name, _ in runs], settings, strict=True), console)
    if dry:
        return
    drawn = analysis.draw_all([Path(config.run.folder)], Path(config.figures), console)
    minutes = (time.perf_counter() - start) / 60
    console.print(f"\n{paper.title}, SCALE={scale.name}: {scale.what} {minutes:.1f} minutes.", style="bold")
    console.print(f"Records: {config.run.folder}/   Figures and tables: {config.figures}/")
    if following := f"make {paper.target} SCALE={scale.next}" if scale.next else "":
        console.print(f"Next: {following} ({scale.next_takes.get(config.paper, '')})")
        console.print(f"What it would take: {following} OVERRIDES=estimate=true")
    analysis.catalogue.options.require_all(drawn.failed)


def cells_of_preset(name: str, overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of every run of a preset beside those of all; none where its scale has nothing for it."""
    register(verb := preset_named(name).verb, named(verb).settings)
    sweeper = compose(verb, [*overrides, f"experiment={name}"], return_hydra_config=True).hydra.sweeper
    cells = cells_of(parts_of(sweeper)) if sweeps(sweeper) else [{}]
    return [[f"{key}={value}" for key, value in cell.items()] for cell in cells]


def settings_of(verb: str, overrides: Sequence[str]) -> Any:
    """The checked settings of ``python -m experiments.VERB OVERRIDES``."""
    register(verb, schema := named(verb).settings)
    return typed(compose(verb, list(overrides)), schema, overrides)


main = Command("reproduce", Reproduce, perform)

if __name__ == "__main__":
    main()
