# Two commands: `make demo` shows what the package does, `make test` proves it. Both make .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test docs zoo reference check install clean

demo: install
	$(BIN)/atrous demo

test: install
	PATH="$(abspath $(BIN)):$$PATH" scripts/test

zoo: install
	PATH="$(abspath $(BIN)):$$PATH" scripts/zoo test

reference: install
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pydensecrf2

docs: install
	PATH="$(abspath $(BIN)):$$PATH" scripts/docs build

check: install
	PATH="$(abspath $(BIN)):$$PATH" scripts/check

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .zoo runs build dist site
