"""A whole paper, from teachers to figures: the experiments of the other verbs, one after another in one process.

    python -m experiments.reproduce paper=michel scale=small

Overrides are handed on to every experiment: ``run.folder=... run.wandb=disabled train.epochs=1`` and so on.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig

from experiments.cli.entry import register, run_main, typed
from experiments.papers import ABLATIONS, PAPERS
from prunekit.checks import one_of
from prunekit.config import Finetune


@dataclass(kw_only=True)
class Reproduce(Finetune):
    """Everything of a paper at one scale."""

    paper: str = "michel"
    """Which: ``michel``, ``kwon`` or ``cofi``."""
    figures: str = "figures"
    """Where figures and tables go."""
    dry_run: bool = False
    """Compose and check every run and print its command, but run nothing."""

    def problems(self) -> Iterator[str]:
        yield from one_of("paper", self.paper, PAPERS)
        for name in self.scale.ablations:
            yield from one_of("scale.ablations", name, ABLATIONS)


def perform(config: Reproduce) -> None:
    from rich.markup import escape

    import analysis
    from prunekit.progress import console

    start = time.perf_counter()
    own = ("paper", "figures", "dry_run")
    handed_on = [text for text in HydraConfig.get().overrides.task if text.partition("=")[0] not in own]
    paper, scale = PAPERS[config.paper], config.scale
    steps = list(paper.runs(scale))
    for number, (verb, overrides) in enumerate(steps, 1):
        told = " ".join([f"python -m experiments.{verb}", *handed_on, *overrides])
        console.print(f"[dim]{number}/{len(steps)}[/] {escape(told)}", soft_wrap=True)
        run_verb(verb, [*handed_on, *overrides], dry=config.dry_run)
    if config.dry_run:
        return
    analysis.draw_all([Path(config.run.folder)], Path(config.figures), console)
    minutes = (time.perf_counter() - start) / 60
    console.print(f"\n[bold]{paper.title}, SCALE={scale.name}[/]: {scale.what} {minutes:.1f} minutes.")
    console.print(f"Records: {config.run.folder}/   Figures and tables: {config.figures}/")
    if scale.next:
        takes = scale.next_takes.get(config.paper, "")
        console.print(f"Next: make {paper.target} SCALE={scale.next} ({takes})")


def run_verb(verb: str, overrides: list[str], *, dry: bool = False) -> dict[str, Any] | None:
    """What ``python -m experiments.VERB OVERRIDES`` does, in this process; returns the record. ``dry`` only checks the
    settings."""
    module: Any = importlib.import_module(f"experiments.{verb}")
    schema = getattr(module, "".join(part.capitalize() for part in verb.split("_")))
    register(verb, schema)
    config = typed(compose(config_name=verb, overrides=overrides), schema)
    return None if dry else module.perform(config)


if __name__ == "__main__":
    run_main("reproduce", Reproduce, perform)
