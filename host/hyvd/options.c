// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What hyvd was told to do: the command line, and the configuration file (config.c) that it may name.
 * The command line decides where both say something. With a file, the paths of the sockets follow
 * from the VM's name, and the name from the file's.
 */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config.h"
#include "log.h"
#include "netlink.h"
#include "options.h"

#define RUN_DIR "/run/hyv"

const char *argp_program_version = "hyvd 0.1";

enum { OPT_WINDOW_SIZE = 256, OPT_POLL_US, OPT_CONTROL, OPT_NO_SANDBOX, OPT_CHECK, OPT_UD };

static const struct argp_option option_table[] = {
	{ "config", 'c', "FILE", 0, "take what is not given here from FILE: see hyvd(8)", 0 },
	{ "check", OPT_CHECK, NULL, 0,
	  "tell the errors in the configuration file and what of it the host has not, and end", 0 },
	{ "socket", 's', "PATH", 0,
	  "UNIX socket to make for QEMU (with --config: /run/hyv/NAME.sock; else required)", 0 },
	{ "device", 'd', "NAME", 0,
	  "RDMA device of the host that the VM may use, as 'rdma link' shows it; may be given several times (required, here or in FILE)",
	  0 },
	{ "address", 'a', "IP", 0,
	  "address on a device's netdev that the VM may use, and nobody else does; may be given several times (default: FILE's, or none, and no connections by rdma_cm)",
	  0 },
	{ "ud", OPT_UD, "on|off", 0,
	  "whether the VM may send datagrams, the sources of which it chooses itself (default: FILE's, or on devices on which it has no addresses)",
	  0 },
	{ "name", 'n', "NAME", 0,
	  "name of the VM in messages (default: the socket's file name; with --config: FILE's)",
	  0 },
	{ "control", OPT_CONTROL, "PATH", 0,
	  "UNIX socket to make for hyvctl (with --config: /run/hyv/NAME.ctl; else none)", 0 },
	{ "window-size", OPT_WINDOW_SIZE, "SIZE", 0,
	  "shared memory for the queues of the VM's applications, a power of two with suffix M or G (default 1G)",
	  0 },
	{ "poll-us", OPT_POLL_US, "N", 0,
	  "microseconds to go on looking for doorbells after the last one, as long as that finds any; 0 to 1000000 (default 50)",
	  0 },
	{ "verbose", 'v', NULL, 0, "log every verb", 0 },
	{ "no-sandbox", OPT_NO_SANDBOX, NULL, 0,
	  "keep capabilities and system calls that are not needed, for debuggers", 0 },
	{ 0 }
};

/** struct given - the command line: options it does not have are NULL */
struct given {
	const char *config;
	const char *socket;
	const char *control;
	const char *name;
	const char *devices[HYV_MAX_DEVICES];
	unsigned int num_devices;
	const char *addresses[VM_MAX_ADDRESSES];
	unsigned int num_addresses;
	const char *window_size;
	const char *poll_us;
	const char *ud;
	bool verbose;
	bool no_sandbox;
	bool check;
};

static bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	if (errno || end == text || *text == '-')
		return false;
	if (*end == 'M' || *end == 'G') {
		unsigned int shift = *end == 'M' ? 20 : 30;

		if (*out > UINT64_MAX >> shift)
			return false;
		*out <<= shift;
		end++;
	}
	return !*end && *out <= max;
}

bool parse_window_size(const char *text, uint64_t *size)
{
	return parse_number(text, 1ull << 40, size) && *size >= 1 << 20 && !(*size & (*size - 1));
}

bool parse_poll_us(const char *text, uint64_t *us)
{
	return parse_number(text, 1000000, us);
}

bool parse_switch(const char *text, bool *is_on)
{
	*is_on = !strcmp(text, "on") || !strcmp(text, "yes") || !strcmp(text, "true");
	return *is_on || !strcmp(text, "off") || !strcmp(text, "no") || !strcmp(text, "false");
}

