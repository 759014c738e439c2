// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hyvctl, the operator's tool: what VMs have and do on this host's RDMA devices, their limits, and
 * giving them devices and addresses and taking them away. It asks each VM's hyvd over its control socket; all it knows
 * is in the answers.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "hyvctl.h"

const char *argp_program_version = "hyvctl 0.1";

/** struct options - the command line: the command and what belongs to it */
struct options {
	const char *dir;
	const char *output;
	char **words;
	int num_words;
	json_t *addresses;
	double interval;
	long count;
	bool json;
	bool objects;
	bool force;
	struct recover_options recover;
};

static void print_json(const json_t *json)
{
	json_dumpf(json, stdout, PRINTABLE_JSON | JSON_INDENT(2));
	putchar('\n');
}

static json_t *request(const char *cmd)
{
	return json_pack("{s:s}", "cmd", cmd);
}

static enum exit_code list(const struct options *opt)
{
	json_t *answers = json_array();
	enum exit_code code = client_ask_all(opt->dir, request("show"), answers);

	if (opt->json)
		print_json(answers);
	else
		print_list(answers);
	json_decref(answers);
	return code;
}

static enum exit_code show(const struct options *opt)
{
	json_t *ask = json_pack("{s:s, s:b}", "cmd", "show", "objects", opt->objects), *answer;
	enum exit_code code = client_ask(opt->dir, opt->words[1], PROMPTLY, ask, &answer);

	if (code == EXIT_OK && opt->json)
		print_json(answer);
	else if (code == EXIT_OK)
		print_show(answer);
	json_decref(answer);
	return code;
}

static enum exit_code stats(const struct options *opt)
{
	json_t *answer;
	enum exit_code code =
		client_ask(opt->dir, opt->words[1], PROMPTLY, request("stats"), &answer);

	if (code == EXIT_OK && opt->json)
		print_json(answer);
	else if (code == EXIT_OK)
		print_stats(answer, NULL, 0);
	json_decref(answer);
	return code;
}

static enum exit_code limit(const struct options *opt)
{
	json_t *set = json_object(), *answer;
	enum exit_code code;
	int i;

	for (i = 2; i < opt->num_words; i++) {
		char *equals = strchr(opt->words[i], '=');

		if (!equals || equals == opt->words[i]) {
			fprintf(stderr,
				"hyvctl: '%s' is not of the form NAME=VALUE, as in qps=100\n",
				opt->words[i]);
			exit(argp_err_exit_status);
		}
		json_object_set_new(set, strndupa(opt->words[i], (size_t)(equals - opt->words[i])),
				    json_string(equals + 1));
	}
	code = client_ask(opt->dir, opt->words[1], PROMPTLY,
			  json_pack("{s:s, s:o}", "cmd", "limit", "set", set), &answer);
	if (code == EXIT_OK && opt->json)
		print_json(answer);
	else if (code == EXIT_OK)
		print_limits(answer);
	json_decref(answer);
	return code;
}

/* @ask: taken over; @done: what has become of the device then, in a word */
static enum exit_code plug(const struct options *opt, json_t *ask, const char *done)
{
	json_t *answer;
	enum exit_code code = client_ask(opt->dir, opt->words[1], PATIENTLY, ask, &answer);

	if (code == EXIT_OK && opt->json)
		print_json(answer);
	else if (code == EXIT_OK)
		printf("%s: %s %s\n", opt->words[1], opt->words[2], done);
	json_decref(answer);
	return code;
}

static enum exit_code attach(const struct options *opt)
{
	return plug(opt,
		    json_pack("{s:s, s:s, s:O}", "cmd", "attach", "device", opt->words[2],
			      "addresses", opt->addresses),
		    "attached");
}

static enum exit_code detach(const struct options *opt)
{
	return plug(opt,
		    json_pack("{s:s, s:s, s:b}", "cmd", "detach", "device", opt->words[2], "force",
			      opt->force),
		    "detached");
}

