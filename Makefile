# A newcomer needs three: make report, make test, make lab.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The stamp is written last, so a half-made .venv has none.  It holds the folder's name, because
# scripts in a .venv name the folder they were made in and die when it is moved.
STAMP := $(VENV)/.complete
NOTEBOOKS := $(wildcard notebooks/*.ipynb)

# The version lookup fails when the interpreter behind .venv was replaced by another one.
PROBE := from importlib.metadata import version; version("freehint"); print(open("$(STAMP)").read())
ifneq ($(shell $(BIN)/python -c '$(PROBE)' 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
MAKE_VENV = $(PYTHON) -m venv --clear $(VENV)
endif

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help report test lab bench bench-quick growth docs lint properties safety summaries mutants fuzz factorial scenario-search compile-benchmark gallery book picture-time screenshots record-demo parking pct explore spin explore-core verify known-bugs need-chromium need-gcc need-spin tornado zeroing chart

help: ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile
	@echo "  PYTHON=...	the interpreter to make .venv with (python3)"

report: $(STAMP) ## who was right, and nine policies compared over ten seeds, in 2 minutes: out/report.html
	@$(BIN)/freehint report -o out/report.html

# Bytecode is kept: hundreds of processes would compile the same sources.
test: need-chromium lint ## lint, all tests, every notebook, a real JupyterLab
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest \
	  -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lab: $(STAMP) ## open JupyterLab on the notebooks
	@$(BIN)/python -m jupyterlab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

bench: need-gcc $(STAMP) ## measure the speed beside C, SimPy, numpy and Python: out/bench.md, .svg; has a ratio fallen?
	@$(BIN)/python -m benchmarks.run

bench-quick: need-gcc $(STAMP) ## measure the same on smaller guests, in 2 minutes
	@$(BIN)/python -m benchmarks.run --quick

growth: need-gcc $(STAMP) ## measure time and memory against size, up to 1 TiB: out/growth.csv, out/growth_*.svg
	@$(BIN)/python -m benchmarks.growth

properties: $(STAMP) ## hold every policy against 1,000 random histories, reclaim against its twin in as many, and 4 times the examples of make test
	@$(BIN)/python -m freehint.studies.promises 1000
	@FREEHINT_EXAMPLES=4 $(BIN)/python -m pytest `grep -rl 'examples(' tests --include='test_*.py'`
	@FREEHINT_EXAMPLES=252 $(BIN)/python -m pytest tests/mm/reclaim/test_reclaim_twin.py  # 1,008
	@FREEHINT_EXAMPLES=12 $(BIN)/python -m pytest tests/mm/reclaim/test_huge_allocations.py tests/mm/test_compact_twin.py

safety: $(STAMP) ## run 2 x 10,000 random migrations: is a write ever lost?
	@$(BIN)/freehint explore --histories 10000

parking: $(STAMP) ## park vm0's six sandboxes, and a thousand guests: guests a second, bytes lost
	@$(BIN)/python -m freehint.studies.parking

pct: $(STAMP) ## a planted race of depth 2: 100,000 uniform schedules miss it, PCT finds it
	@$(BIN)/python -m freehint.safety.chance.race 100000

explore: $(STAMP) ## search every policy and generation of the dirty log in the explorer's small guest: out/explore.csv; has a verdict changed? 20 minutes
	@$(BIN)/python -m freehint.safety.exhaust.matrix out/explore.csv

spin: need-spin $(STAMP) ## search the protocol core, written in Promela, with spin: out/spin.csv; has a verdict changed? 10 minutes
	@$(BIN)/python -m freehint.safety.oracle out/spin.csv

explore-core: $(STAMP) ## ask the explorer every cell of the protocol core: does it say what spin says? out/explore_core.csv; 3 minutes
	@$(BIN)/python -m freehint.safety.exhaust.agree out/explore_core.csv out/spin.csv

known-bugs: $(STAMP) ## put known bugs of hinting back, one by one: is each found, with a shortest schedule? out/known_bugs.csv
	@$(BIN)/python -m freehint.safety.exhaust.known out/known_bugs.csv

# ROWS adds a folder of row files; SERIES is where published series lie that do not ship.
verify: $(STAMP) ## put the model beside published numbers: out/verify.html and .md; ROWS=FOLDER adds rows; 5 minutes
	@$(if $(SERIES),FREEHINT_PUBLISHED=$(SERIES)) $(BIN)/python -m freehint.reports.published out/verify.html $(ROWS)

summaries: $(STAMP) ## compare the hashes of 135 runs: has any result changed?
	@$(BIN)/python tests/summaries.py

mutants: $(STAMP) ## bugs planted one by one: is each found by the tests? 10 minutes
	@$(BIN)/python tests/mutants.py

fuzz: $(STAMP) ## give every loader 12,000 mutated inputs: is each refused in a sentence? out/fuzz; if interrupted, it goes on
	@$(BIN)/python tests/fuzz.py

# The full design of notebooks/factorial.ipynb; the notebook as it stands runs a small one.
define FULL
seeds: [1, 2, 3]
memories:
- linux-6.1/snapshots/snap4g.T0
- linux-6.1/traces/frag.T1
- linux-6.1/traces/compile.T1
- linux-6.1/traces/cache.T1
capacities: [8, 64]
ring_sizes: [32, 1024]
gaps_ns: [0, 3000000]
duration_ns: 100000000
scheduler: processes
out: out/factorial
endef
export FULL

factorial: $(STAMP) ## cross all knobs of the walker: out/factorial.ipynb, 10 minutes; if interrupted, it goes on
	@mkdir -p out
	@$(BIN)/python -m papermill --no-progress-bar --cwd . -y "$$FULL" notebooks/factorial.ipynb out/factorial.ipynb

scenario-search: $(STAMP) ## which setting tells most policies apart? 32 settings, each policy, 5 seeds, 6 minutes
	@$(BIN)/python -m freehint.studies.side_by_side

tornado: $(STAMP) ## halve and double every assumed cost, one by one, over ten seeds: out/tornado.csv; 10 minutes
	@$(BIN)/python -m freehint.studies.costs.tornado out/tornado.csv

chart: $(STAMP) ## what to choose for each kind of guest and host, over ten seeds: out/chart.csv; has a choice changed? 5 minutes
	@$(BIN)/python -m freehint.studies.chart.chart out/chart.csv

zeroing: $(STAMP) ## what share of allocations lands on pages that the host has zeroed, and what does a returned page cost? 2 minutes
	@$(BIN)/python -m freehint.studies.costs.zeroing_tables

docs: $(STAMP) ## write the API's reference from the docstrings, for offline reading: out/docs
	@EAGER_IMPORT=1 $(BIN)/python -m pdoc --docformat numpy --output-directory out/docs freehint

# The full runs of notebooks/compile.ipynb.
define COMPILE
bandwidths_MBps: [50, 125]
speeds: [1, 10]
seeds: [1, 2, 3]
scheduler: processes
out: out/compile
endef
export COMPILE

compile-benchmark: $(STAMP) ## migrate a compiling guest under every policy: out/compile.ipynb, 10 minutes; if interrupted, it goes on
	@mkdir -p out
	@$(BIN)/python -m papermill --no-progress-bar --cwd . -y "$$COMPILE" notebooks/compile.ipynb out/compile.ipynb

gallery: $(STAMP) ## make the pictures of notebooks/index.ipynb anew, each from its chapter, 5 minutes
	@$(BIN)/python tests/book.py

book: $(STAMP) ## run all notebooks and write them as one offline website: out/book/index.html; if interrupted, it goes on
	@$(BIN)/python -m freehint.reports.book.build notebooks/index.ipynb out/book

picture-time: need-chromium $(STAMP) ## measure the time from a key on a knob to the changed picture, in a real JupyterLab
	@$(BIN)/python -m benchmarks.lab

screenshots: need-chromium $(STAMP) ## every notebook in JupyterLab as one picture: out/screenshots
	@FREEHINT_SCREENSHOTS=1 $(BIN)/python -m pytest -q tests/notebooks/test_jupyterlab.py

# One workload, first alone and then beside a walker that rotates.
DEMO := out/record-demo
RECORD := $(BIN)/freehint record guest --kernel 6.1 --out $(DEMO)

record-demo: $(STAMP) ## record a Debian kernel under QEMU and predict it, block by block: out/record-demo; 5 minutes
	@$(BIN)/python -c 'import drgn' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[record]'
	@rm -rf $(DEMO)
	@$(RECORD) fork --workload "fork 25"
	@$(RECORD) fork_rot --before "frag 60 16" --workload "fork 100" \
	  --policy "rotate=on_exit resume=scan_for_first capacity=96 strokes=60 delay_ms=100"
	@$(BIN)/freehint validate replay --inputs probes $(DEMO)
	@$(BIN)/freehint validate walker $(DEMO)

lint: $(STAMP) ## run ruff, and check that the notebooks hold no outputs
	@$(BIN)/python -m ruff check
	@$(BIN)/python -m ruff format --check
	@$(BIN)/python -m nbstripout --verify --keep-id $(NOTEBOOKS) </dev/null

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "freehint needs python3 >= 3.11 with venv, and $(PYTHON) is not that (Debian: apt-get install python3 python3-venv; another interpreter: make PYTHON=...)." >&2; exit 1; }
	@echo "Installing freehint and what it needs into $(VENV); the first time takes a few minutes."
	@rm -f $@
	@$(MAKE_VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[lab,test]'
	@printf '%s' '$(CURDIR)' > $@

need-chromium:
	@command -v chromium >/dev/null || \
	  { echo "The tests drive a real JupyterLab and need chromium, which is not installed (Debian: apt-get install chromium)." >&2; exit 1; }

need-gcc:
	@echo '#include <stdlib.h>' | gcc -E - >/dev/null 2>&1 || \
	  { echo "The benchmark compiles a C baseline and needs gcc with the C headers, which are not installed (Debian: apt-get install gcc libc6-dev)." >&2; exit 1; }

need-spin:
	@command -v spin >/dev/null && echo '#include <stdlib.h>' | gcc -E - >/dev/null 2>&1 || \
	  { echo "The oracle needs spin, and gcc with the C headers, which are not installed (Debian: apt-get install spin gcc libc6-dev)." >&2; exit 1; }
