// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ucma.c: what the host's rdma_cm answers, of kernels of any age. The fake of its device knows one command.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <cmocka.h>
#include "ucma.h"

#define FAKE_FD		(-7)
#define SIZE_BEFORE_5_8 offsetof(struct rdma_ucm_query_route_resp, ibdev_index)

static const struct rdma_ucm_query_route_resp answer = {
	.node_guid = 1, .src_addr.sin6_family = AF_INET6, .port_num = 1, .ibdev_index = 2
};
static size_t answer_size;

ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	struct {
		struct rdma_ucm_cmd_hdr hdr;
		struct rdma_ucm_query in;
	} __attribute__((packed)) message;

	if (fd != FAKE_FD)
		return __real_write(fd, buf, len);
	assert_int_equal(len, sizeof(message));
	memcpy(&message, buf, len);
	assert_int_equal(message.hdr.cmd, RDMA_USER_CM_CMD_QUERY_ROUTE);
	assert_int_equal(message.hdr.out, sizeof(answer));
	assert_int_equal(message.in.id, 5);
	if (!answer_size) {
		errno = EINVAL;
		return -1;
	}
	memcpy((void *)(uintptr_t)message.in.response, &answer, answer_size);
	return (ssize_t)len;
}

static void a_route_tells_the_devices_index(void **state)
{
	struct rdma_ucm_query_route_resp route;

	(void)state;
	answer_size = sizeof(answer);
	assert_int_equal(ucma_query_route(FAKE_FD, 5, &route), 0);
	assert_memory_equal(&route, &answer, sizeof(answer));
}

static void before_linux_5_8_there_is_none(void **state)
{
	struct rdma_ucm_query_route_resp route;

	(void)state;
	answer_size = SIZE_BEFORE_5_8;
	assert_int_equal(ucma_query_route(FAKE_FD, 5, &route), 0);
	assert_memory_equal(&route, &answer, SIZE_BEFORE_5_8);
	assert_int_equal(route.ibdev_index, UCMA_NO_INDEX);
}

static void an_error_tells_of_no_device(void **state)
{
	struct rdma_ucm_query_route_resp route = { .port_num = 1 };

	(void)state;
	answer_size = 0;
	assert_int_equal(ucma_query_route(FAKE_FD, 5, &route), -EINVAL);
	assert_int_equal(route.port_num, 0);
	assert_int_equal(route.src_addr.sin6_family, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_route_tells_the_devices_index),
		cmocka_unit_test(before_linux_5_8_there_is_none),
		cmocka_unit_test(an_error_tells_of_no_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
