# make demo: the main job on a real CT.  make web: the same in a browser.  make test: all checks.
# Each sets up everything it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo web docs test coverage test-ray test-bench test-slicer-source test-slicer-python setup lint sbom audit clean

demo: setup
	$(BIN)/python examples/demo.py

web: setup
	$(BIN)/dsm web

# The documentation, as a site in dist/docs.
docs: setup
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q docs dist/docs

test: setup
	bash scripts/test.sh $(BIN)

# Lines of core, io, models, text and wire that their own tests reach; below the floor in pyproject.toml it fails.
coverage: setup
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup --max-worker-restart=0 --cov --cov-report=term Testing/property \
	$(addprefix Testing/unit/,core io models text wire)

# What runs on Ray, on a cluster of this machine; Ray takes 300 MB.
test-ray: setup
	$(BIN)/python -m pip install -q --constraint constraints.txt -e '.[ray]'
	$(BIN)/python -m pytest -q -m ray Testing

# Each cost against its bar, on a machine that does nothing else. One of them: pytest -m bench -s Testing/bench/FILE
test-bench: setup
	$(BIN)/python -m pytest -q -s -m bench --timeout 1800 Testing

# The tests of the Slicer side on Slicer's own Python files:  make test-slicer-source DSM_SLICER_SOURCE=<checkout of Slicer>
# Slicer (from 5.12) writes DICOM SEG with dcmqi; where it cannot be installed, those tests are skipped.
test-slicer-source: setup
	@test -f "$(DSM_SLICER_SOURCE)/Base/Python/slicer/util.py" || { echo "Set DSM_SLICER_SOURCE to a checkout of Slicer: \
	git clone --depth 1 --branch v5.10.0 https://github.com/Slicer/Slicer"; exit 2; }
	-$(BIN)/python -m pip install -q dcmqi
	DSM_SLICER_SOURCE="$(DSM_SLICER_SOURCE)" $(BIN)/python -m pytest -q Testing/slicer

# Engine and Slicer side with the versions of Slicer 5.10; those of 5.12 and 5.13 are what `make test` has.
test-slicer-python:
	bash scripts/test_slicer_python.sh $(VENV)-slicer

lint: setup
	$(BIN)/ruff check DSMSegment Testing benchmarks examples docs scripts
	$(BIN)/ruff format --check DSMSegment Testing benchmarks examples docs scripts
	$(BIN)/mypy
	cd DSMSegment && PYTHONPATH=. ../$(BIN)/lint-imports --config ../pyproject.toml

# What is installed, with versions and licences, as CycloneDX.
sbom: setup
	$(BIN)/python -m pip install -q cyclonedx-bom
	mkdir -p dist
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml $(BIN)/python -o dist/sbom.json

# Known vulnerabilities of what is installed; asks a service about each package, so it needs the internet.
audit: setup
	$(BIN)/python -m pip install -q pip-audit
	$(BIN)/pip-audit --skip-editable --strict

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt constraints-slicer-5.12.txt scripts/setup.sh scripts/install_torch.py
	PYTHON=$(PYTHON) bash scripts/setup.sh $(VENV)
	touch $(STAMP)

clean:
	rm -rf $(VENV) $(VENV)-slicer runs demo/demo.*
