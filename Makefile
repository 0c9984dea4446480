# Commands of Paybridge. Plain `make` lists them. Each installs the environment that it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCAL := $(BIN)/python -m local
# Written by the last complete installation of a lock file. If it is older than the lock file, make installs again.
DEV := $(VENV)/.installed
SAM := .venv-sam/.installed
CHECKOV := .venv-checkov/.installed
NOTEBOOK := .venv-notebook/.installed
OPENAPI := .venv-openapi/.installed
BENCH := .venv-bench/.installed
LOCALSTACK := .venv-localstack/.installed
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	--no-annotate
# For Lambda's Python alone, because pip would judge a marker of an older one by the Python that builds the layer.
LAYER_COMPILE := $(subst --python-version 3.11,--python-version 3.13,$(COMPILE))
NPM := --no-audit --no-fund --no-update-notifier --ignore-scripts --loglevel=error
PIP := -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes

# The operators' command: on the local stack, or in the function `operate` of ENVIRONMENT.
COMMAND := $(BIN)/paybridge
OPERATE = ENVIRONMENT="$(ENVIRONMENT)" $(COMMAND)
# `make up WORKERS=1`: workers replace the Lambda relay and the queue mappings (docs/operators/workers.md).
ifdef WORKERS
export PAYBRIDGE_LOCAL_WORKERS := $(WORKERS)
endif
# `make up COMPOSE=1`: the servers run in Docker (docs/developers/offline.md).
ifdef COMPOSE
export PAYBRIDGE_LOCAL_COMPOSE := $(COMPOSE)
endif

# Where Python finds the functions, the layer and the repository's own packages.
WITH_CODE := PYTHONPATH=functions:layers/paybridge:.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

##@ The stack on this machine
.PHONY: local up demo conformance payment register status outage logs down clean
local: $(DEV) $(COMMAND) ## Start everything, send a sample payment, follow the logs until Ctrl-C
	@$(LOCAL) run
up: $(DEV) $(COMMAND) ## Start everything in the background (WORKERS=1: workers, COMPOSE=1: Docker)
	@$(LOCAL) up
demo: $(DEV) ## Send a sample payment and a refund through the running stack and print their timelines
	@$(LOCAL) demo
conformance: $(DEV) ## Check an API's idempotency keys against the IETF draft: URL=... KEY=... (CONFIG=..., JSON=1)
	@CONFORMANCE_KEY="$(KEY)" CONFORMANCE_OTHER_KEY="$(OTHER_KEY)" $(BIN)/python -m examples.conformance "$(URL)" \
		$(if $(CONFIG),--config "$(CONFIG)") $(if $(JSON),--json)
payment: $(DEV) $(COMMAND) ## Show a payment's status and history: ID=..., on AWS with ENVIRONMENT=dev
	@$(OPERATE) payment "$(ID)"
register: $(DEV) $(COMMAND) ## Create a merchant with a key: NAME="Acme" (ROLE=operator: staff, ENVIRONMENT=dev: AWS)
	@$(OPERATE) register "$(NAME)" $(if $(ROLE),--role $(ROLE))
status: $(DEV) ## Show each part with its health and past, and what waits in outbox and queues
	@$(LOCAL) status
outage: $(DEV) ## Stop a part and show what payments do meanwhile: PART=rabbitmq SECONDS=30
	@$(LOCAL) outage
logs: $(DEV) ## Follow the logs (FUNCTION=consumer, PAYMENT=<id>: of these, LOG_FORMAT=json: unchanged)
	@$(LOCAL) logs
down: $(DEV) ## Stop everything and keep the data
	@$(LOCAL) down
clean: $(DEV) ## Stop everything and delete data and logs
	@$(LOCAL) clean

##@ The stack, closer to AWS
.PHONY: sam-local localstack localstack-down
sam-local: $(DEV) $(SAM) ## Run the functions in Lambda's image with sam local (needs Docker)
	@$(LOCAL) sam-local
