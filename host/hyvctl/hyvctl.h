/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of hyvctl share: main.c calls client.c, and print.c or metrics.c with the answers;
 * recover.c asks QEMU, too, by recover_qemu.c and qmp.c
 */
#ifndef HYVCTL_H
#define HYVCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/** enum exit_code - what hyvctl ends with; 64 (EX_USAGE) comes from argp */
enum exit_code {
	EXIT_OK = 0,
	EXIT_REFUSED = 1, /* hyvd or QEMU answered with an error */
	EXIT_NO_VM = 2, /* there is no such VM, or its hyvd or QEMU does not answer */
	EXIT_OUTPUT = 3, /* the output could not be written */
	EXIT_GUEST = 4, /* the guest did not do its part */
};

/* seconds, for client_ask() */
#define PROMPTLY  10 /* hyvd answers at once */
#define PATIENTLY 60 /* it answers when it is done: a guest has a while to let go of a device */

/**
 * client_ask() - one request to a VM's hyvd
 * @dir: where the control sockets are
 * @vm: the VM's name, or with a '/' its control socket
 * @seconds: how long to wait for the answer
 * @request: taken over
 * @answer: out: for the caller to decref: hyvd's, and "pid", which is no word of hyvd's but what the
 * kernel says of the socket
 *
 * Return: EXIT_OK, or another code after a message.
 */
enum exit_code client_ask(const char *dir, const char *vm, unsigned int seconds, json_t *request,
			  json_t **answer);

/**
 * client_ask_all() - the same request to each VM, by name
 * @dir: where the control sockets are; one on which nobody listens is of no VM
 * @request: taken over
 * @answers: an array, to which each VM that answers adds as with client_ask(), with the "name" that
 * commands know it by
 *
 * Return: EXIT_OK, or EXIT_NO_VM, after a message, when one did not answer.
 */
enum exit_code client_ask_all(const char *dir, json_t *request, json_t *answers);

/**
 * printable() - let no text of others command a terminal: '?' for all that is not printable ASCII
 *
 * Return: @text
 */
char *printable(char *text);

/* of JSON for standard output, in which hyvd's words may be, too */
#define PRINTABLE_JSON JSON_ENSURE_ASCII

/* more than hyvd has; their bounds are powers of two, of 64 bits */
#define MAX_BUCKETS 64

/** print_list() - a table of the answers to "show" in an array */
void print_list(const json_t *vms);

/** print_show() - the answer to "show" */
void print_show(const json_t *vm);

/** print_limits() - the limits in the answer to "show" or "limit" */
void print_limits(const json_t *vm);

/** print_gids() - the answer to "gid" */
void print_gids(const json_t *vm);

/** print_stats() - the answer to "stats"; @before: an earlier one, for rates over @seconds, or NULL: for histograms */
void print_stats(const json_t *stats, const json_t *before, double seconds);

/** metrics_write() - the answers to "show" and "stats" for Prometheus; a VM that gave only one of them has only that one's metrics */
void metrics_write(FILE *out, const json_t *shows, const json_t *stats);

/**
 * struct recover_options - how to give a VM its device again after a hyvd's death
 * @dir, @vm: as for client_ask()
 * @qmp: QEMU's QMP socket; may be NULL for a dry run, which then supposes the defaults
 * @device: its ID or path in QEMU, or NULL: the only one there is
 * @chardev: its ID, or NULL: the device's
 * @properties: an object: what the new device gets, in addition or instead of what the old one had; or NULL
 * @timeout: seconds the guest may take to let go of the device, and to take the new one
 * @dry_run: print the commands for QEMU, and change nothing
 */
struct recover_options {
	const char *dir;
	const char *vm;
	const char *qmp;
	const char *device;
	const char *chardev;
	json_t *properties;
	double timeout;
	bool dry_run;
	bool json;
};

/** recover() - Return: EXIT_OK, or another code after a message */
enum exit_code recover(const struct recover_options *opt);

/** recover_property() - add "NAME=VALUE" to @properties. Return: whether it is of that form */
bool recover_property(json_t *properties, const char *text);

#endif
