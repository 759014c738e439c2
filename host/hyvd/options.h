/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What hyvd was told to do: see options.c */
#ifndef HYVD_OPTIONS_H
#define HYVD_OPTIONS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <hyv/wire.h>
#include "gid.h"
#include "limit.h"

#define OPTIONS_ADDRESS_LEN \
	64 /* an IPv6 address with /LEN, and room to see what is wrong with it */

/** struct option_device - a device of the host; @line: of the configuration file, or 0 */
struct option_device {
	char name[NAME_MAX + 1];
	size_t line;
};

/**
 * struct option_address - an address of the VM, as it was written
 * @text: an IP address, with /LEN or not
 * @device: the one whose netdev must have it, or "" for whichever of the VM's does
 * @line: of the configuration file, or 0
 */
struct option_address {
	char text[OPTIONS_ADDRESS_LEN];
	char device[NAME_MAX + 1];
	size_t line;
};

/**
 * struct options - from the command line and the configuration file
 * @config: the file, or ""
 * @socket: for QEMU
 * @control: for hyvctl, or "" for none
 * @name: the VM's, in messages
 * @devices: of the host, @num_devices of them
 * @addresses: of the VM, @num_addresses of them
 * @window_size: bytes
 * @poll_us: how long to look for doorbells after the last one
 * @ud: whether the VM may send datagrams
 * @limits: LIMIT_NONE where there is none
 * @sandbox: give up what is not needed any more
 * @check: only look whether the configuration is right and the host has what it names
 */
struct options {
	char config[PATH_MAX];
	char socket[PATH_MAX];
	char control[PATH_MAX];
	char name[64];
	struct option_device devices[HYV_MAX_DEVICES];
	unsigned int num_devices;
	struct option_address addresses[VM_MAX_ADDRESSES];
	unsigned int num_addresses;
	uint64_t window_size;
	uint64_t poll_us;
	enum ud ud;
	uint64_t limits[LIMIT_COUNT];
	bool verbose;
	bool sandbox;
	bool check;
};

/**
 * options_parse() - the command line, and the file it names; what both say, the command line
 * decides. Ends the process, with a message, when the command line is wrong.
 *
 * Return: 0, or -EINVAL when the file is wrong, after a message for each of its errors; then @opt has what
 * of it is right.
 */
int options_parse(struct options *opt, int argc, char **argv);

/** parse_window_size(), parse_poll_us() - Return: whether @text is one */
bool parse_window_size(const char *text, uint64_t *size);
bool parse_poll_us(const char *text, uint64_t *us);

/** parse_switch() - @is_on: out. Return: whether @text is on or off, or means that */
bool parse_switch(const char *text, bool *is_on);

#endif
