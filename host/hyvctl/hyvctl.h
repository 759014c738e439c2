/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of hyvctl share: main.c calls client.c, and print.c or metrics.c with the answers */
#ifndef HYVCTL_H
#define HYVCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/** enum exit_code - what hyvctl ends with; 64 (EX_USAGE) comes from argp */
enum exit_code {
	EXIT_OK = 0,
	EXIT_REFUSED = 1, /* hyvd answered with an error */
	EXIT_NO_VM = 2, /* there is no such VM, or its hyvd does not answer */
	EXIT_OUTPUT = 3, /* the output could not be written */
};

/**
 * client_ask() - one request to a VM's hyvd
 * @dir: where the control sockets are
 * @vm: the VM's name, or with a '/' its control socket
 * @request: taken over
 * @answer: out: for the caller to decref
 *
 * Return: EXIT_OK, or another code after a message.
 */
enum exit_code client_ask(const char *dir, const char *vm, json_t *request, json_t **answer);

/**
 * client_list() - the VMs whose control sockets are in a directory, sorted
 *
 * Return: how many; @names is for the caller to free, with each of its members.
 */
size_t client_list(const char *dir, char ***names);

/** print_list() - a table of the answers to "show" in an array */
void print_list(const json_t *vms);

/** print_show() - the answer to "show" */
void print_show(const json_t *vm);

/** print_limits() - the limits in the answer to "show" or "limit" */
void print_limits(const json_t *vm);

/** print_stats() - the answer to "stats"; @before: an earlier one, for rates over @seconds, or NULL */
void print_stats(const json_t *stats, const json_t *before, double seconds);

/** metrics_write() - the answers to "show" and "stats", arrays of the same order, for Prometheus */
void metrics_write(FILE *out, const json_t *shows, const json_t *stats);

#endif
