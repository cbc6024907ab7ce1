# Everything needs only Python 3.11, make and git. `make help` lists what there is.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Two workers share the cores; tests/conftest.py keeps each of them to one thread.
PYTEST_FLAGS ?= -n 2 --dist loadgroup
DEMO := build/demo/digits_cnn_tf

.DEFAULT_GOAL := help
.PHONY: help demo test test-newest lint docs fixtures bench zoo clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

# make-venv FOLDER CONSTRAINTS EXTRAS: from nothing, so that no package of an older set is left. What pip says goes
# to a log that is only shown when something fails.
define make-venv
	@echo "making $(1) from $(2), a few minutes the first time"
	@rm -rf $(1) && "$(PYTHON)" -m venv $(1)
	@log=$(1)/install.log; \
	{ $(1)/bin/python -m pip install -c $(2) -e '.[$(3)]' && \
	  $(1)/bin/python -m pip install --no-deps -r constraints/zoo-nodeps.txt; } > $$log 2>&1 \
	|| { tail -n 20 $$log >&2; echo "error: $(1) could not be made; all that pip said is in $$log" >&2; exit 1; }
	@touch $@
endef

.venv/made: constraints/pinned.txt constraints/zoo-nodeps.txt pyproject.toml
	$(call make-venv,.venv,constraints/pinned.txt,dev$(,)zoo$(,)onnx2tf)

.venv-newest/made: constraints/newest.txt constraints/zoo-nodeps.txt pyproject.toml
	$(call make-venv,.venv-newest,constraints/newest.txt,test$(,)keras2$(,)zoo)

# A comma inside an argument of `call` has to come from a variable.
, := ,

demo: .venv/made  ## Translate a trained PyTorch model to TensorFlow, with its verdict and its accuracy on both sides
	.venv/bin/translate torch2tf fixtures/digits_cnn.pt2 -o $(DEMO) --force
	@# TensorFlow's start-up messages are shown only when something fails.
	@.venv/bin/python -m fixtures.accuracy fixtures/digits_cnn.pt2 $(DEMO) 2> build/demo/accuracy.log \
	|| { cat build/demo/accuracy.log >&2; exit 1; }

test: .venv/made lint  ## Lint, and all tests, in the pinned set
	.venv/bin/python -m pytest $(PYTEST_FLAGS)

test-newest: .venv-newest/made  ## The tests with the newest versions, without onnx2tf and most of the zoo
	.venv-newest/bin/python -m pytest $(PYTEST_FLAGS) -m 'not zoo and not once'

lint: .venv/made  ## ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

docs: .venv/made  ## Write docs/operators.md, layers.md and commands.md again from the tables and the commands
	.venv/bin/python -m translate.converters.document > docs/operators.md.new
	mv docs/operators.md.new docs/operators.md
	.venv/bin/python -m translate.converters.keras_to_torch.document > docs/layers.md.new
	mv docs/layers.md.new docs/layers.md
	.venv/bin/python -m translate.document > docs/commands.md.new
	mv docs/commands.md.new docs/commands.md

fixtures: .venv/made  ## Train the fixtures again (about three minutes)
	.venv/bin/python -m fixtures.make

bench: .venv/made  ## Race the whole translation of ResNet-18 against onnx2tf's
	.venv/bin/python -m benchmarks.race_onnx2tf

zoo: .venv/made  ## Translate many TensorFlow models to PyTorch, one process each; writes docs/zoo.md (hours)
	.venv/bin/python -m pip install -q --no-deps -r constraints/keras-zoo-nodeps.txt
	@# TensorFlow says on starting that there is no GPU; each model has a log of its own.
	@mkdir -p build/zoo && .venv/bin/python -m benchmarks.zoo 2> build/zoo/errors.log || { cat build/zoo/errors.log >&2; exit 1; }

clean:  ## Remove both environments and everything that was built
	rm -rf .venv .venv-newest build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