static void check_given(const struct given *given, struct argp_state *state)
{
	uint64_t number;
	bool is_on;

	if (given->check && !given->config)
		argp_error(state, "--check needs --config");
	if (!given->socket && !given->config)
		argp_error(state, "--socket is missing");
	if (!given->num_devices && !given->config)
		argp_error(state, "--device is missing: 'rdma link' lists the host's");
	if (given->window_size && !parse_window_size(given->window_size, &number))
		argp_error(state, "--window-size '%s' is not a power of two from 1M to 1024G",
			   given->window_size);
	if (given->poll_us && !parse_poll_us(given->poll_us, &number))
		argp_error(state, "--poll-us '%s' is not a number from 0 to 1000000",
			   given->poll_us);
	if (given->ud && !parse_switch(given->ud, &is_on))
		argp_error(state, "--ud '%s' is neither on nor off", given->ud);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct given *given = state->input;

	switch (key) {
	case 'c':
		given->config = arg;
		break;
	case 's':
		given->socket = arg;
		break;
	case 'd':
		if (given->num_devices == HYV_MAX_DEVICES)
			argp_error(state, "more than %u devices", HYV_MAX_DEVICES);
		given->devices[given->num_devices++] = arg;
		break;
	case 'a':
		if (given->num_addresses == VM_MAX_ADDRESSES)
			argp_error(state, "more than %u addresses", VM_MAX_ADDRESSES);
		given->addresses[given->num_addresses++] = arg;
		break;
	case 'n':
		given->name = arg;
		break;
	case OPT_CONTROL:
		given->control = arg;
		break;
	case OPT_WINDOW_SIZE:
		given->window_size = arg;
		break;
	case OPT_POLL_US:
		given->poll_us = arg;
		break;
	case OPT_UD:
		given->ud = arg;
		break;
	case 'v':
		given->verbose = true;
		break;
	case OPT_NO_SANDBOX:
		given->no_sandbox = true;
		break;
	case OPT_CHECK:
		given->check = true;
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not an option", arg);
		break;
	case ARGP_KEY_END:
		check_given(given, state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp parser = {
	.options = option_table,
	.parser = parse_option,
	.doc = "Give one virtual machine RDMA on devices of this host.\v"
	       "Start it before QEMU, with QEMU's options\n"
	       "  -object memory-backend-memfd,id=m,size=SIZE,share=on -machine q35,memory-backend=m\n"
	       "  -chardev socket,id=hyv,path=PATH\n"
	       "  -device vhost-user-test-device-pci,virtio-id=38,num_vqs=3,vq_size=256,config_size=8,chardev=hyv\n"
	       "It ends when QEMU does.",
};

static void set(char *out, size_t len, const char *value)
{
	if (value)
		snprintf(out, len, "%s", value);
}

/* the file's name without directory and ending */
static void name_of_file(struct options *opt)
{
	const char *base = basename(opt->config), *dot = strrchr(base, '.');

	snprintf(opt->name, sizeof(opt->name), "%.*s",
		 dot && dot != base ? (int)(dot - base) : (int)strlen(base), base);
}

static void set_paths(struct options *opt)
{
	if (!opt->socket[0])
		snprintf(opt->socket, sizeof(opt->socket), RUN_DIR "/%s.sock", opt->name);
	if (!opt->control[0])
		snprintf(opt->control, sizeof(opt->control), RUN_DIR "/%s.ctl", opt->name);
}

int options_parse(struct options *opt, int argc, char **argv)
{
	struct given given = { 0 };
	unsigned int i;
	bool ud;
	int ret = 0;

	*opt = (struct options){ .window_size = 1ull << 30, .poll_us = 50, .sandbox = true };
	for (i = 0; i < LIMIT_COUNT; i++)
		opt->limits[i] = limit_default(i);
	argp_parse(&parser, argc, argv, 0, NULL, &given);
	set(opt->config, sizeof(opt->config), given.config);
	if (opt->config[0]) {
		name_of_file(opt);
		log_init(given.name ? given.name : opt->name, given.verbose);
		ret = config_read(opt->config, netlink_find_name, opt);
	} else {
		set(opt->name, sizeof(opt->name), basename(given.socket));
	}
	set(opt->name, sizeof(opt->name), given.name);
	set(opt->socket, sizeof(opt->socket), given.socket);
	set(opt->control, sizeof(opt->control), given.control);
	if (opt->config[0])
		set_paths(opt);
	for (i = 0; i < given.num_devices; i++) {
		opt->devices[i] = (struct option_device){ 0 };
		set(opt->devices[i].name, sizeof(opt->devices[i].name), given.devices[i]);
	}
	if (given.num_devices)
		opt->num_devices = given.num_devices;
	for (i = 0; i < given.num_addresses; i++) {
		opt->addresses[i] = (struct option_address){ 0 };
		set(opt->addresses[i].text, sizeof(opt->addresses[i].text), given.addresses[i]);
	}
	if (given.num_addresses)
		opt->num_addresses = given.num_addresses;
	if (given.window_size)
		parse_window_size(given.window_size, &opt->window_size);
	if (given.poll_us)
		parse_poll_us(given.poll_us, &opt->poll_us);
	if (given.ud && parse_switch(given.ud, &ud))
		opt->ud = ud ? UD_ON : UD_OFF;
	opt->verbose |= given.verbose;
	opt->sandbox &= !given.no_sandbox;
	opt->check = given.check;
	log_init(opt->name, opt->verbose);
	return ret;
}
