/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration file: see config.c */
#ifndef HYVD_CONFIG_H
#define HYVD_CONFIG_H

#include <stddef.h>
#include <stdint.h>
#include "options.h"

/**
 * config_find_t - look a device of the host up
 * @name: its name, or NULL
 * @guid: its node GUID, if @name is NULL
 * @found: out: its name, NAME_MAX + 1 bytes
 * @known: out: when it is not one, the names and GUIDs there are, or ""
 *
 * Return: 0; -ENODEV when there is none; -ENOTUNIQ when several have the GUID; or another negative
 * errno.
 */
typedef int config_find_t(const char *name, uint64_t guid, char *found, char *known,
			  size_t known_len);

/**
 * config_read() - take options from a file; what it does not say keeps its value
 * @path: the file
 * @find: looks devices up
 *
 * Return: 0, or -EINVAL after a message for each error, with file, line and remedy; then @opt has what is
 * right.
 */
int config_read(const char *path, config_find_t *find, struct options *opt);

#endif
