# Every target makes the virtual environment it needs; `make help` lists them.
CONFIG ?= configs/ripik.toml
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-bench
OLDEST := .venv-oldest
CLUSTER := .venv-cluster
JAX := .venv-jax
BARE := .venv-bare
ONNX := $(VENV)/.onnx
RIPIK = $(BIN)/python -m ripik
quoted = '$(subst ','\'',$(1))'
each = $(foreach word,$(1),$(call quoted,$(word)))
option = $(if $(2),--$(1) $(call quoted,$(2)))
SETTINGS = $(foreach setting,$(SET),--set $(call quoted,$(setting)))
OVERRIDES = $(SETTINGS) $(call option,set,$(if $(JOBS),jobs.jobs=$(JOBS))) $(call option,set,$(if $(ENGINE),jobs.engine=$(ENGINE)))
OPTIONS = --config $(call quoted,$(CONFIG)) $(OVERRIDES)
NAMED = $(if $(and $(filter file,$(origin CONFIG)),$(filter configs/ripik.toml,$(CONFIG))),,--config $(call quoted,$(CONFIG)))
CHOSEN = $(if $(VARIANTS),--variants $(call each,$(VARIANTS)))
KNOWN := CONFIG SET JOBS ENGINE VARIANTS FOLDS SOURCE IMAGES DEVICES MACHINES SPEED AUDIT PREVIEW OUT VARIANT TRIALS HOURS PARTIAL \
	A B FILE VERSION YES KIND OF TOPIC QUICK REAL ONLY PHOTOS WEIGHTS DRY PYTEST KILLS WORK BROKEN TRIES MINUTES SEED BEFORE PYTHON
# a name with an underscore is of the environment, as KERAS_BACKEND=jax
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(if $(findstring _,$(name)),,$(name))))
UNKNOWN := $(firstword $(filter-out -% $(KNOWN),$(GIVEN)))
MEANT := $(filter $(KNOWN),$(shell echo '$(UNKNOWN)' | tr a-z A-Z))
OTHERS := make knows no $(UNKNOWN)=, but $(KNOWN)
CAPITALS := write $(MEANT)= instead of $(UNKNOWN)=, in capitals
$(if $(UNKNOWN),$(error $(if $(MEANT),$(CAPITALS),$(OTHERS))))
$(if $(filter VARIANT,$(GIVEN)),$(if $(filter tune,$(MAKECMDGOALS)),,$(error write VARIANTS=; VARIANT= is of make tune alone)))

export NO_ALBUMENTATIONS_UPDATE := 1
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo new data plan folds augment train predict tune ensemble export report compare analyse status config submit kernel kernel-push kernel-status kernel-output bench bench-gpu pictures test test-all test-oldest test-cluster test-jax test-export torture faults fuzz golden lint audit lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'
	@echo
	@echo "  CONFIG=configs/ripik.toml VARIANTS=\"original finetuned\" FOLDS=\"0 3\" JOBS=2 ENGINE=ray SET=\"training.epochs=1\""

setup: $(READY)  ## install the locked packages into .venv

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed; name one with PYTHON=python3.12"; exit 2; }
	@echo "installing the locked packages into $(VENV) (once, some minutes, in which nothing is shown)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(READY)

demo: $(READY)  ## generate a small competition and run the whole pipeline on it
	@$(RIPIK) demo $(SETTINGS) $(call option,set,$(if $(JOBS),jobs.jobs=$(JOBS)))

new: $(READY)  ## inspect SOURCE=folder, zip or Kaggle name, and write configs/<name>.toml for it (CONFIG=, SET=answers)
	@$(RIPIK) new --source $(call quoted,$(SOURCE)) $(if $(filter file,$(origin CONFIG)),,--config $(call quoted,$(CONFIG))) \
		$(SETTINGS)

data: $(READY)  ## fetch the competition's files into input/ (SOURCE=folder or zip: from there)
	@$(RIPIK) data $(OPTIONS) $(call option,source,$(SOURCE))

plan: $(READY)  ## run short measurements, and estimate time, disk, memory and jobs of the whole run before it starts
	@$(RIPIK) plan $(OPTIONS) $(CHOSEN) $(call option,images,$(IMAGES)) $(call option,devices,$(DEVICES)) \
		$(call option,machines,$(MACHINES)) $(call option,speed,$(SPEED))

folds: $(READY)  ## group near copies, write stratified grouped folds (AUDIT=1: also show how optimistic other splits are)
	@$(RIPIK) folds $(OPTIONS) $(if $(AUDIT),--audit)

augment: $(READY)  ## write the augmented copies as JPEG, or PREVIEW=1: a contact sheet
	@$(RIPIK) augment $(OPTIONS) $(if $(PREVIEW),--preview)

