# CalcMap: everything a person types. `make` alone prints the list.
#
# `make score` and `make test` work in a fresh clone with nothing but Python 3.11 or newer: they make .venv themselves.

VENV := .venv
CALCMAP := $(VENV)/bin/calcmap

# The study that `make score` makes for itself when none is named. SITE is a scanner that `calcmap simulate` knows.
SITE := pet_ct
SEED := 4
DEMO := demo

# make score STUDY=/path/to/study [OUT=/path/for/results]
STUDY ?=
OUT ?= out/$(if $(STUDY),$(notdir $(abspath $(STUDY))),$(DEMO))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help score review test check clean distclean

help: ## print this list
	@echo 'CalcMap: coronary calcium scores from the attenuation CT of nuclear heart scans. Research use only.'
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)$$/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s%s\n", $$1, $$2 }'
	@echo
	@echo '  make score STUDY=/path/to/study [OUT=/path/for/results]   score your own'

score: $(VENV)/.calcmap-base $(if $(STUDY),,| $(DEMO)) ## score a study: one that it simulates itself, or STUDY=path
	@scripts/score '$(CALCMAP)' '$(if $(STUDY),$(STUDY),$(DEMO))' '$(OUT)'

review: $(VENV)/.calcmap-service ## verify scores in a browser: those of the simulated study, or OUT=path
	@'$(CALCMAP)' review '$(OUT)'

test: $(VENV)/.calcmap-dev ## run the whole test suite with its coverage gates
	@scripts/test

check: $(VENV)/.calcmap-dev ## run format, lint, types, imports, docstring and size gates
	@scripts/check

clean: ## remove the demo study, its results, caches and build outputs; keep .venv and other results
	rm -rf $(DEMO) $(DEMO).part out/$(DEMO) build dist .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

distclean: clean ## as clean, and remove .venv
	rm -rf $(VENV)

# Made beside its place and moved there when whole, so that an interrupted run leaves nothing that looks finished.
$(DEMO): | $(VENV)/.calcmap-base
	@echo 'Simulating a study in $(DEMO)/ ($(SITE), seed $(SEED))'
	@rm -rf '$(DEMO).part'
	@$(CALCMAP) simulate --patients 1 --site $(SITE) --seed $(SEED) --dicom -o '$(DEMO).part'
	@mv '$(DEMO).part' '$(DEMO)'

$(VENV)/.calcmap-base: pyproject.toml constraints.txt
	@scripts/setup base

$(VENV)/.calcmap-service: pyproject.toml constraints.txt
	@scripts/setup service

# Without torch this stamp is never written: the tests still run, and the next call tries again.
$(VENV)/.calcmap-dev: pyproject.toml constraints.txt
	@scripts/setup dev