localstack: $(DEV) $(SAM) $(LOCALSTACK) ## Deploy template.yaml to an AWS emulator and send a sample payment
	@$(LOCAL) localstack
localstack-down: down ## Stop the emulator from another terminal

##@ AWS
.PHONY: certificates package topology deploy terraform-lock
certificates: $(DEV) ## Fetch the certificate authorities of RDS into the layer
	@$(BIN)/python -m infra.certificates
package: $(DEV) $(SAM) ## Build functions and layer for Lambda (PAYBRIDGE_ARCHITECTURE=x86_64: for Intel)
	@$(BIN)/python -m infra.package
topology: $(DEV) ## Declare exchanges, queues, policies and users on a broker: ENVIRONMENT=dev
	@$(BIN)/python -m infra.apply_topology "$(ENVIRONMENT)"
deploy: $(DEV) $(SAM) ## Check the prerequisites, then deploy the package: ENVIRONMENT=dev SET="LogLevel=INFO"
	@$(BIN)/python -m infra.deploy "$(ENVIRONMENT)" $(SET)
terraform-lock: ## Lock Terraform's providers for every platform (needs Terraform and its registry)
	@for root in platform topology; do \
		terraform -chdir=infra/terraform/$$root get && terraform -chdir=infra/terraform/$$root providers lock \
			-platform=linux_amd64 -platform=linux_arm64 -platform=darwin_amd64 -platform=darwin_arm64 || exit 1; \
	done

##@ Work on the code
.PHONY: install unit test test-brokers check settings-docs permissions-docs asyncapi-docs bench bench-docs flash-sale load fmt hooks lock
install: $(DEV) $(COMMAND) ## Install everything for the offline stack and the fast tests, and .venv/bin/paybridge
FAST_ONLY = $(if $(filter 1,$(FAST)),-m "not slow")
unit: $(DEV) ## Run the tests without stack, broker or tool (PYTEST_ARGS="tests/core -k money": these)
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile -m "not slow" $(PYTEST_ARGS)
test: $(DEV) ## Run all tests (FAST=1: the fast ones, PYTEST_ARGS="-k relay": those that match)
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder \
		$(FAST_ONLY) $(PYTEST_ARGS)
test-brokers: $(DEV) ## Run the messaging tests on every RabbitMQ it can start (VERSIONS="4.0 4.3": on these)
	@$(WITH_CODE) $(BIN)/python -m tests.support.brokers $(VERSIONS) --pytest="$(PYTEST_ARGS)"
check: $(DEV) ## Check format, lint, types and architecture
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(WITH_CODE) $(BIN)/lint-imports
bench: $(DEV) $(BENCH) ## Measure it beside alternatives, 11 minutes (ONLY="relay consume": these)
	@$(BIN)/python -m bench $(ONLY)
settings-docs: $(DEV) ## Write the table of settings into docs/operators/settings.md
	@$(WITH_CODE) $(BIN)/python -m infra.settings_page
asyncapi-docs: $(DEV) ## Write the AsyncAPI document of events and queues into docs/developers
	@$(WITH_CODE) $(BIN)/python -m infra.asyncapi_page
permissions-docs: $(DEV) ## Write the table of permissions into docs/operators/access.md
	@$(WITH_CODE) $(BIN)/python -m infra.permissions_page
bench-docs: $(DEV) ## Write the last run's table and charts into docs/developers/performance.md
	@$(BIN)/python -m bench.publish
flash-sale: $(DEV) ## Post 10,000 payments at once and follow each to its webhook (PAYMENTS=500: fewer)
	@$(WITH_CODE) $(BIN)/python -m bench.flash_sale $(PAYMENTS)
load: $(DEV) $(BENCH) ## Post at a fixed rate: RATE=50 a second for DURATION=60 seconds (UI=1: web page)
	@$(WITH_CODE) .venv-bench/bin/python -m bench.load
fmt: $(DEV) ## Format the code and fix what lint can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
hooks: $(DEV) ## Install the pre-commit hooks
	@$(BIN)/pre-commit install
