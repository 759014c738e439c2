// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The configuration file of a VM, in one of two forms: YAML (hyvd(8) lists the keys), or the one
 * that the original HyV had, a node GUID per line. The whole file is read and every error in it told,
 * with its line and what to write instead, before anything is started.
 *
 * libyaml tells the line of each value and leaves all values text, so that it is here alone that is
 * decided what a number or a GUID is.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>
#include "config.h"
#include "log.h"

#define DEVICE_FORM "'name: NAME' or 'guid: XXXX:XXXX:XXXX:XXXX'" /* within a mapping */

/** struct reader - a file on its way into options; @errors: told so far, @any_device: it names one */
struct reader {
	const char *path;
	config_find_t *find;
	struct options *opt;
	yaml_document_t doc;
	unsigned int errors;
	bool any_device;
};

__attribute__((format(printf, 3, 4))) static void complain(struct reader *r, size_t line,
							   const char *fmt, ...)
{
	char text[900];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (line)
		log_err("%s:%zu: %s", r->path, line, text);
	else
		log_err("%s: %s", r->path, text);
	r->errors++;
}

/* XXXX:XXXX:XXXX:XXXX. Return: whether @text is one */
static bool parse_guid(const char *text, uint64_t *guid)
{
	size_t i;

	*guid = 0;
	for (i = 0; i < 19; i++) {
		if (i % 5 == 4 ? text[i] != ':' : !isxdigit((unsigned char)text[i]))
			return false;
		if (i % 5 != 4)
			*guid = *guid << 4 | (uint64_t)(text[i] <= '9' ? text[i] - '0' :
									 (text[i] | 32) - 'a' + 10);
	}
	return !text[i];
}

/* Return: the device's name, or NULL after a message */
static const char *add_device(struct reader *r, size_t line, const char *text)
{
	char found[NAME_MAX + 1], known[1024];
	struct options *opt = r->opt;
	uint64_t guid;
	bool is_guid = parse_guid(text, &guid);
	unsigned int i;
	int ret;

	r->any_device = true;
	if (!is_guid && strchr(text, ':')) {
		complain(
			r, line,
			"'%s' is neither a GUID, XXXX:XXXX:XXXX:XXXX in hexadecimal digits as ibv_devinfo prints it, nor a name",
			text);
		return NULL;
	}
	ret = r->find(is_guid ? NULL : text, guid, found, known, sizeof(known));
	if (ret == -ENOTUNIQ)
		complain(
			r, line,
			"'%s' is the GUID of more than one device: write the name of the one you mean; there are: %s",
			text, known);
	else if (ret == -ENODEV && known[0])
		complain(r, line, "no RDMA device '%s' on this host; there are: %s", text, known);
	else if (ret)
		complain(r, line, "no RDMA device '%s': the host has none (%s); load its driver",
			 text, strerror(-ret));
	if (ret)
		return NULL;
	for (i = 0; i < opt->num_devices; i++)
		if (!strcmp(opt->devices[i].name, found))
			break;
	if (i < opt->num_devices) {
		complain(r, line,
			 "'%s' is device %s, which is in the file already: remove this line", text,
			 found);
		return NULL;
	}
	if (i == HYV_MAX_DEVICES) {
		complain(r, line, "'%s' is one device too many: a VM can have %u", text,
			 HYV_MAX_DEVICES);
		return NULL;
	}
	opt->devices[i].line = line;
	snprintf(opt->devices[i].name, sizeof(opt->devices[i].name), "%s", found);
	opt->num_devices++;
	return opt->devices[i].name;
}

static size_t line_of(const yaml_node_t *node)
{
	return node->start_mark.line + 1;
}

/* the text of a value, or NULL after a message */
static const char *text_of(struct reader *r, const char *what, yaml_node_t *node)
{
	if (node->type == YAML_SCALAR_NODE && node->data.scalar.length &&
	    strlen((char *)node->data.scalar.value) == node->data.scalar.length)
		return (char *)node->data.scalar.value;
	complain(r, line_of(node), "'%s' needs one value, as in '%s: VALUE'", what, what);
	return NULL;
}

/** struct key - something the file may say: @read takes its value */
struct key {
	const char *name;
	void (*read)(struct reader *r, const struct key *key, yaml_node_t *value);
};

