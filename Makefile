# Every target sets up what it needs by itself.
PYTHON ?= python3
SCALE ?= demo
METHOD ?= fisher
OVERRIDES ?=
# Where OVERRIDES have the records written.
RECORDS = $(or $(patsubst run.folder=%,%,$(lastword $(filter run.folder=%,$(OVERRIDES)))),runs)
BIN := .venv/bin
READY := .venv/.installed
# Where Python may not keep what it compiled, as in many containers, each of hundreds of processes would compile torch
# and transformers anew, five seconds a process.
export PYTHONDONTWRITEBYTECODE :=
# One process a core with one thread each; tests of a file share its teacher, so a file stays in one process, and the
# files come in the order of tests/conftest.py, the long ones first.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup test test-all lint mutants compare figures report readme notebook reproduce-michel reproduce-fisher reproduce-kwon reproduce-cofi reproduce clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20
	@echo
	@echo "SCALE=demo|small|base|paper chooses the size (default demo), OVERRIDES='...' adds Hydra overrides."

setup: $(READY)  ## Make a virtual environment in .venv with everything pinned

# The path file lets scripts in other folders import prunekit, also beside the clone, which a folder of the same name
# would hide without it.
PATH_FILE := import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "prunekit.pth").write_text(f"{pathlib.Path.cwd()}\n", "utf-8")

# Without --no-compile pip compiles every file of every package, a minute or two, of which most are never imported.
$(READY): requirements.txt
	$(PYTHON) -c 'import sys; sys.exit("prunekit needs Python 3.11 or newer, PYTHON=... names another one" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.txt
	$(BIN)/python -c '$(PATH_FILE)'
	touch $(READY)

test: $(READY)  ## Run the tests (minutes, no network, no GPU)
	$(PYTEST)

test-all: $(READY)  ## Run the slow tests as well
	$(PYTEST) -m ""

lint: $(READY)  ## Check style, types, and which package imports which
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/mypy

mutants: $(READY)  ## Try small wrong changes of the library on its tests (hours, goes on where it stopped)
	OMP_NUM_THREADS=1 nice -n 19 $(BIN)/python -m tests.support.mutants

# A name that is none is refused before an hour of pruning.
compare: $(READY)  ## Prune with all methods and print the rank of METHOD=mine (default fisher)
	@$(BIN)/python -m experiments.compress --cfg job method=$(METHOD) > /dev/null
	$(BIN)/python -m experiments.compress experiment=compare_methods scale=$(SCALE) $(OVERRIDES)
	$(BIN)/python -m analysis rank method=$(METHOD) source=$(RECORDS)

figures: $(READY)  ## Redraw all figures and tables from the logged runs, into figures/logged
	$(BIN)/python -m analysis source=analysis/logged_runs out=figures/logged

readme: $(READY)  ## Write README.md, the pages of docs/ with numbers and its pictures from the logged runs
	$(BIN)/python -m analysis.pages
	$(BIN)/python -m experiments.cli.settings_page

notebook: $(READY)  ## Make tutorial.ipynb, a notebook to run in this folder, of docs/tutorial.md
	$(BIN)/jupytext --quiet --set-kernel python3 --to ipynb --output tutorial.ipynb docs/tutorial.md

report: $(READY)  ## Put all figures, tables and claims from the logged runs on one page, report.html
	$(BIN)/python -m analysis.report source=analysis/logged_runs out=report.html

reproduce-michel: $(READY)  ## Michel et al. 2019: ablation, transfer, pruning curves, speed
	$(BIN)/python -m experiments.reproduce paper=michel scale=$(SCALE) $(OVERRIDES)

reproduce-fisher: $(READY)  ## Kwon et al. 2022: heads and neurons pruned to a budget without training
	$(BIN)/python -m experiments.reproduce paper=kwon scale=$(SCALE) $(OVERRIDES)

reproduce-kwon: reproduce-fisher  ## The same by its first author's name

reproduce-cofi: $(READY)  ## Xia et al. 2022 (CoFi): layers, heads, neurons and hidden dimensions by learned gates
	$(BIN)/python -m experiments.reproduce paper=cofi scale=$(SCALE) $(OVERRIDES)

reproduce: reproduce-michel reproduce-fisher reproduce-cofi  ## Every paper that is here

clean:  ## Remove figures, the page and caches of tools (run records stay)
	rm -rf figures report.html build prunekit.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