lock: ## Rewrite the lock files from pyproject.toml, with hashes (needs uv and go)
	@command -v uv >/dev/null || \
		{ echo "uv is missing: install it (pipx install uv), then repeat \`make lock\`." >&2; exit 1; }
	@command -v go >/dev/null || { echo "go is missing: install Go 1.25 or newer, then repeat \`make lock\`." >&2; exit 1; }
	@$(COMPILE) --group dev pyproject.toml --output-file requirements/dev.lock
	@$(LAYER_COMPILE) --constraints requirements/dev.lock pyproject.toml --output-file layers/paybridge/requirements.txt
	@$(LAYER_COMPILE) --constraints requirements/dev.lock --group archive --output-file layers/archive/requirements.txt
	@$(COMPILE) --no-strip-extras --group sam --output-file requirements/sam.lock
	@$(COMPILE) --no-strip-extras --group localstack --output-file requirements/localstack.lock
	@$(COMPILE) --no-strip-extras --group checkov --output-file requirements/checkov.lock
	@$(COMPILE) --group notebook --output-file requirements/notebook.lock
	@$(COMPILE) --group openapi --output-file requirements/openapi.lock
	@.venv-openapi/bin/npm $(NPM) install --prefix requirements/openapi --package-lock-only --omit-lockfile-registry-resolved
	@$(BIN)/python -m infra.npm_lock requirements/openapi/package-lock.json
	@go -C requirements/openapi get tool github.com/oapi-codegen/runtime
	@$(COMPILE) --no-strip-extras --group bench --constraints requirements/dev.lock --output-file requirements/bench.lock

.PHONY: help
help: ## Show this table
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- the environments ------------------------------------------------------------------------------------------------
# `make lock` writes complete lock files, so pip resolves nothing and installs exactly what is hashed.

$(DEV): requirements/dev.lock
	@$(call install,$(VENV),$<)
$(COMMAND): $(DEV) Makefile
	@printf '#!/bin/sh\nPYTHONPATH="%s:%s" exec "%s" -m local.commands.operator "$$@"\n' \
		"$(CURDIR)" "$(CURDIR)/layers/paybridge" "$(CURDIR)/$(BIN)/python" > $@; chmod +x $@
$(SAM): requirements/sam.lock
	@$(call install,.venv-sam,$<,--no-compile)
$(CHECKOV): requirements/checkov.lock
	@$(call install,.venv-checkov,$<,--no-compile)
$(NOTEBOOK): requirements/notebook.lock
	@$(call install,.venv-notebook,$<,--no-compile)
$(OPENAPI): requirements/openapi.lock requirements/openapi/package.json requirements/openapi/package-lock.json
	@$(call install,.venv-openapi,$<,--no-compile)
	@rm -f $@; cp $(filter %.json,$^) .venv-openapi/; \
		PATH="$(CURDIR)/.venv-openapi/bin:$$PATH" NODE_OPTIONS=--use-system-ca \
		.venv-openapi/bin/npm $(NPM) ci --prefix .venv-openapi && touch $@
$(BENCH): requirements/bench.lock
	@$(call install,.venv-bench,$<)
$(LOCALSTACK): requirements/localstack.lock
	@$(call install,.venv-localstack,$<,--no-compile)

define install
set -e; $(check_python); \
[ -x $(1)/bin/python ] && $(1)/bin/python -c '' 2>/dev/null || \
  { echo "Creating $(1)"; rm -rf $(1); $(PYTHON) -m venv $(1); }; \
echo "Installing $(2) into $(1) (about a minute the first time)"; \
$(1)/bin/python $(PIP) $(3) --requirement $(2); touch $(1)/.installed
endef

define check_python
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  echo "Python 3.11 or newer is missing: install it, or name it:" \
    "\`make PYTHON=python3.12 $(firstword $(MAKECMDGOALS))\`." >&2; exit 1; }; \
$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
  echo "Python's venv module is missing: install it (Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
endef
