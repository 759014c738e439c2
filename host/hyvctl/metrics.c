// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hyvd's answers in Prometheus' text format, for node_exporter's textfile collector. Metrics of one
 * name stand together, as the format demands.
 */
#include <inttypes.h>
#include <string.h>
#include "hyvctl.h"

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* a label's value, with what the format wants escaped */
static void label(FILE *out, const char *name, const char *value)
{
	char text[256], *c;

	(void)snprintf(text, sizeof(text), "%s", value);
	fprintf(out, "%s=\"", name);
	for (c = printable(text); *c; c++) {
		if (strchr("\\\"", *c))
			fputc('\\', out);
		fputc(*c, out);
	}
	fputc('"', out);
}

static const char *vm_name(const json_t *vm)
{
	return json_string_value(json_object_get(vm, "name")) ?: "?";
}

static void write_up(FILE *out, const json_t *shows)
{
	const json_t *vm;
	size_t i;

	head(out, "hyv_guest_connected", "gauge", "Whether the VM's driver uses its hyvd.");
	json_array_foreach(shows, i, vm)
	{
		fputs("hyv_guest_connected{", out);
		label(out, "vm", vm_name(vm));
		fprintf(out, "} %d\n", json_is_true(json_object_get(vm, "connected")));
	}
}

static void write_limit(FILE *out, const json_t *shows, const char *metric, const char *type,
			const char *member, const char *help)
{
	json_t *vm, *limit;
	const char *name;
	size_t i;

	head(out, metric, type, help);
	json_array_foreach(shows, i, vm)
	{
		json_object_foreach(json_object_get(vm, "limits"), name, limit)
		{
			const json_t *value = json_object_get(limit, member);

			/* no amount: hyv_operation_seconds_count counts operations */
			if (!strcmp(name, "ops") && !strcmp(member, "used"))
				continue;
			fprintf(out, "%s{", metric);
			label(out, "vm", vm_name(vm));
			fputc(',', out);
			label(out, "resource", name);
			if (json_is_integer(value))
				fprintf(out, "} %" JSON_INTEGER_FORMAT "\n",
					json_integer_value(value));
			else
				fputs("} +Inf\n", out);
		}
	}
}

static void op_labels(FILE *out, const char *metric, const json_t *vm, const char *op)
{
	fprintf(out, "%s{", metric);
	label(out, "vm", vm_name(vm));
	fputc(',', out);
	label(out, "operation", op);
}

static void write_histogram(FILE *out, const json_t *vm, const char *name, const json_t *op)
{
	const json_t *buckets = json_object_get(op, "buckets");
	uint64_t sum = 0;
	size_t i, num = json_array_size(buckets);

	num = num < MAX_BUCKETS ? num : MAX_BUCKETS;
	for (i = 0; i < num; i++) {
		sum += (uint64_t)json_integer_value(json_array_get(buckets, i));
		op_labels(out, "hyv_operation_seconds_bucket", vm, name);
		if (i + 1 < num)
			fprintf(out, ",le=\"%.6f\"} %" PRIu64 "\n", (double)(1ull << i) / 1e6, sum);
		else
			fprintf(out, ",le=\"+Inf\"} %" PRIu64 "\n", sum);
	}
	op_labels(out, "hyv_operation_seconds_sum", vm, name);
	fprintf(out, "} %.9f\n", (double)json_integer_value(json_object_get(op, "total_ns")) / 1e9);
	op_labels(out, "hyv_operation_seconds_count", vm, name);
	fprintf(out, "} %" PRIu64 "\n", sum);
}

static void write_ops(FILE *out, const json_t *stats)
{
	json_t *vm, *op;
	const char *name;
	size_t i;

	head(out, "hyv_operation_errors_total", "counter", "Operations answered with an error.");
	json_array_foreach(stats, i, vm)
	{
		json_object_foreach(json_object_get(vm, "ops"), name, op)
		{
			op_labels(out, "hyv_operation_errors_total", vm, name);
			fprintf(out, "} %" JSON_INTEGER_FORMAT "\n",
				json_integer_value(json_object_get(op, "errors")));
		}
	}
	head(out, "hyv_operation_seconds", "histogram",
	     "Time from the VM's ring to the answer, by operation.");
	json_array_foreach(stats, i, vm) json_object_foreach(json_object_get(vm, "ops"), name, op)
		write_histogram(out, vm, name, op);
}

void metrics_write(FILE *out, const json_t *shows, const json_t *stats)
{
	write_up(out, shows);
	write_limit(out, shows, "hyv_used", "gauge", "used", "What the VM has.");
	write_limit(out, shows, "hyv_limit", "gauge", "max", "What the VM may have.");
	write_limit(out, shows, "hyv_refused_total", "counter", "refused",
		    "How often the VM was refused more than its limit, or for ops had to wait.");
	write_ops(out, stats);
}