/* show the GIDs, or have an address added or removed */
static enum exit_code gid(const struct options *opt)
{
	const char *change = opt->num_words == 5 ? opt->words[2] : NULL;
	bool is_added = change && !strcmp(change, "add");
	json_t *ask, *answer;
	enum exit_code code;

	if (opt->num_words != 2 && (!change || (!is_added && strcmp(change, "del")))) {
		fputs("hyvctl: what to do with a GID is 'add DEVICE GID' or 'del DEVICE GID'\n",
		      stderr);
		return (enum exit_code)argp_err_exit_status;
	}
	ask = request("gid");
	if (change) {
		json_object_set_new(ask, "device", json_string(opt->words[3]));
		json_object_set_new(ask, change, json_string(opt->words[4]));
	}
	code = client_ask(opt->dir, opt->words[1], PATIENTLY, ask, &answer);
	if (code == EXIT_OK && opt->json)
		print_json(answer);
	else if (code == EXIT_OK && change)
		printf("%s: %s %s %s\n", opt->words[1], opt->words[4],
		       is_added ? "added to" : "removed from", opt->words[3]);
	else if (code == EXIT_OK)
		print_gids(answer);
	json_decref(answer);
	return code;
}

static enum exit_code watch(const struct options *opt)
{
	struct timespec pause = { (time_t)opt->interval,
				  (long)((opt->interval - (double)(time_t)opt->interval) * 1e9) };
	const char *vm = opt->words[1];
	json_t *show, *now = NULL, *before = NULL;
	enum exit_code code = EXIT_OK;
	long i;

	for (i = 0; !code && !ferror(stdout) && (!opt->count || i < opt->count); i++) {
		if (i)
			nanosleep(&pause, NULL);
		code = client_ask(opt->dir, vm, PROMPTLY, request("show"), &show);
		if (!code)
			code = client_ask(opt->dir, vm, PROMPTLY, request("stats"), &now);
		if (!code && opt->json) {
			json_object_set(show, "ops", json_object_get(now, "ops"));
			json_dumpf(show, stdout, PRINTABLE_JSON | JSON_COMPACT);
			putchar('\n');
		} else if (!code) {
			if (isatty(STDOUT_FILENO))
				fputs("\033[H\033[2J", stdout);
			printf("%s\n\n", vm);
			print_limits(show);
			putchar('\n');
			print_stats(now, before ? before : now, opt->interval);
		}
		fflush(stdout);
		json_decref(show);
		json_decref(before);
		before = now;
		now = NULL;
	}
	json_decref(before);
	return code;
}

/* all that is written, or nothing: readers never see half a file */
static enum exit_code write_file(const char *path, const json_t *shows, const json_t *stats)
{
	char *temporary = NULL;
	FILE *f = NULL;
	int fd = -1;

	if (asprintf(&temporary, "%s.XXXXXX", path) >= 0)
		fd = mkstemp(temporary);
	if (fd >= 0)
		f = fdopen(fd, "w");
	if (f) {
		metrics_write(f, shows, stats);
		if (!ferror(f) && !fchmod(fd, 0644) && !fclose(f) && !rename(temporary, path)) {
			free(temporary);
			return EXIT_OK;
		}
	}
	fprintf(stderr, "hyvctl: cannot write '%s': %s\n", path, strerror(errno));
	if (fd >= 0)
		unlink(temporary);
	free(temporary);
	return EXIT_OUTPUT;
}

static enum exit_code metrics(const struct options *opt)
{
	json_t *shows = json_array(), *all = json_array();
	enum exit_code code = client_ask_all(opt->dir, request("show"), shows), written = EXIT_OK;

	/* all the same: the other VMs can do nothing for one that did not answer */
	if (client_ask_all(opt->dir, request("stats"), all))
		code = EXIT_NO_VM;
	if (opt->output)
		written = write_file(opt->output, shows, all);
	else
		metrics_write(stdout, shows, all);
	json_decref(shows);
	json_decref(all);
	return written ? written : code;
}