static void read_path(struct reader *r, const struct key *key, yaml_node_t *value)
{
	char *out = !strcmp(key->name, "socket") ? r->opt->socket : r->opt->control;
	const char *text = text_of(r, key->name, value);

	if (!text)
		return;
	if (text[0] != '/' || strlen(text) >= PATH_MAX)
		complain(r, line_of(value),
			 "'%s: %s' is no absolute path: write one, as in '%s: /run/hyv/vm1.%s'",
			 key->name, text, key->name, out == r->opt->socket ? "sock" : "ctl");
	else
		snprintf(out, PATH_MAX, "%s", text);
}

static void read_name(struct reader *r, const struct key *key, yaml_node_t *value)
{
	const char *text = text_of(r, key->name, value);

	if (!text)
		return;
	if (text[0] == '.' || strlen(text) >= sizeof(r->opt->name) ||
	    text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")])
		complain(r, line_of(value),
			 "'%s' is no name: use up to %zu letters, digits, '-', '_' and '.'", text,
			 sizeof(r->opt->name) - 1);
	else
		snprintf(r->opt->name, sizeof(r->opt->name), "%s", text);
}

static void read_window_size(struct reader *r, const struct key *key, yaml_node_t *value)
{
	const char *text = text_of(r, key->name, value);

	if (text && !parse_window_size(text, &r->opt->window_size))
		complain(
			r, line_of(value),
			"window-size '%s' is not a power of two from 1M to 1024G, as in 'window-size: 1G'",
			text);
}

static void read_poll_us(struct reader *r, const struct key *key, yaml_node_t *value)
{
	const char *text = text_of(r, key->name, value);

	if (text && !parse_poll_us(text, &r->opt->poll_us))
		complain(r, line_of(value),
			 "poll-us '%s' is not a number from 0 to 1000000, as in 'poll-us: 50'",
			 text);
}

static void read_switch(struct reader *r, const struct key *key, yaml_node_t *value)
{
	const char *text = text_of(r, key->name, value);
	bool is_on;

	if (!text)
		return;
	if (!parse_switch(text, &is_on))
		complain(r, line_of(value), "'%s: %s' is neither on nor off: write one of them",
			 key->name, text);
	else if (!strcmp(key->name, "ud"))
		r->opt->ud = is_on ? UD_ON : UD_OFF;
	else if (!strcmp(key->name, "sandbox"))
		r->opt->sandbox = is_on;
	else
		r->opt->verbose = is_on;
}

/* @device: that must have it, or "". Whether the host has it is found out later: gid_add_address() */
static void read_address(struct reader *r, yaml_node_t *value, const char *device)
{
	const char *text = text_of(r, "addresses", value);
	struct option_address *out = &r->opt->addresses[r->opt->num_addresses];
	struct address address;

	if (!text)
		return;
	if (strlen(text) >= sizeof(out->text) || !gid_parse_address(text, &address)) {
		complain(
			r, line_of(value),
			"'%s' is not an IP address, with /LEN or without, that is more than link-local",
			text);
	} else if (r->opt->num_addresses == VM_MAX_ADDRESSES) {
		complain(r, line_of(value), "'%s' is one address too many: a VM can have %u", text,
			 VM_MAX_ADDRESSES);
	} else {
		*out = (struct option_address){ .line = line_of(value) };
		snprintf(out->text, sizeof(out->text), "%s", text);
		snprintf(out->device, sizeof(out->device), "%s", device);
		r->opt->num_addresses++;
	}
}

static void read_addresses_on(struct reader *r, yaml_node_t *value, const char *device)
{
	yaml_node_item_t *item;

	if (value->type != YAML_SEQUENCE_NODE) {
		complain(r, line_of(value),
			 "'addresses' needs a list: a line '- IP' or '- IP/LEN' for each");
		return;
	}
	for (item = value->data.sequence.items.start; item < value->data.sequence.items.top; item++)
		read_address(r, yaml_document_get_node(&r->doc, *item), device);
}

static void read_addresses(struct reader *r, const struct key *key, yaml_node_t *value)
{
	(void)key;
	read_addresses_on(r, value, "");
}

/* Return: whether a key of the same name came before */
static bool is_double(struct reader *r, yaml_node_t *mapping, const yaml_node_pair_t *pair)
{
	const yaml_node_t *key = yaml_document_get_node(&r->doc, pair->key), *other;
	yaml_node_pair_t *p;

	for (p = mapping->data.mapping.pairs.start; p < pair; p++) {
		other = yaml_document_get_node(&r->doc, p->key);
		if (other->type == YAML_SCALAR_NODE && key->type == YAML_SCALAR_NODE &&
		    !strcmp((char *)other->data.scalar.value, (char *)key->data.scalar.value)) {
			complain(r, line_of(key), "'%s' is in line %zu already: remove one of them",
				 (char *)key->data.scalar.value, line_of(other));
			return true;
		}
	}
	return false;
}

/*
 * what 'name: NAME' or 'guid: GUID', with 'addresses: [IP...]' or not, say. @addresses: out, or NULL. Return:
 * the name's or GUID's node, or NULL after a message
 */
static yaml_node_t *read_device_keys(struct reader *r, yaml_node_t *mapping,
				     yaml_node_t **addresses)
{
	yaml_node_t *device = NULL;
	yaml_node_pair_t *pair;

	for (pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top;
	     pair++) {
		yaml_node_t *key = yaml_document_get_node(&r->doc, pair->key);
		yaml_node_t *value = yaml_document_get_node(&r->doc, pair->value);
		const char *text = text_of(r, "devices", key);

		if (!text || is_double(r, mapping, pair))
			return NULL;
		if (!strcmp(text, "addresses")) {
			*addresses = value;
		} else if (device || (strcmp(text, "name") && strcmp(text, "guid"))) {
			complain(r, line_of(key),
				 "a device has no '%s': it has either " DEVICE_FORM
				 ", and 'addresses: [ IP ]' if there are some on it",
				 text);
			return NULL;
		} else {
			device = value;
		}
	}
	if (!device)
		complain(r, line_of(mapping), "this device has no name: write " DEVICE_FORM);
	return device;
}

static void read_device(struct reader *r, yaml_node_t *value)
{
	yaml_node_t *device = value, *addresses = NULL;
	const char *text, *name = NULL;
	unsigned int before = r->opt->num_addresses;

	r->any_device = true;
	if (value->type == YAML_MAPPING_NODE) {
		device = read_device_keys(r, value, &addresses);
	} else if (value->type != YAML_SCALAR_NODE) {
		complain(
			r, line_of(value),
			"a device is one of '- NAME', '- name: NAME' and '- guid: XXXX:XXXX:XXXX:XXXX'");
		return;
	}
	text = device ? text_of(r, "device", device) : NULL;
	if (text)
		name = add_device(r, line_of(device), text);
	if (addresses)
		read_addresses_on(r, addresses, name ? name : "");
	if (!name)
		r->opt->num_addresses = before; /* they are on none, then */
}

static void read_devices(struct reader *r, const struct key *key, yaml_node_t *value)
{
	yaml_node_item_t *item;

	if (value->type != YAML_SEQUENCE_NODE) {
		complain(
			r, line_of(value),
			"'%s' needs a list: a line '- NAME' or '- guid: XXXX:XXXX:XXXX:XXXX' for each",
			key->name);
		return;
	}
	for (item = value->data.sequence.items.start; item < value->data.sequence.items.top; item++)
		read_device(r, yaml_document_get_node(&r->doc, *item));
}

static void read_limit(struct reader *r, const char *name, yaml_node_t *value)
{
	enum limit which = limit_find(name);
	const char *text = text_of(r, name, value);

	if (text && !limit_parse(text, &r->opt->limits[which]))
		complain(
			r, line_of(value),
			"limit '%s: %s' is no number, with suffix K, M or G if you like, nor 'none'",
			name, text);
}

static void add_word(char *words, size_t len, const char *word)
{
	size_t used = strlen(words);

	snprintf(words + used, len - used, "%s%s", used ? " " : "", word);
}

static void read_limits(struct reader *r, const struct key *key, yaml_node_t *value)
{
	yaml_node_pair_t *pair;
	char known[256] = "";
	unsigned int i;

	if (value->type != YAML_MAPPING_NODE) {
		complain(r, line_of(value), "'%s' needs lines like 'qps: 100' below it", key->name);
		return;
	}
	for (i = 0; i < LIMIT_COUNT; i++)
		add_word(known, sizeof(known), limit_name(i));
	for (pair = value->data.mapping.pairs.start; pair < value->data.mapping.pairs.top; pair++) {
		yaml_node_t *name = yaml_document_get_node(&r->doc, pair->key);
		const char *text = text_of(r, key->name, name);

		if (!text || is_double(r, value, pair))
			continue;
		if (limit_find(text) == LIMIT_COUNT)
			complain(r, line_of(name), "there is no limit '%s'; there are: %s", text,
				 known);
		else
			read_limit(r, text, yaml_document_get_node(&r->doc, pair->value));
	}
}

static const struct key keys[] = {
	{ "name", read_name },		 { "socket", read_path },
	{ "control", read_path },	 { "devices", read_devices },
	{ "addresses", read_addresses }, { "ud", read_switch },
	{ "limits", read_limits },	 { "window-size", read_window_size },
	{ "poll-us", read_poll_us },	 { "sandbox", read_switch },
	{ "verbose", read_switch },
};

static void read_key(struct reader *r, yaml_node_t *name, yaml_node_t *value)
{
	const char *text = text_of(r, "key", name);
	char known[256] = "";
	size_t i;

	for (i = 0; text && i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (!strcmp(text, keys[i].name)) {
			keys[i].read(r, &keys[i], value);
			return;
		}
		add_word(known, sizeof(known), keys[i].name);
	}
	if (text)
		complain(r, line_of(name), "there is no '%s'; there are: %s", text, known);
}

static void read_document(struct reader *r)
{
	yaml_node_t *root = yaml_document_get_root_node(&r->doc);
	yaml_node_pair_t *pair;

	if (!root) {
		complain(
			r, 0,
			"the file is empty: write at least 'devices:' and a line '- NAME' below it");
		return;
	}
	if (root->type != YAML_MAPPING_NODE) {
		complain(
			r, line_of(root),
			"this is neither a list of GUIDs nor a line 'KEY: VALUE': hyvd(8) has an example");
		return;
	}
	for (pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++)
		if (!is_double(r, root, pair))
			read_key(r, yaml_document_get_node(&r->doc, pair->key),
				 yaml_document_get_node(&r->doc, pair->value));
}

static void read_yaml(struct reader *r, FILE *f)
{
	yaml_parser_t parser;

	if (!yaml_parser_initialize(&parser)) {
		complain(r, 0, "%s", strerror(ENOMEM));
		return;
	}
	yaml_parser_set_input_file(&parser, f);
	if (yaml_parser_load(&parser, &r->doc)) {
		read_document(r);
		yaml_document_delete(&r->doc);
	} else {
		complain(r, parser.problem_mark.line + 1,
			 "%s%s%s: mind indentation, colons and quotes; hyvd(8) has an example",
			 parser.context ? parser.context : "", parser.context ? ": " : "",
			 parser.problem ? parser.problem : "not readable");
	}
	yaml_parser_delete(&parser);
}

/* a line without comment and blanks around it */
static char *strip(char *line)
{
	char *end;

	line[strcspn(line, "#\r\n")] = '\0';
	line += strspn(line, " \t");
	for (end = line + strlen(line); end > line && strchr(" \t", end[-1]); end--)
		;
	*end = '\0';
	return line;
}

/*
 * The original's form: a GUID per line. A file is of it when its first line with anything on it has no
 * blank, and is none of 'KEY:', '- ...' and '---', which YAML begins with.
 */
static bool is_original(const char *path)
{
	char line[1024], *text = line;
	FILE *f = fopen(path, "re");

	line[0] = '\0';
	while (f && !*text && fgets(line, sizeof(line), f))
		text = strip(line);
	if (f)
		fclose(f);
	return *text && !strpbrk(text, " \t{[\"'") && *text != '-' && text[strlen(text) - 1] != ':';
}

static void read_original(struct reader *r, FILE *f)
{
	char line[1024], *text;
	uint64_t guid;
	size_t n = 0;

	while (fgets(line, sizeof(line), f)) {
		n++;
		text = strip(line);
		if (*text && !parse_guid(text, &guid))
			complain(
				r, n,
				"'%s' is no GUID, XXXX:XXXX:XXXX:XXXX in hexadecimal digits as ibv_devinfo prints it",
				text);
		else if (*text)
			add_device(r, n, text);
	}
}

int config_read(const char *path, config_find_t *find, struct options *opt)
{
	struct reader r = { .path = path, .find = find, .opt = opt };
	FILE *f = fopen(path, "re");

	opt->num_devices = 0;
	opt->num_addresses = 0;
	if (!f) {
		complain(&r, 0, "cannot be read: %s", strerror(errno));
		return -EINVAL;
	}
	if (is_original(path))
		read_original(&r, f);
	else
		read_yaml(&r, f);
	fclose(f);
	if (!r.any_device)
		complain(
			&r, 0,
			"no device: write 'devices:' and a line '- NAME' below it; 'rdma link' lists the host's");
	return r.errors ? -EINVAL : 0;
}
