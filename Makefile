# Every target sets up what it needs on a fresh clone that has only Python >= 3.11 and Node >= 20.
# PYTHON=…  the interpreter to build .venv from        ARGS="…"  passed on to the command
# PORT=…    where the local stage listens (4566)       STAGE=…   stage of `make synth` (dev)

.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := /bin/sh

PYTHON ?= python3
STAGE ?= dev
ARGS ?=
export PORT FILE MERCHANT EVENT DATA FORWARD SECRET
# The oldest Node that we support is past its end of life; jsii would say so in every synthesis.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION ?= 20
# Compiling aws_cdk's modules takes 4 s in every process that has to. Bytecode is kept, out of the way, even where
# the environment (as an image with Python often does) wants none beside the sources.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX ?= $(CURDIR)/.local/bytecode

VENV := .venv
PY := $(VENV)/bin/python
CDK := node_modules/.bin/cdk --app '$(PY) app.py'

LOCKED := requirements-lambda.txt requirements.txt requirements-ministack.txt \
	requirements-localstripe.txt requirements-beancount.txt requirements-dynamorm.txt requirements-clients.txt
COMPILE := $(PY) -m piptools compile --quiet --generate-hashes --allow-unsafe --strip-extras \
	--no-config --no-emit-options --no-emit-index-url --no-emit-trusted-host --no-emit-find-links
# What belongs to `make test-deep` is left out of the others.
QUICK := -m 'not deep'
CHECKS := .local/checks
# Of `make test`, beside test-e2e, in this order: a mistake that lint finds is shown first, and the
# longest part does not come last.
TEST_PARTS := lint test-unit test-integration test-infrastructure
TYPED := -p runtime -p stacks -p local -p operations -p benchmarks -p simulation -p permissions \
	-p payments_client

# Two runs side by side, one for each processor, each of which takes the next part that is left; what the
# second one prints is shown at the end. 1: parts of the first run; 2: of the second.
define SIDE_BY_SIDE
rm -rf $(CHECKS) && mkdir -p $(CHECKS); \
	export DURATIONS=$(CHECKS); \
	run() { for part do mkdir $(CHECKS)/$$part 2>/dev/null || continue; \
		$(MAKE) --no-print-directory $$part || echo $$part >>$(CHECKS)/failed; done; }; \
	run $(2) >$(CHECKS)/second-run.log 2>&1 & second=$$!; \
	trap 'kill $$second; cat $(CHECKS)/second-run.log; exit 130' INT TERM; \
	run $(1); \
	wait $$second || echo 'second run' >>$(CHECKS)/failed; \
	cat $(CHECKS)/second-run.log; \
	$(PY) -m tests.support.slowest $(CHECKS); \
	if [ -s $(CHECKS)/failed ]; then echo FAILED: $$(cat $(CHECKS)/failed) >&2; exit 1; fi
endef

