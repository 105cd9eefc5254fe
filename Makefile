# Everything in the release profile, so that the dependencies, which are heavy, are built once.
CARGO ?= cargo
SERVERS := tests/servers
# Tests take the dependencies optimised and our own crate not: it compiles in a minute instead of
# three to four, and the tests run as long.
UNOPTIMISED := --config profile.release.package.turnaround.opt-level=0 \
	--config profile.release.package.turnaround.debug=0

.DEFAULT_GOAL := help
.PHONY: help test test-wheel wheel check fmt demo bench doctor docker-lint

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

test: doctor check ## formatting, lints, dependency checks, then every test against real servers
	@$(SERVERS)/with.sh $(CARGO) test --release --locked $(UNOPTIMISED)

test-wheel: ## a Python wheel of what `make test` built, installed and tried
	@tests/wheel.sh target/wheels --auditwheel skip $(UNOPTIMISED)

wheel: ## a Python wheel for this machine, into ./wheels
	@tests/wheel.sh wheels --auditwheel skip

check: docker-lint ## formatting, lints and dependency checks: no test, no server
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --release --locked --all-targets -- -D warnings
	@$(SERVERS)/deny.sh

fmt: ## format the source
	$(CARGO) fmt --all

demo: ## three days of three laboratories through everything, into ./turnaround-lake
	$(CARGO) run --release --locked -- demo

bench: ## rows per second and peak memory, of whole processes and of decoding alone
	@CARGO=$(CARGO) benches/run.sh $(BENCH)

doctor: ## names each missing tool with the line that installs it
	@$(SERVERS)/doctor.sh

docker-lint: ## docker/, the workflow and the scripts
	@$(SERVERS)/lint.sh
