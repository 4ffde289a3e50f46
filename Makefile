# The few verbs of the course. They need Python 3.11 to 3.13, make and git; everything else is
# installed into .venv by the first verb that needs it, from the lock in requirements.txt.

VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PY := $(BIN)/python
HTML := _build/html

# The environment is ready when a file named after the content of what defines it is there. So a second
# run does nothing, a changed lock is installed, and a fresh checkout's timestamps do not matter.
KEY := $(shell { cat requirements.txt pyproject.toml tools/environment.py; echo '$(PYTHON)'; } | git hash-object --stdin)
READY := $(VENV)/ready-$(KEY)

# The second environment, of the engines that only chapter 13 needs; made by `make many`.
MANY_KEY := $(shell { cat many/requirements.txt tools/environment.py; echo '$(PYTHON)'; } | git hash-object --stdin)
MANY_READY := .venv-many/ready-$(MANY_KEY)

# `make results CHAPTERS="04_mnist_tensorflow 05_mnist_keras"`; none named means all of them.
CHAPTERS ?=

# `make benchmarks NAME=data ARGS="--repeats 9"`
NAME ?=
ARGS ?=

# For `make grade` and `make private-variant`.
ASSIGNMENT ?=
SUBMISSIONS ?=
OUT ?=

.DEFAULT_GOAL := help
.PHONY: help book test test-long lint unit assignments grade private-variant otter chapters results benchmarks sync serve zip pdf slides many lock clean
.NOTPARALLEL:

help:
	@echo 'make book       render the book from the stored outputs, in both languages (no training)'
	@echo 'make test       lint, book, unit tests and every chapter at CI size (under 20 minutes)'
	@echo 'make test-long  the tests that take longer (clean environments)'
	@echo 'make chapters   every chapter at CI size; CHAPTERS="..." for some of them'
	@echo 'make assignments  prove the assignments and write the student copies into build/assignments'
	@echo 'make grade      grade a class: SUBMISSIONS=folder ASSIGNMENT=name (OUT=folder)'
	@echo 'make private-variant  an assignment with other hidden cases: ASSIGNMENT=name OUT=folder'
	@echo 'make otter      the assignments as zips for Gradescope, into build/otter (the weaker route)'
	@echo 'make results    full runs on real data, written into chapters/; CHAPTERS="..." for some'
	@echo 'make benchmarks  measure against the peers: NAME=data, training, convolution, accuracy or book'
	@echo 'make sync       carry edited prose from chapters/*.py into the notebooks'
	@echo 'make lint       ruff, spelling, the hygiene of the notebooks and the translations'
	@echo 'make serve      the book on a local web server'
	@echo 'make zip        the book and its notebooks in one file, for classes without a network'
	@echo 'make pdf        the book on paper, printed by Chromium, one file for each language'
	@echo 'make slides     a deck for each chapter, in English; CHAPTERS="..." for some'
	@echo 'make many       chapter 13 with JAX and Ray, at CI size, in an environment of their own'
	@echo 'make lock       requirements.in -> requirements.txt, here, in assignments, benchmarks and many'
	@echo 'make clean      remove what the other verbs made, .venv and .venv-many excepted'
	@echo 'PYTHON=...      the Python to make .venv with (3.11 to 3.13; default: the newest found)'

$(READY) $(MANY_READY):
	@for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python); do \
	  if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
	    exec $$python tools/environment.py $(@D) $(@F) $(if $(PYTHON),--same-python) \
	      $(if $(filter $(MANY_READY),$@),--lock many/requirements.txt); \
	  fi; \
	done; \
	echo 'No Python from 3.11 to 3.13 among: $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python).' >&2; \
	echo 'Install one, or name one: make PYTHON=/path/to/python3.12 ...' >&2; exit 1

