#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Proves that bash completes hyvctl's commands, VMs, devices, limits and options where they belong: all that the source has.
# usage: tests/unit/test_completion.sh      (prints a line per test; exit code 1 when one failed)
set -euo pipefail
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
N=0 FAILED=0

# a host with two VMs and two RDMA devices, below $DIR; what bash tells of files is asked there
mkdir -p "$DIR"/run/hyv "$DIR"/sys/class/infiniband/{rxe0,siw0}
touch "$DIR"/run/hyv/{vm1,web}.{ctl,sock}
compgen() { if [[ $1 == -G ]]; then builtin compgen -G "$DIR$2"; else builtin compgen "$@"; fi; }
compopt() { :; }	# bash has it while it completes alone
TREE=$(dirname "${BASH_SOURCE[0]}")/../..
. "$TREE/packaging/bash-completion/hyvctl"

# completes WANTED WORD...: what the last word, which is the one that is being written, can become
completes() {
	local wanted got
	wanted=$(printf '%s\n' $1 | sort | xargs)
	shift
	N=$((N + 1))
	COMP_WORDS=(hyvctl "$@") COMP_CWORD=$#
	COMPREPLY=()
	_hyvctl || true
	got=$(printf '%s\n' ${COMPREPLY+"${COMPREPLY[@]}"} | sort | xargs)
	if [[ $got == "$wanted" ]]; then
		echo "ok $N - hyvctl $*"
	else
		echo "not ok $N - hyvctl $*: got '$got', wanted '$wanted'"
		FAILED=1
	fi
}

# rows FILE TABLE: of a table in hyvctl's or hyvd's source, each of which begins with a name
rows() { sed -n "/ $2\[.*{\$/,/^}/p" "$TREE/host/$1"; }

completes "$(rows hyvctl/main.c commands | grep -oP '{ "\K[a-z]+')" ""
completes "$(rows hyvd/limit.c rows | grep -oP '{ "\K[a-z_]+' | sed 's/$/=/')" limit vm1 ""
completes "--help --version $(rows hyvctl/main.c option_table | sed -nE 's/^\t\{ "([^"]*)", [^,]*, NULL, .*/--\1/p; s/^\t\{ "([^"]*)", [^,]*, ".*/--\1=/p')" --
completes "show stats" s
completes "vm1 web" show ""
completes "web" limit w
completes "qps=" limit vm1 q
completes "rxe0 siw0" attach vm1 ""
completes "siw0" detach --force vm1 s
completes "" show vm1 ""
completes "ops=" limit vm1 qps=1 o
completes "add del" gid vm1 ""
completes "rxe0 siw0" gid vm1 add ""
completes "" gid vm1 add rxe0 ""
completes "" list ""
completes "--force" detach vm1 rxe0 --f
exit $FAILED
