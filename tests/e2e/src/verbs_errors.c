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

/* says @what on standard error, and waits for a byte or the end of standard input, if @hold */
static void hold_at(const char *what, bool hold)
{
	if (!hold)
		return;
	fprintf(stderr, "%s\n", what);
	getchar();
}

int main(int argc, char **argv)
{
	const struct bad_call *call;
	bool hold = argc > 1 && !strcmp(argv[1], "--hold");
	int error;

	if (argc > 1 && !strcmp(argv[1], "--help")) {
		puts("usage: verbs_errors [--hold] [CALL or GROUP_...]\n"
		     "Prints what bad calls return. Needs root. HYV_TEST_DEVICE names the device.\n"
		     "--hold: waits for a byte twice, before and after, which it calls 'open' and 'made'");
		return 0;
	}
	argc -= hold;
	argv += hold;
	setvbuf(stdout, NULL, _IOLBF, 0);
	rdma_open(&r, device_option());
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(memory != MAP_FAILED, "mmap");
	hold_at("open", hold);
	for (call = __start_calls; call < __stop_calls; call++) {
		if (!wanted(call->name, argc, argv))
			continue;
		error = call->run();
		printf("%s: %s\n", call->name, error ? strerrorname_np(error) : "success");
	}
	hold_at("made", hold);
	rdma_close(&r);
	return 0;
}
