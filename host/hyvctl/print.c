// SPDX-License-Identifier: GPL-2.0-or-later
/* hyvd's answers for people: tables, each column as wide as its widest cell. */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include "hyvctl.h"

#define MAX_COLUMNS 16
#define BOUND_LEN   32

char *printable(char *text)
{
	char *c;

	for (c = text; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
	return text;
}

static json_int_t integer(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *string(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "?";
}

static void add_cell(json_t *row, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* hyvd's words may be in it, and more of them than there are columns */
static void add_cell(json_t *row, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (json_array_size(row) == MAX_COLUMNS)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(row, json_string(printable(text)));
}

static json_t *add_row(json_t *table)
{
	json_t *row = json_array();

	json_array_append_new(table, row);
	return row;
}

/* one space-separated heading per column; those that start with '<' are of text, to the left */
static json_t *new_table(const char *headings)
{
	json_t *table = json_array(), *row = add_row(table);
	char copy[256], *word, *rest = NULL;

	snprintf(copy, sizeof(copy), "%s", headings);
	for (word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		add_cell(row, "%s", word);
	return table;
}

static void print_table(json_t *table)
{
	json_t *row, *cell;
	size_t r, c;
	int widths[MAX_COLUMNS] = { 0 };
	bool left[MAX_COLUMNS] = { false };

	json_array_foreach(table, r, row)
	{
		json_array_foreach(row, c, cell)
		{
			const char *text = json_string_value(cell);

			left[c] = r ? left[c] : *text == '<';
			if ((int)strlen(text) - (!r && left[c]) > widths[c])
				widths[c] = (int)strlen(text) - (!r && left[c]);
		}
	}
	json_array_foreach(table, r, row)
	{
		json_array_foreach(row, c, cell)
		{
			const char *text = json_string_value(cell) + (!r && left[c]);
			bool last = c + 1 == json_array_size(row);

			printf("%s%*s", c ? "  " : "",
			       left[c] ? (last ? 0 : -widths[c]) : widths[c], text);
		}
		putchar('\n');
	}
	json_decref(table);
}

static void add_amount(json_t *row, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_integer(value))
		add_cell(row, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else
		add_cell(row, "none");
}

static json_int_t used(const json_t *vm, const char *name)
{
	return integer(json_object_get(json_object_get(vm, "limits"), name), "used");
}

void print_list(const json_t *vms)
{
	json_t *table = new_table("<VM PID <GUEST CONTEXTS QPS MRS PAGES <DEVICES"), *row;
	const json_t *vm, *dev;
	char devices[512];
	size_t i, j;

	json_array_foreach(vms, i, vm)
	{
		devices[0] = '\0';
		json_array_foreach(json_object_get(vm, "devices"), j, dev)
		{
			size_t at = strlen(devices);

			snprintf(devices + at, sizeof(devices) - at, "%s%s", j ? "," : "",
				 string(dev, "name"));
		}
		row = add_row(table);
		add_cell(row, "%s", string(vm, "name"));
		add_amount(row, vm, "pid");
		add_cell(row, "%s",
			 json_is_true(json_object_get(vm, "connected")) ? "connected" : "-");
		add_cell(row, "%" JSON_INTEGER_FORMAT, used(vm, "contexts"));
		add_cell(row, "%" JSON_INTEGER_FORMAT, used(vm, "qps"));
		add_cell(row, "%" JSON_INTEGER_FORMAT, used(vm, "mrs"));
		add_cell(row, "%" JSON_INTEGER_FORMAT, used(vm, "pages"));
		add_cell(row, "%s", devices);
	}
	print_table(table);
}

void print_limits(const json_t *vm)
{
	json_t *table = new_table("<LIMIT USED MAX REFUSED <OF"), *row, *limits, *limit;
	const char *name;

	limits = json_object_get(vm, "limits");
	json_object_foreach(limits, name, limit)
	{
		row = add_row(table);
		add_cell(row, "%s", name);
		add_amount(row, limit, "used");
		add_amount(row, limit, "max");
		add_amount(row, limit, "refused");
		add_cell(row, "%s", string(limit, "what"));
	}
	print_table(table);
}

/* a table of the members of the objects in an array, under the members' names */
static void print_array(const json_t *array, const char *headings)
{
	json_t *table = new_table(headings), *row;
	const json_t *object, *value;
	const char *name;
	size_t i;

	json_array_foreach(array, i, object)
	{
		row = add_row(table);
		json_object_foreach((json_t *)object, name, value)
		{
			if (json_is_string(value))
				add_cell(row, "%s", json_string_value(value));
			else if (json_is_null(value))
				add_cell(row, "-");
			else if (json_is_boolean(value))
				add_cell(row, json_is_true(value) ? "yes" : "no");
			else
				add_cell(row, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		}
	}
	print_table(table);
}

void print_show(const json_t *vm)
{
	const json_t *objects = json_object_get(vm, "objects");
	json_int_t up = integer(vm, "uptime_ns") / 1000000000;
	const json_t *item;
	char name[256];
	size_t i;

	(void)snprintf(name, sizeof(name), "%s", string(vm, "name"));
	printf("%s: pid %" JSON_INTEGER_FORMAT ", up %" JSON_INTEGER_FORMAT
	       ":%02d:%02d, guest %sconnected\n\n",
	       printable(name), integer(vm, "pid"), up / 3600, (int)(up / 60 % 60), (int)(up % 60),
	       json_is_true(json_object_get(vm, "connected")) ? "" : "not ");
	print_array(json_object_get(vm, "devices"), "DEVICE <NAME <GUID <PROVIDER <FILE <UD");
	json_array_foreach(json_object_get(vm, "going"), i, item)
	{
		(void)snprintf(name, sizeof(name), "%s", json_string_value(item) ?: "?");
		printf("being detached: %s\n", printable(name));
	}
	putchar('\n');
	print_limits(vm);
	if (json_array_size(json_object_get(vm, "contexts"))) {
		putchar('\n');
		print_array(json_object_get(vm, "contexts"),
			    "CONTEXT <DEVICE PDS MRS CQS QPS SRQS AHS MWS PAGES");
	}
	if (json_array_size(objects)) {
		putchar('\n');
		print_array(objects, "OBJECT <TYPE CONTEXT HANDLE");
	}
}

void print_gids(const json_t *vm)
{
	print_array(json_object_get(vm, "gids"),
		    "<DEVICE PORT INDEX <GID <TYPE <ALLOWED <PRESENT <ADDRESS");
}

/* bound, in microseconds, that @part of all operations took less than; 0 when they took longer than any */
static uint64_t quantile(const json_t *op, double part)
{
	const json_t *buckets = json_object_get(op, "buckets");
	double wanted = part * (double)integer(op, "count"), sum = 0;
	size_t i;

	for (i = 0; i < MAX_BUCKETS && i + 1 < json_array_size(buckets); i++) {
		sum += (double)json_integer_value(json_array_get(buckets, i));
		if (sum >= wanted)
			return 1ull << i;
	}
	return 0;
}

/* @text: out: of @us, as quantile() has it */
static const char *bound(char text[BOUND_LEN], uint64_t us)
{
	if (!us)
		snprintf(text, BOUND_LEN, "more");
	else if (us < 10000)
		snprintf(text, BOUND_LEN, "<%" PRIu64 "us", us);
	else
		snprintf(text, BOUND_LEN, "<%" PRIu64 "ms", us / 1000 + 1);
	return text;
}

/* how many took less than a bound, and not less than the one before, for all bounds where there are any */
static void add_histogram(json_t *row, const json_t *buckets)
{
	char text[512] = "", name[BOUND_LEN];
	const json_t *count;
	size_t i;

	json_array_foreach(buckets, i, count)
	{
		bool is_last = i >= MAX_BUCKETS || i + 1 == json_array_size(buckets);
		size_t at = strlen(text);

		if (json_integer_value(count))
			snprintf(text + at, sizeof(text) - at, "%s%s:%" JSON_INTEGER_FORMAT,
				 at ? " " : "", bound(name, is_last ? 0 : 1ull << i),
				 json_integer_value(count));
	}
	add_cell(row, "%s", text);
}

void print_stats(const json_t *stats, const json_t *before, double seconds)
{
	json_t *table = new_table(before ? "<OPERATION COUNT ERRORS MEAN HALF 99% PER-SECOND" :
					   "<OPERATION COUNT ERRORS MEAN HALF 99% <HISTOGRAM");
	char text[BOUND_LEN];
	json_t *ops = json_object_get(stats, "ops"), *op, *row;
	const char *name;

	json_object_foreach(ops, name, op)
	{
		json_int_t count = integer(op, "count");

		row = add_row(table);
		add_cell(row, "%s", name);
		add_amount(row, op, "count");
		add_amount(row, op, "errors");
		add_cell(row, "%.1fus", (double)integer(op, "total_ns") / 1000 / (double)count);
		add_cell(row, "%s", bound(text, quantile(op, 0.5)));
		add_cell(row, "%s", bound(text, quantile(op, 0.99)));
		if (!before)
			add_histogram(row, json_object_get(op, "buckets"));
		else
			add_cell(row, "%.1f",
				 ((double)count -
				  (double)integer(
					  json_object_get(json_object_get(before, "ops"), name),
					  "count")) /
					 seconds);
	}
	print_table(table);
}