static enum exit_code recover_vm(const struct options *opt)
{
	struct recover_options recovery = opt->recover;
	enum exit_code code;

	if (!recovery.qmp && !recovery.dry_run) {
		fputs("hyvctl: recover needs --qmp=SOCKET of QEMU, or --dry-run\n", stderr);
		return (enum exit_code)argp_err_exit_status;
	}
	recovery.dir = opt->dir;
	recovery.vm = opt->words[1];
	recovery.json = opt->json;
	code = recover(&recovery);
	json_decref(recovery.properties);
	return code;
}

/** struct command - @min_words, @max_words: with the command itself; 0 for no end */
struct command {
	const char *name;
	int min_words;
	int max_words;
	enum exit_code (*run)(const struct options *opt);
};

static const struct command commands[] = {
	{ "list", 1, 1, list },	      { "show", 2, 2, show },
	{ "stats", 2, 2, stats },     { "limit", 2, 0, limit },
	{ "attach", 3, 3, attach },   { "detach", 3, 3, detach },
	{ "gid", 2, 5, gid },	      { "watch", 2, 2, watch },
	{ "metrics", 1, 1, metrics }, { "recover", 2, 2, recover_vm },
};

enum { OPT_DIR = 256, OPT_OUTPUT, OPT_OBJECTS, OPT_FORCE };
enum { OPT_QMP = 300, OPT_DEVICE, OPT_CHARDEV, OPT_PROPERTY, OPT_TIMEOUT, OPT_DRY_RUN };

