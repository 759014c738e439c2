# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What all of the lab's level-0 scripts share: paths, messages, locking. Sourced, never run.

set -euo pipefail
TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LAB=$TREE/lab
OUT=$TREE/out
CACHE=${HYV_CACHE:-/var/cache/hyv}
ME=lab/$(basename "$0")
export LC_ALL=C.UTF-8 TREE LAB OUT CACHE

say() { printf '%s: %s\n' "$ME" "$*" >&2; }
die() { say "$*"; exit 1; }

# need_root WHAT: WHAT is the work that only root can do.
need_root() {
	[[ $EUID == 0 ]] || die "$1 needs root; run it again as root, or with sudo"
}

# need_tools TOOL=PACKAGE...: installs the packages of the tools that are missing.
need_tools() {
	local t missing=()
	for t; do
		command -v "${t%%=*}" >/dev/null || missing+=("${t#*=}")
	done
	[[ ${#missing[@]} == 0 ]] && return
	need_root "installing ${missing[*]}"
	say "installing ${missing[*]}"
	{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
		apt-get -qq -y --no-install-recommends install "${missing[@]}"; } >/dev/null ||
		die "apt-get cannot install ${missing[*]}: is a package mirror in reach? try 'apt-get update'"
}

# usage: prints the script's own header comment, up to the first line that is no comment.
usage() { sed -n '3,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; }

# kernel_versions IMAGE-DIR: sets the map KVER, from short (6.12) to full (6.12.1-amd64) version.
kernel_versions() {
	# shellcheck disable=SC2034 # for the caller
	declare -gA KVER=()
	local short full
	# shellcheck disable=SC2034
	while read -r short full; do KVER[$short]=$full; done <"$1/kernels"
}
