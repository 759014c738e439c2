// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Makes one bad call after the other and prints what each returns, as "name: errno". A guest must
 * print what the host prints. Limits are the device's own, so that each call is one beyond them.
 * The calls are in errors_*.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "errors.h"

struct rdma r;
void *memory;

extern const struct bad_call __start_calls[], __stop_calls[];

struct ibv_qp_init_attr good_qp_attr(struct ibv_cq *cq)
{
	return (struct ibv_qp_init_attr){
		.send_cq = cq,
		.recv_cq = cq,
		.cap = { .max_send_wr = 4, .max_recv_wr = 4, .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
	};
}

/* named, or of a group that is ("mr_") */
static bool wanted(const char *name, int argc, char **argv)
{
	size_t len;
	int a;

	for (a = 1; a < argc; a++) {
		len = strlen(argv[a]);
		if (!strcmp(argv[a], name) ||
		    (len && argv[a][len - 1] == '_' && !strncmp(argv[a], name, len)))
			return true;
	}
	return argc == 1;
}

int main(int argc, char **argv)
{
	const struct bad_call *call;
	int error;

	if (argc > 1 && !strcmp(argv[1], "--help")) {
		puts("usage: verbs_errors [CALL or GROUP_...]\n"
		     "Prints what bad calls return. Needs root. HYV_TEST_DEVICE names the device.");
		return 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	rdma_open(&r, device_option());
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(memory != MAP_FAILED, "mmap");
	for (call = __start_calls; call < __stop_calls; call++) {
		if (!wanted(call->name, argc, argv))
			continue;
		error = call->run();
		printf("%s: %s\n", call->name, error ? strerrorname_np(error) : "success");
	}
	rdma_close(&r);
	return 0;
}
