.DEFAULT_GOAL := help
.PHONY: help setup environments demo guesses parity sdk-tests live live-clean test test-long test-documents test-docker compare-docker test-torch test-mlflow test-azure-cli test-site chaos chaos-sample mutants versions docs pictures bench lint review package format lock clean

# Each of a thousand processes would compile the package again, and each worker of pytest all tests.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Without compiling: Python compiles what is imported, when it is, and that is a third of what is installed.
INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile
# Two more than there are cores: many tests wait for a process now and then.
TEST_WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 2)))

help: ## Show what can be made
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## Set up .venv with everything that the other targets need

$(VENV)/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(RUN) $(INSTALL) --require-hashes -r requirements.lock
	$(RUN) $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

environments: .venv-tools/.installed .venv-mlflow/.installed ## Set up .venv, and two further ones that some tests and targets need

demo: setup ## Run a ZenML pipeline on an emulated Azure ML workspace
	$(VENV)/bin/zenml-azureml demo

test: setup .venv-mlflow/.installed ## Run the tests that need nothing installed: about twenty minutes on two cores
	$(RUN) -m pytest -n $(TEST_WORKERS) --dist worksteal -m "not long"

test-long: setup ## Run the longest tests: whole pipelines in which nothing is warm, and those of `make live` (WEEKLY=1)
	$(RUN) -m pytest -n $(TEST_WORKERS) --dist worksteal -m "long$(if $(WEEKLY),, and not weekly)" tests/e2e tests/live

test-documents: setup .venv-tools/.installed ## Run every code block of the documents, follow their links, try the benchmarks
	$(RUN) -m pytest -n $(TEST_WORKERS) --dist worksteal tests/documents

test-docker: setup ## Run the tests that need a Docker engine; installs and starts what they need (root, WEEKLY=1)
	WEEKLY=$(WEEKLY) tests/docker/run

compare-docker: setup ## Run the same pipelines with the built-in operator and with this one, in containers (root)
	tests/docker/install engine
	tests/docker/install parts
	$(RUN) -m benchmarks.real_parts

test-torch: setup ## Train on several nodes with torch, in an environment of its own, where pip finds a CPU build
	tests/torch/run

test-mlflow: setup ## Log to a real MLflow server, and to the emulator's, in an environment of its own
	tests/mlflow/run

.venv-mlflow/.installed: $(VENV)/.installed tests/mlflow/install
	tests/mlflow/install

test-azure-cli: setup .venv-azure-cli/.installed ## Run the tests that need the Azure CLI, in an environment of its own (ML=wheel of its extension)
	$(if $(ML),AZURE_EXTENSION_DIR=$(CURDIR)/.venv-azure-cli/extensions AZURE_CONFIG_DIR=$(CURDIR)/.venv-azure-cli/config \
		.venv-azure-cli/bin/az extension add --source "$(ML)" --yes)
	AZ=$(CURDIR)/.venv-azure-cli/bin/az AZURE_EXTENSION_DIR=$(CURDIR)/.venv-azure-cli/extensions \
		$(RUN) -m pytest tests/e2e/test_azure_cli.py

.venv-azure-cli/.installed:
	$(PYTHON) -m venv .venv-azure-cli
	.venv-azure-cli/bin/python $(INSTALL) azure-cli==2.91.0
	AZURE_EXTENSION_DIR=$(CURDIR)/.venv-azure-cli/extensions AZURE_CONFIG_DIR=$(CURDIR)/.venv-azure-cli/config \
		.venv-azure-cli/bin/az extension add --name ml --yes \
		|| echo "The extension ml cannot be installed here. Its commands are checked by the options in tests/azure_ml_cli.json only."
	@touch $@

test-site: docs .venv-site/.installed ## Look at the built documentation in a headless Chromium, if there is one (BROWSER=)
	BROWSER="$(BROWSER)" .venv-site/bin/python -m pytest -c /dev/null --rootdir . --confcutdir tests/browser \
		-p no:cacheprovider -ra tests/browser

.venv-site/.installed:
	$(PYTHON) -m venv .venv-site
	.venv-site/bin/python $(INSTALL) playwright==1.65.2 pytest==9.2.0
	@touch $@

parity: setup ## Compare the emulator with recorded answers of Azure ML (FOLDER=, VALUES=1)
	$(RUN) -m tests.parity $(if $(FOLDER),--folder $(FOLDER)) $(if $(VALUES),--values)

sdk-tests: setup ## Run azure-ai-ml's own end-to-end tests on the emulator, and write docs/sdk-tests.md (ONLY=compute)
	$(RUN) -m tests.sdk_e2e $(if $(ONLY),--only $(ONLY),--page)

