# Two commands do everything on a fresh machine: `make demo` and `make test`.
.DEFAULT_GOAL := help
BIN := .venv/bin
PYTEST_WORKERS ?= 2

.PHONY: help venv demo demo-once test test-clients test-ray test-observability test-frameworks test-tensorflow fuzz check lint types contracts architecture docs format lock openapi reference changelog clean bench-tracking bench-serving bench-monitoring prove-monitoring

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

venv: ## make .venv from the lock
	@python3 tools/bootstrap.py

demo: venv ## the closed loop on real data; leaves the server running
	@$(BIN)/python -m flyball.demo --keep-running

demo-once: venv ## the same, stops everything, fails if a part of the story did not happen
	@$(BIN)/python -m flyball.demo --result build/demo/result.json

test: venv ## all tests, with the real services they need
	@$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-clients: venv ## the model server asked by Triton's and KServe's clients, which have an environment of their own
	@python3 tools/bootstrap.py clients
	@$(BIN)/python -m pytest tests/protocol/clients

test-observability: venv ## the exported files run by the distribution's Prometheus and Alertmanager, which are installed when they are missing
	@command -v prometheus >/dev/null && command -v prometheus-alertmanager >/dev/null || \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus prometheus-alertmanager; }
	@$(BIN)/python -m pytest tests/observability

test-ray: ## jobs on a Ray cluster of two nodes, and the prediction log read by Polars, in an environment of its own
	@python3 tools/bootstrap.py ray
	@.venv-ray/bin/python -m pytest -q --confcutdir tests/protocol/ray tests/protocol/ray

test-tensorflow: ## TensorFlow, and Keras on it, served in an environment of its own
	@python3 tools/bootstrap.py tensorflow
	@.venv-tensorflow/bin/python -m pytest -q --confcutdir tests/conformance/tensorflow tests/conformance/tensorflow

test-frameworks: test-clients test-ray test-tensorflow ## PyTorch (Lightning) and Keras, logged and served, in an environment of its own
	@python3 tools/bootstrap.py frameworks
	@.venv-frameworks/bin/python -m pytest -n $(PYTEST_WORKERS) --dist loadfile tests/protocol/frameworks tests/conformance/frameworks

fuzz: venv ## bend requests of the MLflow protocol and of our own API for longer: make fuzz MINUTES=30
	@FUZZ_MINUTES=$(or $(MINUTES),10) $(BIN)/python -m pytest -q --timeout 0 tests/api/test_protocol_fuzz.py tests/api/test_document.py

# What was tested by a target of its own is not tested again.
check: PYTEST_ARGS := --ignore tests/architecture --ignore tests/docs
check: venv lint types contracts architecture docs test ## what CI runs

lint: venv
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: venv
	@$(BIN)/mypy

contracts: venv
	@$(BIN)/lint-imports

architecture: venv
	@$(BIN)/python -m pytest -q tests/architecture

docs: venv
	@$(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) tests/docs

format: venv ## mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: venv ## resolve again; the lock names no host, so that it works behind any mirror
	@$(BIN)/uv lock --upgrade
	@$(BIN)/uv export --quiet --frozen --format requirements-txt --all-extras --no-extra torch --no-extra keras --no-extra tensorflow --no-extra ray --group dev --no-emit-project --no-header -o requirements/dev.lock
	@$(BIN)/uv export --quiet --frozen --format requirements-txt --all-extras --no-extra torch --no-extra keras --no-extra tensorflow --no-extra ray --group dev --group frameworks --no-emit-project --no-emit-package torch --no-header -o requirements/frameworks.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header requirements/clients.in -o requirements/clients.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --extra server --extra sklearn --extra isolation --extra ray requirements/ray.in -c requirements/dev.lock -o requirements/ray.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --extra server --extra sklearn --extra isolation --extra onnx --extra pyfunc --extra tensorflow requirements/tensorflow.in -c requirements/dev.lock -o requirements/tensorflow.lock

openapi: venv ## write schemas/openapi.json from the server's route table
	@$(BIN)/python -m flyball.server.openapi schemas/openapi.json

reference: venv ## write the reference pages and the pages of the rooms from the code
	@$(BIN)/python tools/reference.py

bench-tracking: venv ## tracking beside mlflow server and fasttrackml, with ratios (needs wrk)
	@$(BIN)/python -m benchmarks.tracking

bench-monitoring: venv ## comparing tables beside Evidently, with ratios
	@$(BIN)/python -m benchmarks.monitoring

prove-monitoring: venv ## alarms keep their stated rate and power: 20 null streams, planted changes, real histories (minutes)
	@$(BIN)/python -m benchmarks.monitoring.proof

bench-serving: ## serving beside MLServer, BentoML, LitServe and mlflow models serve, with ratios (needs wrk and h2load)
	@python3 tools/bootstrap.py frameworks
	@.venv-frameworks/bin/python -m benchmarks.serving $(ARGS)

changelog: venv ## join the change fragments into CHANGELOG.md for a release
	@$(BIN)/towncrier build --version "$$($(BIN)/python -c 'import flyball; print(flyball.__version__)')"

clean:
	rm -rf .venv .venv-clients .venv-frameworks .venv-ray .venv-tensorflow build dist .mypy_cache .ruff_cache .pytest_cache
