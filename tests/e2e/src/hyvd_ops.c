// SPDX-License-Identifier: GPL-2.0-or-later
/* hyvd_ops: the operations that a guest can ask hyvd for, by the names that hyvd's statistics have for them, a line each. */
#include <stdio.h>
#include "stats.h"

int main(void)
{
	uint32_t op;

	for (op = 1; op < HYV_OP_COUNT; op++) /* 0 is what is none */
		if (stats_op_name(op))
			puts(stats_op_name(op));
	return 0;
}