live: setup ## Run tests on a real workspace; asks first (WORKSPACE=, RECORD=1, DIFF=1, TESTS=, SIZE=, IMAGE=, IDENTITY=, HOLD=, YES=1)
	@$(RUN) -m tests.live run --workspace "$(WORKSPACE)" $(if $(YES),--yes) \
		$(if $(RECORD),--record $(if $(filter 1,$(RECORD)),tests/live/recordings,"$(RECORD)")) $(if $(DIFF),--diff) \
		$(if $(TESTS),--tests "$(TESTS)") $(if $(SIZE),--size "$(SIZE)") \
		$(if $(IMAGE),--image "$(IMAGE)") $(if $(IDENTITY),--identity "$(IDENTITY)") $(if $(HOLD),--hold "$(HOLD)")

live-clean: setup ## Delete what killed runs of `make live` have left in a workspace (WORKSPACE=, YES=1)
	@$(RUN) -m tests.live clean --workspace "$(WORKSPACE)" $(if $(YES),--yes)

guesses: setup ## List what is guessed about Azure ML
	$(RUN) -m scripts.guesses

chaos: setup ## Run pipelines while things go wrong (SEED=, COUNT=, REAL=, SERVER=, WORKERS=, ONLY=, MUTANT=)
	$(RUN) -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT)) $(if $(REAL),--real $(REAL)) \
		$(if $(SERVER),--server $(SERVER)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(ONLY),--only "$(ONLY)") \
		$(if $(MUTANT),--mutant "$(MUTANT)")

chaos-sample: setup ## Run each 40th of the simulated schedules of `make chaos`, and all mutants of the operator
	$(RUN) -m tests.chaos --seed 3 --stride 40 --real 0 --server 0

mutants: setup ## Change lines that decide about a step's life; tests have to notice (SEEDS=, NUMBER=, TESTS=, WORKERS=, RECORDED=, RESULTS=)
	$(RUN) -m tests.mutation $(if $(SEEDS),--seeds $(SEEDS)) $(if $(NUMBER),--number $(NUMBER)) \
		$(if $(TESTS),--tests $(TESTS)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(RECORDED),--recorded $(RECORDED)) \
		$(if $(RESULTS),--results $(RESULTS))

versions: .venv-tools/.installed ## Run the tests with ZenML 0.96 to 0.98, those of causes on Python 3.10, 3.12 to 3.14 (ONLY="0.97, before", TESTS=tests/unit)
	.venv-tools/bin/nox --session "versions$(if $(ONLY),($(ONLY)))" $(if $(ONLY),,causes) -- $(TESTS)

docs: .venv-tools/.installed ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 .venv-tools/bin/mkdocs build --quiet

.venv-tools/.installed: requirements-tools.lock
	$(PYTHON) -m venv .venv-tools
	.venv-tools/bin/python $(INSTALL) --require-hashes -r $<
	@touch $@

pictures: setup ## Run the demo in a terminal, and draw it for the documents
	$(RUN) -m scripts.pictures

bench: setup ## Measure beside ZenML's built-in operator, on the emulator: 20 minutes (QUICK=1, ONLY=)
	$(RUN) -m benchmarks $(if $(QUICK),--quick) $(if $(ONLY),--only "$(ONLY)")

lint: setup ## Check style, types, layers and language
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/mypy
	$(RUN) -m scripts.check_words

review: .venv-tools/.installed ## Check how the repository is kept, and its workflows
	.venv-tools/bin/sp-repo-review --show err .
	.venv-tools/bin/zizmor --offline --quiet .github

package: .venv-tools/.installed ## Build wheel and sdist, check them, and run the demo from them in an empty environment
	rm -rf dist .venv-package
	.venv-tools/bin/python -m build --outdir dist . > /dev/null
	.venv-tools/bin/twine check --strict dist/*
	.venv-tools/bin/check-wheel-contents dist/*.whl
	$(PYTHON) -m venv .venv-package
	sed -n 's/ \\$$//; /^[a-z].*==/p' requirements.lock > .venv-package/constraints.txt
	.venv-package/bin/python $(INSTALL) \
		--constraint .venv-package/constraints.txt "$$(echo dist/*.whl)[demo]"
	.venv-package/bin/zenml-azureml demo

format: setup ## Bring the code into its style
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

lock: ## Choose the newest versions within the bounds of pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra azure --extra demo --extra docker --group dev --universal \
		--python-version 3.10 --generate-hashes --no-annotate --no-header --upgrade --quiet --output-file requirements.lock
	uv pip compile --group pyproject.toml:tools --universal \
		--python-version 3.10 --generate-hashes --no-annotate --no-header --upgrade --quiet --output-file requirements-tools.lock

clean: ## Remove what the targets above have made
	rm -rf $(VENV) .venv-torch .venv-mlflow .venv-azure-cli .venv-site .venv-tools .venv-package .nox site .mypy_cache .pytest_cache .ruff_cache .hypothesis .sdk-tests dist