static const struct argp_option option_table[] = {
	{ "json", 'j', NULL, 0, "print JSON instead of tables; watch: a line for each look", 0 },
	{ "dir", OPT_DIR, "DIR", 0, "where the control sockets are (default /run/hyv)", 0 },
	{ "objects", OPT_OBJECTS, NULL, 0, "show: each object too", 0 },
	{ "output", OPT_OUTPUT, "FILE", 0,
	  "metrics: write FILE, all at once, instead of standard output", 0 },
	{ "address", 'a', "IP", 0,
	  "attach: address on the device's netdev that the VM may use, as with hyvd; may be given several times",
	  0 },
	{ "force", OPT_FORCE, NULL, 0, "detach: even if the VM uses the device", 0 },
	{ "interval", 'i', "SECONDS", 0, "watch: time between two looks (default 2)", 0 },
	{ "count", 'n', "N", 0, "watch: how many looks (default: without end)", 0 },
	{ "qmp", OPT_QMP, "SOCKET", 0, "recover: QEMU's QMP socket", 0 },
	{ "device", OPT_DEVICE, "ID", 0, "recover: of the device in QEMU (default: the only one)",
	  0 },
	{ "chardev", OPT_CHARDEV, "ID", 0, "recover: of its chardev (default: the device's)", 0 },
	{ "property", OPT_PROPERTY, "NAME=VALUE", 0,
	  "recover: of the new device, instead of the old one's", 0 },
	{ "timeout", OPT_TIMEOUT, "SECONDS", 0,
	  "recover: what the guest may take for each step (default 60)", 0 },
	{ "dry-run", OPT_DRY_RUN, NULL, 0, "recover: print the QMP commands, change nothing", 0 },
	{ 0 }
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *opt = state->input;
	char *end;

	switch (key) {
	case 'j':
		opt->json = true;
		break;
	case OPT_DIR:
		opt->dir = arg;
		break;
	case OPT_OBJECTS:
		opt->objects = true;
		break;
	case OPT_OUTPUT:
		opt->output = arg;
		break;
	case 'a':
		json_array_append_new(opt->addresses, json_string(arg));
		break;
	case OPT_FORCE:
		opt->force = true;
		break;
	case 'i':
		opt->interval = strtod(arg, &end);
		if (*end || end == arg || !(opt->interval > 0 && opt->interval < 1e6))
			argp_error(state, "--interval '%s' is not a number of seconds", arg);
		break;
	case 'n':
		opt->count = strtol(arg, &end, 10);
		if (*end || end == arg || opt->count < 1)
			argp_error(state, "--count '%s' is not a number", arg);
		break;
	case OPT_QMP:
		opt->recover.qmp = arg;
		break;
	case OPT_DEVICE:
		opt->recover.device = arg;
		break;
	case OPT_CHARDEV:
		opt->recover.chardev = arg;
		break;
	case OPT_PROPERTY:
		if (!opt->recover.properties)
			opt->recover.properties = json_object();
		if (!recover_property(opt->recover.properties, arg))
			argp_error(state, "--property '%s' is not of the form NAME=VALUE", arg);
		break;
	case OPT_TIMEOUT:
		opt->recover.timeout = strtod(arg, &end);
		if (*end || end == arg || !(opt->recover.timeout > 0 && opt->recover.timeout < 1e6))
			argp_error(state, "--timeout '%s' is not a number of seconds", arg);
		break;
	case OPT_DRY_RUN:
		opt->recover.dry_run = true;
		break;
	case ARGP_KEY_ARGS:
		opt->words = state->argv + state->next;
		opt->num_words = state->argc - state->next;
		break;
	case ARGP_KEY_NO_ARGS:
		argp_error(
			state,
			"a command is missing: list, show, stats, limit, attach, detach, gid, watch, metrics or recover");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp parser = {
	.options = option_table,
	.parser = parse_option,
	.args_doc =
		"list\nshow VM\nstats VM\nlimit VM [NAME=VALUE...]\nattach VM DEVICE\n"
		"detach VM DEVICE\ngid VM [add|del DEVICE GID]\nwatch VM\nmetrics\nrecover VM --qmp=SOCKET",
	.doc = "See and limit what virtual machines have on this host's RDMA devices, give them\n"
	       "devices and take them away.\v"
	       "VM is the name of one, or its control socket's path. Commands:\n"
	       "  list     the VMs\n"
	       "  show     a VM's devices, contexts, limits and what it has of them\n"
	       "  stats    what it asked for, and how long that took\n"
	       "  limit    show its limits, or change them: a number with suffix K, M or G, or none\n"
	       "  attach   give it one more of this host's RDMA devices while it runs\n"
	       "  detach   take one away; it is told, as if one were unplugged\n"
	       "  gid      show the devices' GIDs and which it may use, or give or take one: an IP\n"
	       "           address on the device's netdev, or its GID\n"
	       "  watch    limits and operations per second, again and again\n"
	       "  metrics  all VMs' numbers for Prometheus\n"
	       "  recover  after a hyvd's death: plug QEMU's device again for the new one\n"
	       "Exit status: 0; 1 hyvd or QEMU refused; 2 no such VM, or no answer; 3 the\n"
	       "output cannot be written; 4 the guest did not do its part; 64 wrong usage.",
};

/* Return: @code, or EXIT_OUTPUT if that is no error, but standard output has not taken all */
static enum exit_code end_output(enum exit_code code)
{
	if (!fflush(stdout) && !ferror(stdout))
		return code;
	fprintf(stderr, "hyvctl: cannot write: %s\n", strerror(errno));
	return code ? code : EXIT_OUTPUT;
}

int main(int argc, char **argv)
{
	struct options opt = {
		.dir = "/run/hyv",
		.interval = 2,
		.addresses = json_array(),
		.recover.timeout = 60,
	};
	const struct command *cmd = commands;
	enum exit_code code;
	size_t i;

	argp_parse(&parser, argc, argv, 0, NULL, &opt);
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++, cmd++) {
		if (strcmp(opt.words[0], cmd->name))
			continue;
		if (opt.num_words < cmd->min_words ||
		    (cmd->max_words && opt.num_words > cmd->max_words))
			break;
		code = end_output(cmd->run(&opt));
		json_decref(opt.addresses);
		return code;
	}
	json_decref(opt.addresses);
	fprintf(stderr, "hyvctl: wrong usage of '%s'; see 'hyvctl --help'\n", opt.words[0]);
	return argp_err_exit_status;
}
