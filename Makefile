# Two commands for a new user: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OLDEST := .venv-oldest

.PHONY: demo docs test test-slow test-oldest lint clean

$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/installed

$(VENV)/installed-docs: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@ $(VENV)/installed

$(OLDEST)/installed: pyproject.toml tests/oldest.txt
	test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --editable '.[dev]' --constraint tests/oldest.txt
	touch $@

demo: $(VENV)/installed  ## transmit the sample photograph at SNR 1, 7 and 13 dB
	for snr in 1 7 13; do \
	  $(BIN)/witt transmit witt/samples/*.png --snr $$snr --seed 0 --output demo_out/snr_$$snr || exit; \
	done
	@echo "Look at demo_out/snr_1, demo_out/snr_7 and demo_out/snr_13."

test: $(VENV)/installed-dev  ## the fast tests
	$(BIN)/python -m pytest

test-slow: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m slow

test-oldest: $(OLDEST)/installed  ## the fast tests with the oldest versions that pyproject.toml allows
	$(OLDEST)/bin/python -m pytest

docs: $(VENV)/installed-docs  ## the site, build/site/index.html; the tutorial's pictures are made anew
	$(BIN)/python docs/site/tutorial.py build/tutorial
	$(BIN)/python -m sphinx -W -q -c docs/site -d build/doctrees . build/site
	cp build/tutorial/* build/site/_images/
	@echo "Look at build/site/index.html."

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) $(OLDEST) demo_out build