train: $(READY)  ## train and predict every missing (variant, fold)
	@$(RIPIK) train $(OPTIONS) $(CHOSEN) $(if $(FOLDS),--folds $(call each,$(FOLDS)))

predict: $(READY)  ## predict what is missing (IMAGES=folder: any folder of photos)
	@$(RIPIK) predict $(OPTIONS) $(CHOSEN) $(call option,images,$(IMAGES)) $(call option,out,$(OUT))

tune: $(READY)  ## search a variant's hyperparameters, correct the best score for the selection (VARIANT=upper TRIALS=40 HOURS=2)
	@$(RIPIK) tune $(OPTIONS) --variant $(call quoted,$(VARIANT)) $(call option,trials,$(TRIALS)) $(call option,hours,$(HOURS))

ensemble: $(READY)  ## blend the variants, write and check the submission CSV (PARTIAL=1: only the finished variants)
	@$(RIPIK) ensemble $(OPTIONS) $(CHOSEN) $(if $(PARTIAL),--partial)

export: $(ONNX)  ## write the blend as ONNX graphs and a script that predicts without this package
	@$(RIPIK) export $(OPTIONS)

$(ONNX): $(READY) requirements-export.txt
	@echo "installing the ONNX export packages into $(VENV) (once)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -r requirements-export.txt
	@touch $(ONNX)

compare: $(READY)  ## compare two models: is B better than A (A=original B=finetuned; also run, run/variant, OOF CSV)
	@$(RIPIK) compare $(NAMED) $(OVERRIDES) $(call quoted,$(A)) $(call quoted,$(B))

submit: $(READY)  ## submit the newest CSV to the Kaggle competition, log its score (FILE= YES=1 VERSION=kernel's)
	@$(RIPIK) submit $(OPTIONS) $(call option,file,$(FILE)) $(call option,version,$(VERSION)) $(if $(YES),--yes)

kernel: $(READY)  ## write a Kaggle kernel and the datasets it reads (KIND=infer: prediction only; KIND=train: all steps)
	@$(RIPIK) kernel $(OPTIONS) $(call option,kind,$(KIND))

kernel-push: $(READY)  ## push the kernel to Kaggle, its datasets first (KIND=)
	@$(RIPIK) kernel-push $(OPTIONS) $(call option,kind,$(KIND))

kernel-status: $(READY)  ## show the kernel's state on Kaggle (KIND=)
	@$(RIPIK) kernel-status $(OPTIONS) $(call option,kind,$(KIND))

kernel-output: $(READY)  ## download the kernel's output from Kaggle (KIND=)
	@$(RIPIK) kernel-output $(OPTIONS) $(call option,kind,$(KIND))

report: $(READY)  ## show the run on one HTML page: output/<run>/report/index.html
	@$(RIPIK) report $(OPTIONS)

analyse: $(READY)  ## analyse one topic of a run (TOPIC=errors OF=finetuned; TOPIC=-h lists the topics)
	@$(RIPIK) analyse $(OPTIONS) $(call option,of,$(OF)) $(call quoted,$(or $(TOPIC),-h))

status: $(READY)  ## what is finished, running, stale or missing in the run
	@$(RIPIK) status $(OPTIONS)

config: $(READY)  ## print the effective configuration
	@$(RIPIK) config $(OPTIONS)

bench: $(READY) $(PEERS)/.ready  ## benchmark against other libraries, one table (QUICK=1: ten minutes; PHOTOS=folder WEIGHTS=file ONLY=heads,cuts)
	@$(BIN)/python -m benchmarks.speed.bench --peers-python $(PEERS)/bin/python $(if $(QUICK),--quick) $(if $(REAL),--real) \
		$(call option,only,$(ONLY)) $(call option,photos,$(PHOTOS)) $(call option,weights,$(WEIGHTS))

$(PEERS)/.ready: benchmarks/requirements.txt
	@echo "installing the compared libraries into $(PEERS) (once, some minutes)"
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $(PEERS)/.ready

bench-gpu: $(READY)  ## finetuning, frozen passes and TTA in images/s on this machine's GPU (DRY=1: a dry run on any machine)
	@$(BIN)/python -m benchmarks.speed.gpu $(if $(DRY),--dry-run) $(call option,only,$(ONLY))

pictures: $(READY)  ## run the demo and make the README's pictures of it (ONLY=report: of the existing run; needs Chromium)
	@$(BIN)/python -m benchmarks.pictures $(call option,only,$(ONLY))

JAX_TESTS := $(addprefix tests/,$(addsuffix .py,models/test_backend features/test_batches training/test_distribution models/test_gradcam diagnostics/test_heatmaps training/test_network \
	training/test_oof training/test_training_pipeline models/test_precision models/test_engines training/test_trainer features/test_tta \
	training/test_warm training/test_layerwise_adam training/test_strong_recipe training/test_fitted_heads))