# Sphinx warns about a page only when it reads it. A build that failed or was interrupted leaves its mark,
# and nothing it read is kept: else the same command would succeed the second time. The Chinese book is
# built from a source of its own, in which only what has changed is written again; both at once, one on
# each core.
book: $(READY)
	@if [ -e _build/unfinished ]; then rm -rf _build/.doctrees build/zh/_build/.doctrees; fi
	@mkdir -p _build && touch _build/unfinished
	@$(BIN)/jupyter-book build -q -W -n --keep-going . & english=$$!; \
	$(PY) -m tools.translation build && $(BIN)/jupyter-book build -q -W -n --keep-going build/zh; \
	chinese=$$?; wait $$english && exit $$chinese
	@$(PY) -m tools.translation place
	@rm -f _build/unfinished
	@echo 'Open file://$(CURDIR)/$(HTML)/index.html; in Chinese: file://$(CURDIR)/$(HTML)/zh/index.html'

lint: $(READY)
	@$(BIN)/ruff check --quiet --output-format concise .
	@$(BIN)/codespell
	@$(PY) -m tools.chapters check
	@$(PY) -m tools.translation check

# Each worker takes one end of the list, so that what a module prepares is prepared once. Three of them
# for two cores, since the tests in the browser wait much of their time.
unit: $(READY)
	@$(PY) -m tools.testdata
	@$(PY) -m tools.browser
	@$(PY) -m tools.grading.sandbox
	@$(PY) -m pytest -q -rs -n 3 --dist worksteal tests datasetslib tools

assignments: $(READY)
	@$(PY) -m tools.grading.prove

grade: $(READY)
	@$(if $(and $(SUBMISSIONS),$(ASSIGNMENT)),,echo 'make grade SUBMISSIONS=folder ASSIGNMENT=name (OUT=folder)' >&2; exit 2)
	@$(PY) -m tools.grading.sandbox
	@$(PY) -m tools.grade '$(SUBMISSIONS)' --assignment '$(ASSIGNMENT)' $(if $(OUT),--out '$(OUT)')

private-variant: $(READY)
	@$(if $(and $(ASSIGNMENT),$(OUT)),,echo 'make private-variant ASSIGNMENT=name OUT=folder' >&2; exit 2)
	@$(PY) -m tools.grading.private '$(ASSIGNMENT)' --out '$(OUT)'

otter: $(READY)
	@$(PY) -m tools.grading.otter

chapters: $(READY)
	@$(PY) -m tools.chapters ci $(CHAPTERS)

test: lint book unit chapters

# What measures seconds has the machine to itself; of the rest, each file is one worker's, since its
# tests share an environment that takes minutes to make.
test-long: $(READY)
	@$(PY) -m pytest -q -rs -m long tests/benchmarks
	@$(PY) -m pytest -q -rs -m long -n 3 --dist worksteal tests/browser
	@$(PY) -m pytest -q -rs -m long -n 2 --dist loadfile --ignore tests/browser --ignore tests/benchmarks tests
	@$(MAKE) --no-print-directory many

results: $(READY)
	@$(PY) -m tools.chapters full $(CHAPTERS)

benchmarks: $(READY)
	@$(if $(NAME),,echo 'make benchmarks NAME=data (or training, convolution, accuracy, book) ARGS="..."' >&2; exit 2)
	@$(PY) -m benchmarks $(NAME) $(ARGS)

sync: $(READY)
	@$(PY) -m tools.chapters sync $(CHAPTERS)

serve: book
	@$(PY) -m http.server --directory $(HTML) --bind 127.0.0.1 8000

zip: book
	@$(PY) -m tools.offline zip

pdf: book
	@$(PY) -m tools.offline pdf

slides: $(READY)
	@$(PY) -m tools.slides $(CHAPTERS)

many: $(READY) $(MANY_READY)
	@$(PY) -m tools.many .venv-many

lock: $(READY)
	@$(PY) -m tools.lock

clean:
	rm -rf _build build ci-run .pytest_cache .ruff_cache
