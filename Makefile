# SPDX-License-Identifier: GPL-2.0-or-later
# What a person types. Everything sets itself up, as root, on Debian 12 or 13; images are kept in
# $HYV_CACHE (default /var/cache/hyv), results in out/.

help:
	@echo "make demo        two virtual machines talk RDMA; says what you see"
	@echo "make check       check-unit, then check-lab: what fits in half an hour; check-ops and check-long have the rest"
	@echo "make check-unit  builds for both kernels, unit and protocol tests"
	@echo "make check-lab   the scenarios in the lab"
	@echo "make check-long  the same with full counts, on both kernels"
	@echo "make check-cm    connections by address, in the lab"
	@echo "make check-ops   limits, hyvctl, the sandbox, recovery, hot plug a thousand times, libvirt, from packages, in the lab"
	@echo "make parity      rdma-core's own test-suite, natively and in a guest, test by test"
	@echo "make bench       guest and native side by side: a table, and out/bench.json"
	@echo "make build       out/<kernel>/*.ko and out/user"
	@echo "make deb         Debian packages: out/deb/*.deb"
	@echo "make clean       remove out/; the images stay in $${HYV_CACHE:-/var/cache/hyv}"

build:
	lab/build

demo:
	lab/demo

check:
	tests/check unit lab

check-unit:
	tests/check unit

check-lab:
	tests/check lab

check-long:
	tests/check --long unit lab

check-ops:
	tests/check ops

check-cm:
	tests/check cm

parity:
	rm -rf out/lab/parity*
	HYV_LONG=1 lab/run tests/e2e/parity*.sh; code=$$?; grep -h '^parity ' out/lab/parity*/output; exit $$code

bench:
	tests/bench/run

deb:
	packaging/deb

clean:
	rm -rf out

.PHONY: help build demo check check-unit check-lab check-long check-cm check-ops parity bench deb clean