TWO_AT_A_TIME := --numprocesses 2 --dist worksteal --durations 10

test: $(READY)  ## run the tests a change may break, two at a time (PYTEST="-k folds -x": options; PYTEST=-n0: one at a time)
	@$(BIN)/python -m pytest $(TWO_AT_A_TIME) -m 'not long' $(PYTEST)

test-all: $(READY)  ## run all tests, also the long ones: whole pipelines in separate processes, and variations (PYTEST=)
	@$(BIN)/python -m pytest $(TWO_AT_A_TIME) $(PYTEST)

test-oldest: $(READY)  ## run both kernels on a small Kaggle machine with the oldest packages claimed
	@test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/oldest.txt
	@KERNEL_PYTHON=$(CURDIR)/$(OLDEST)/bin/python $(BIN)/python -m pytest tests/kaggle/test_kernel.py $(PYTEST)

test-cluster: $(CLUSTER)/.ready  ## compare a Ray cluster of two nodes with this machine alone, workers and a node killed
	@$(CLUSTER)/bin/python -m pytest tests/execution/test_ray_cluster.py $(PYTEST)

$(CLUSTER)/.ready: requirements.lock tests/cluster.txt
	@echo "installing the locked packages and Ray into $(CLUSTER) (once, some minutes)"
	$(PYTHON) -m venv $(CLUSTER)
	$(CLUSTER)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock -r tests/cluster.txt
	$(CLUSTER)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(CLUSTER)/.ready

test-jax: $(READY) $(JAX)/.ready  ## the tests of networks, frozen passes, training and prediction on JAX, without TensorFlow
	@KERAS_BACKEND=jax TENSORFLOW_PYTHON=$(CURDIR)/$(BIN)/python JAX_COMPILATION_CACHE_DIR=$(CURDIR)/$(JAX)/compiled $(JAX)/bin/python -m pytest --numprocesses 2 --dist worksteal $(JAX_TESTS) $(PYTEST)

$(JAX)/.ready: requirements.lock tests/jax.txt
	@echo "installing JAX and the locked packages except TensorFlow into $(JAX) (once, some minutes)"
	$(PYTHON) -m venv $(JAX)
	grep -vE '^(tensorflow|openvino)' requirements.lock > $(JAX)/requirements.txt
	$(JAX)/bin/python -m pip install --quiet --disable-pip-version-check -r $(JAX)/requirements.txt -r tests/jax.txt
	$(JAX)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(JAX)/.ready

test-export: $(ONNX)  ## compare an exported blend, run without TensorFlow and this package, with the run itself
	@test -x $(BARE)/bin/python || $(PYTHON) -m venv $(BARE)
	@grep -hE '^(onnxruntime|numpy|opencv-python-headless)==' requirements.lock requirements-export.txt > $(BARE)/requirements.txt
	@$(BARE)/bin/python -m pip install --quiet --disable-pip-version-check -r $(BARE)/requirements.txt
	@BARE_PYTHON=$(CURDIR)/$(BARE)/bin/python $(BIN)/python -m pytest tests/export $(PYTEST)

torture: $(READY)  ## kill the pipeline at 60 moments, and in other ways, and compare its resumed results (KILLS= ONLY= WORK=folder BROKEN=)
	@$(BIN)/python tests/torture.py --work $(call quoted,$(or $(WORK),output/torture)) $(call option,kills,$(KILLS)) \
		$(call option,only,$(ONLY)) $(call option,broken,$(BROKEN))

faults: $(READY)  ## damage every kind of file of a finished run and check that it is noticed (TRIES=3)
	@$(BIN)/python tests/faults.py $(call option,tries,$(TRIES))

fuzz: $(READY)  ## random configurations and CSVs: no traceback, no hang (MINUTES=10 SEED=)
	@$(BIN)/python -m tests.fuzz --minutes $(call quoted,$(or $(MINUTES),10)) $(call option,seed,$(SEED))

golden: $(READY)  ## compare the bytes of a small run with those of another checkout's code (BEFORE=folder WORK=folder)
	@$(BIN)/python tests/golden.py $(call option,before,$(BEFORE)) --work $(call quoted,$(or $(WORK),output/golden))

lint: $(READY)  ## ruff check, ruff format --check, mypy, and the layers of imports
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache

audit:  ## known vulnerabilities of the locked packages, by pip-audit (needs the network)
	@$(PYTHON) -m venv .venv-audit && .venv-audit/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.7,<3'
	.venv-audit/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip --strict

lock: $(READY)  ## resolve the newest allowed versions into requirements.lock
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --upgrade --output-file requirements.lock pyproject.toml

clean:  ## remove what the steps wrote to output/
	find output/ -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