# -------------------------------------------------------------------- for people

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  \033[1m%-22s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: venv ## show the whole system: deploy locally, pay, list, reconcile
	@$(PY) -m local demo $(ARGS)

.PHONY: up
up: venv ## start the embedded AWS, deploy the stacks into it, print the API's URL  [PORT=]
	@$(PY) -m local up $(ARGS)

.PHONY: down
down: venv ## stop what `make up` started, and delete its data  [KEEP=1 keeps it]
	@$(PY) -m local down $(if $(filter-out 0 no false,$(KEEP)),--keep) $(ARGS)

.PHONY: token
token: venv ## print a signed token  [ARGS="--merchant mer_… --permissions payments | --operator"]
	@$(PY) -m local token $(ARGS)

.PHONY: seed
seed: venv ## create a merchant, customers and accounts in the local stage, started if needed
	@$(PY) -m local seed $(ARGS)

.PHONY: env
env: venv ## print API, TOKEN and MERCHANT of the local stage for a shell, started if needed: eval "$$(make -s env)"
	@$(PY) -m local env $(ARGS)

.PHONY: console
console: venv ## print the address of the local stage's console, signed in, and open it  [ARGS="--merchant mer_… --no-open"]
	@$(PY) -m local console $(ARGS)

.PHONY: listen
listen: venv ## show webhooks of the local stage as they arrive, verified  [FORWARD=http://127.0.0.1:3000/hooks MERCHANT= SECRET=]
	@$(PY) -m local listen --forward "$$FORWARD" --merchant "$$MERCHANT" --secret "$$SECRET" $(ARGS)

.PHONY: trigger
trigger: venv ## have an event really happen in the local stage  [EVENT=payment.succeeded DATA='{"amount": 1999}' MERCHANT=]
	@$(PY) -m local trigger --event "$$EVENT" --merchant "$$MERCHANT" --data "$$DATA" $(ARGS)

.PHONY: upload-settlement
upload-settlement: venv ## upload a settlement file, show its result  [FILE=… MERCHANT=mer_… ARGS="--stage prod"]
	@$(PY) -m operations upload-settlement --file "$$FILE" --merchant "$$MERCHANT" $(ARGS)

.PHONY: tick
tick: venv ## run one schedule of the local stage now  [ARGS="resolver"]
	@$(PY) -m local tick $(ARGS)

.PHONY: proof
proof: venv ## verify the ledger of the local stage, started if needed  [ARGS="--changes"]
	@$(PY) -m operations proof $(ARGS)

.PHONY: verify-audit
verify-audit: venv ## verify the audit log, its archive and roots, in the local stage  [ARGS="--entity acc_… --stage prod"]
	@$(PY) -m operations verify-audit $(ARGS)

.PHONY: rebuild-balances
rebuild-balances: venv ## compare hot accounts with the transfers, in the local stage  [ARGS="--repair --stage prod"]
	@$(PY) -m operations rebuild-balances $(ARGS)

.PHONY: rebuild-totals
rebuild-totals: venv ## compare the totals with the payments, in the local stage  [ARGS="--repair --stage prod"]
	@$(PY) -m operations rebuild-totals $(ARGS)

.PHONY: rotate-keys
rotate-keys: venv ## encrypt again what old keys encrypted, in the local stage  [ARGS="--index"]
	@$(PY) -m operations rotate-keys $(ARGS)

.PHONY: apply-processor-events
apply-processor-events: venv ## apply processor events again that could not be applied  [ARGS="--stage prod"]
	@$(PY) -m operations apply-processor-events $(ARGS)

.PHONY: redrive
redrive: venv ## process dead letters of the change streams again  [ARGS="--dry-run | --stage prod"]
	@$(PY) -m operations redrive $(ARGS)

.PHONY: logs
logs: venv ## print the recent log of a function  [ARGS="process --since 5"]
	@$(PY) -m local logs $(ARGS)

.PHONY: trace
trace: venv ## print the story of a request or payment over all functions  [ID=req_…|pay_… STAGE= SINCE=HOURS]
	@$(PY) -m operations trace --id '$(ID)' $(if $(SINCE),--since '$(SINCE)') \
		$(if $(filter command environment,$(origin STAGE)),--stage '$(STAGE)')

# -------------------------------------------------------------------- checks

.PHONY: test
test: node ## all checks that must pass before a merge
	@# The end-to-end tests, the longest, come first in one of the runs.
	@$(call SIDE_BY_SIDE,$(TEST_PARTS),test-e2e $(TEST_PARTS))
	@echo 'All checks passed.'

.PHONY: test-deep
test-deep: node ## the console, and slow tests that rarely find what `make test` does not  [TEST_SEED= OPERATIONS=20000]
	@$(call SIDE_BY_SIDE,test-console test-slow,simulate-deep test-slow)
	@echo 'All deep checks passed.'

.PHONY: lint
lint: venv ## ruff, format, mypy --strict, import contract
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(TYPED)
	$(VENV)/bin/lint-imports

.PHONY: test-unit
test-unit: venv node ## pure logic, and small simulations; no sockets
	$(PY) -m pytest tests/unit tests/simulation --numprocesses auto $(QUICK) $(ARGS)

.PHONY: test-infrastructure
test-infrastructure: venv node ## synthesized templates: rules, schema, packaging
	$(PY) -m pytest tests/infrastructure --numprocesses 2 --dist loadfile $(QUICK) $(ARGS)

.PHONY: test-integration
test-integration: venv ## repositories and handlers against table engines
	$(PY) -m pytest tests/integration --numprocesses 2 $(QUICK) $(ARGS)

.PHONY: coverage
coverage: venv ## lines and branches of runtime that the unit and integration tests run
	@mkdir -p .local/coverage
	$(PY) -m pytest tests/unit tests/simulation tests/integration --numprocesses 2 $(QUICK) \
		--cov --cov-report=term $(ARGS)

.PHONY: test-faults
test-faults: venv ## payments, the ledger and all that is derived, under faults; a failure prints its seed  [SEED= OPERATIONS=]
	$(if $(SEED),TEST_SEED=$(SEED)) $(if $(OPERATIONS),OPERATIONS=$(OPERATIONS)) $(PY) -m pytest \
		--numprocesses 2 tests/integration/simulations/test_payment_simulation.py \
		tests/integration/simulations/test_ledger_simulation.py tests/integration/ledger/test_races.py \
		tests/integration/simulations/test_ledger_stateful.py \
		tests/integration/simulations/test_derived_simulation.py $(ARGS)

.PHONY: simulate-faults
simulate-faults: venv ## the whole platform in virtual time, under faults; last line: hash and violations  [SEED= OPERATIONS=]
	@$(PY) -m simulation $(if $(SEED),--seed '$(SEED)') $(if $(OPERATIONS),--operations $(OPERATIONS)) \
		$(if $(CLIENTS),--clients '$(CLIENTS)') $(if $(KINDS),--kinds '$(KINDS)') \
		$(if $(PARTS),--parts '$(PARTS)') $(if $(PROCESSES),--processes $(PROCESSES)) $(ARGS)

.PHONY: test-e2e
test-e2e: venv node ## over HTTP, against an emulator of its own, or a deployed stage  [STAGE=staging TOKEN=]
	@# STAGE has a default for `make synth`: only one that was asked for is meant here.
	@$(if $(filter command environment,$(origin STAGE)),E2E_STAGE='$(STAGE)') \
		PAYMENTS_TOKEN="$${TOKEN:-$$PAYMENTS_TOKEN}" \
		$(PY) -m pytest tests/e2e --numprocesses 3 $(QUICK) $(ARGS)

.PHONY: test-slow
test-slow: venv node ## the slow tests of all parts, which `make test` leaves out
	$(PY) -m pytest tests/e2e tests/infrastructure tests/integration tests/simulation tests/unit \
		--numprocesses 2 -m deep $(ARGS)

.PHONY: simulate-deep
simulate-deep: venv ## the simulation of `make test-deep`  [TEST_SEED= OPERATIONS=20000]
	@$(MAKE) --no-print-directory simulate-faults SEED='$(TEST_SEED)' OPERATIONS=$(or $(OPERATIONS),20000) PROCESSES=2

.PHONY: test-console
test-console: venv node ## the console in a headless Chromium, on a stage of its own; as root, installs Chromium
	@$(PY) -m tests.support.console.chromium
	$(PY) -m pytest tests/console $(QUICK) $(ARGS)

.PHONY: screenshots
screenshots: venv node ## take the pictures of the console in docs/images again
	@$(PY) -m tests.support.console.chromium
	@CONSOLE_PICTURES=docs/images $(PY) -m pytest tests/console/test_pictures.py $(ARGS)

.PHONY: mutation-check
mutation-check: venv ## plant faults in a copy; say which the simulation and the tests find  [OPERATIONS= ARGS="--only NAME"]
	@$(PY) -m simulation.mutations --tests $(if $(OPERATIONS),--operations $(OPERATIONS)) $(ARGS)

.PHONY: differential
differential: venv ## random requests to the engine in memory and to AWS's own, all answers compared  [REQUESTS= SEED=]
	@$(PY) -m tests.support.differential $(if $(REQUESTS),--requests $(REQUESTS)) $(if $(SEED),--seed $(SEED))

.PHONY: fuzz
fuzz: venv node ## send many requests generated from the OpenAPI document to a stack of its own  [EXAMPLES=]
	FUZZ_EXAMPLES=$(or $(EXAMPLES),200) $(PY) -m pytest tests/e2e/test_fuzz.py $(ARGS)

.PHONY: bench
bench: venv ## run benchmarks, compared with alternatives  [ARGS="transfer sale", ARGS=--help]
	@$(PY) -m benchmarks $(ARGS)

.PHONY: cost
cost: venv node ## the bill of a stage's month, by service and part  [PAYMENTS_PER_MONTH=1000000 STAGE=prod BUSY= FORMAT=json]
	@$(PY) -m stacks.costs \
		$(if $(filter command environment,$(origin STAGE)),--stage '$(STAGE)') \
		$(if $(PAYMENTS_PER_MONTH),--payments '$(PAYMENTS_PER_MONTH)') $(if $(BUSY),--busy '$(BUSY)') \
		$(if $(FORMAT),--format '$(FORMAT)') $(ARGS)

.PHONY: cost-uses
cost-uses: venv ## count again what operations and schedules use, for `make cost`
	@$(PY) -m benchmarks.bill

.PHONY: load
load: venv ## load test of a stage, every answer checked  [STAGE= RATE=10 SECONDS=30 TOKEN= MERCHANT= ARGS=--help]
	@# STAGE has a default for `make synth`: only one that was asked for is meant here.
	@PAYMENTS_TOKEN="$${TOKEN:-$$PAYMENTS_TOKEN}" $(PY) -m operations load \
		$(if $(filter command environment,$(origin STAGE)),--stage '$(STAGE)') \
		$(if $(RATE),--rate '$(RATE)') $(if $(SECONDS),--seconds '$(SECONDS)') \
		$(if $(MERCHANT),--merchant '$(MERCHANT)') $(ARGS)

.PHONY: clients
clients: venv ## build the Python and the TypeScript client from docs/openapi.json into .local/clients/dist
	@$(PY) -m local.clients

.PHONY: test-clients
test-clients: venv node ## build the clients and test them, also against an emulator of its own
	$(PY) -m pytest tests/unit/clients tests/unit/local/test_clients.py tests/e2e/test_clients.py $(ARGS)

.PHONY: simulate
simulate: venv ## capacity: the load of a rate of payments on each key and stream, compared with AWS's limits  [RATE=20000 MERCHANTS=1 SEED=]
	@$(PY) -m benchmarks.capacity $(if $(RATE),--rate '$(RATE)') $(if $(MERCHANTS),--merchants '$(MERCHANTS)') \
		$(if $(SEED),--seed '$(SEED)') $(ARGS)

# -------------------------------------------------------------------- AWS

.PHONY: synth
synth: venv node ## write the product's templates to cdk.out/, without credentials  [STAGE=]
	@$(CDK) synth --quiet --no-notices --context stage=$(STAGE) --output cdk.out $(ARGS)

.PHONY: preflight
preflight: venv node ## check your AWS account before deploying a stage  [STAGE= ARGS="--format json"]
	@$(CDK) synth --quiet --no-notices --context stage=$(STAGE) --output .local/preflight/$(STAGE) >&2
	@$(PY) -m operations preflight --stage $(STAGE) --assembly .local/preflight/$(STAGE) $(ARGS)

.PHONY: template-diff
template-diff: venv node ## compare cdk.out/ with the templates in BASE, without credentials  [BASE=]
	@for template in cdk.out/*.template.json; do \
		stack=$$(basename "$$template" .template.json); before="$(BASE)/$$stack.template.json"; \
		[ -f "$$before" ] || { before=cdk.out/none.json; echo '{}' >"$$before"; }; \
		node_modules/.bin/cdk diff --app cdk.out --no-color --no-notices --no-change-set \
			--template "$$before" "$$stack" 2>&1 || exit 1; \
	done

.PHONY: build-lambda
build-lambda: venv ## build what ships to Lambda (arm64, Python 3.13) and print its sizes
	@$(PY) -m stacks.lambda_asset $(ARGS)

.PHONY: deploy-staging
deploy-staging: venv node ## deploy the staging stage with your AWS credentials
	$(CDK) deploy --all --context deploying=true --context stage=staging --require-approval never $(ARGS)
	@$(PY) -m operations upload-console --stage staging

.PHONY: deploy-prod
deploy-prod: venv node ## deploy production; shows the changes and asks first  [APPROVAL=never if someone approved it elsewhere]
	$(CDK) deploy --all --context deploying=true --context stage=prod \
		--require-approval $(or $(APPROVAL),any-change) $(ARGS)
	@$(PY) -m operations upload-console --stage prod

.PHONY: deploy-ephemeral
deploy-ephemeral: venv node ## deploy the stage dev into an account for tests
	$(CDK) deploy --all --context deploying=true --context stage=dev --require-approval never $(ARGS)
	@$(PY) -m operations upload-console --stage dev

.PHONY: destroy-ephemeral
destroy-ephemeral: venv node ## remove the stage dev, with all its data
	$(CDK) destroy --all --context stage=dev --force $(ARGS)

.PHONY: upload-console
upload-console: venv ## upload the console's files to a stage that has CloudFront serve them; a deployment does so  [STAGE=]
	@$(PY) -m operations upload-console --stage '$(STAGE)' $(ARGS)

.PHONY: canary-merchant
canary-merchant: venv ## create the canary's merchant and API key, or replace its key  [STAGE= MERCHANT=mer_… TOKEN=]
	@PAYMENTS_TOKEN="$${TOKEN:-$$PAYMENTS_TOKEN}" $(PY) -m operations canary-merchant \
		$(if $(filter command environment,$(origin STAGE)),--stage '$(STAGE)') \
		--merchant "$$MERCHANT" $(ARGS)

.PHONY: rollback
rollback: venv ## list a stage's deployments; with TO, put its functions back to that time  [STAGE= TO=2026-12-01T09:30:00Z ARGS=--dry-run]
	@$(PY) -m operations rollback $(if $(filter command environment,$(origin STAGE)),--stage '$(STAGE)') \
		$(if $(TO),--to '$(TO)') $(ARGS)

.PHONY: restore
restore: venv ## restore all tables of a stage to one instant, under new names  [STAGE= TO=2026-12-01T09:30:00Z NAME=r1]
	@$(PY) -m operations restore --stage '$(STAGE)' --to '$(TO)' --name '$(NAME)' $(ARGS)

# -------------------------------------------------------------------- upkeep

.PHONY: docs
docs: venv ## regenerate the generated pages under docs/
	@$(PY) -m local.docs $(ARGS)

.PHONY: permissions
permissions: venv node ## run the tests, list the AWS calls that they make, and make the table in docs/security.md of them
	@rm -rf .local/calls
	@export RECORD_CALLS=$(CURDIR)/.local/calls; \
		$(MAKE) --no-print-directory test-unit test-integration test-e2e && $(PY) -m permissions check .local/calls && \
		$(PY) -m permissions adopt .local/calls

.PHONY: format
format: venv ## sort imports and format the code with ruff
	$(PY) -m ruff check --fix --quiet .
	$(PY) -m ruff format .

# Configuration of pip that names another index would put its address and hashes into the lists.
.PHONY: lock
lock: venv ## compile the pinned lists again; run it with Python 3.11  [ARGS="--upgrade"]
	@$(PY) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
		echo 'Lists that fit every supported Python are compiled with the oldest: make lock needs a .venv of Python 3.11.' >&2; exit 1; }
	@export CUSTOM_COMPILE_COMMAND='make lock' PIP_CONFIG_FILE=/dev/null; \
	unset PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_INDEX_URL; \
	$(COMPILE) $(ARGS) --output-file requirements-lambda.txt requirements-lambda.in && \
	$(COMPILE) $(ARGS) --constraint requirements-lambda.txt --output-file requirements.txt requirements.in && \
	$(COMPILE) $(ARGS) --output-file requirements-ministack.txt requirements-ministack.in && \
	$(COMPILE) $(ARGS) --output-file requirements-localstripe.txt requirements-localstripe.in && \
	$(COMPILE) $(ARGS) --output-file requirements-beancount.txt requirements-beancount.in && \
	$(COMPILE) $(ARGS) --output-file requirements-clients.txt requirements-clients.in && \
	$(COMPILE) $(ARGS) --constraint requirements-lambda.txt --output-file requirements-dynamorm.txt requirements-dynamorm.in
	@if grep -nE '^--|https?://' $(LOCKED); then echo 'The lists must not name an index.' >&2; exit 1; fi

.PHONY: clean
clean: ## stop the local stage and remove everything that make has built
	@if [ -x $(PY) ] && [ -d .local ]; then $(PY) -m local down || true; fi
	@rm -rf .local .local-* build cdk.out node_modules $(VENV) \
		.hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -------------------------------------------------------------------- set-up, as needed

# The copy of the list that .venv was made from is its stamp: compared by content, because a checkout
# changes dates; written last, so that an interrupted set-up is done again.
.PHONY: venv
venv:
	@# The pip of requirements.txt comes first: the older one of a venv takes three times its CPU time for the rest.
	@cmp -s requirements.txt $(VENV)/requirements.installed && $(PY) -c '' 2>/dev/null || { \
		command -v $(PYTHON) >/dev/null 2>&1 || { \
			echo 'Error: $(PYTHON) was not found. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.' >&2; exit 1; }; \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
			echo "Error: $$($(PYTHON) --version 2>&1) is too old. Name Python 3.11 or newer: make PYTHON=/path/to/python3." >&2; exit 1; }; \
		echo 'Setting up $(VENV) (about a minute, once) …' >&2; \
		$(PYTHON) -m venv --clear $(VENV) >&2 || { \
			echo 'Error: $(PYTHON) cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv.' >&2; exit 1; }; \
		sed -n '/^pip==/,/# via/p' requirements.txt >$(VENV)/pip.txt; \
		install() { $(PY) -m pip install -qq --disable-pip-version-check --no-compile --require-hashes --requirement "$$1" >&2; }; \
		install $(VENV)/pip.txt && install requirements.txt || { \
			echo 'Error: the packages of requirements.txt could not be installed; see above.' >&2; exit 1; }; \
		cp requirements.txt $(VENV)/requirements.installed; }

.PHONY: node
node: venv
	@$(PY) -m local.emulator.toolchain
