// SPDX-License-Identifier: GPL-2.0-or-later
/* netlink.c: addresses, in a network namespace of our own with nothing but lo */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "netlink.h"

#define LO   1 /* its index in every namespace */
#define MANY 1000 /* addresses: more than one message can tell */

static int control; /* a socket for ioctls */

static void set_address(struct ifreq *ifr, unsigned long what, const char *ip)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	inet_pton(AF_INET, ip, &sin.sin_addr);
	memcpy(&ifr->ifr_addr, &sin, sizeof(sin));
	assert_int_equal(ioctl(control, what, ifr), 0);
}

static void add_address(unsigned int n)
{
	struct ifreq ifr;
	char ip[32];

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "lo:%u", n);
	snprintf(ip, sizeof(ip), "10.77.%u.%u", n / 200, n % 200 + 1);
	set_address(&ifr, SIOCSIFADDR, ip);
	set_address(&ifr, SIOCSIFNETMASK, n == MANY - 1 ? "255.255.240.0" : "255.255.255.0");
}

static int setup(void **state)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	unsigned int i;

	(void)state;
	if (unshare(CLONE_NEWNET))
		return 0;
	control = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(ioctl(control, SIOCSIFFLAGS, &ifr), 0);
	for (i = 0; i < MANY; i++)
		add_address(i);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(control);
	return 0;
}

static int prefix_len(uint32_t ifindex, const char *ip)
{
	size_t len = strchr(ip, ':') ? 16 : 4;
	uint8_t bytes[16];

	assert_int_equal(inet_pton(len == 4 ? AF_INET : AF_INET6, ip, bytes), 1);
	return netlink_prefix_len(ifindex, bytes, len);
}

static void each_address_is_found(void **state)
{
	(void)state;
	if (!control)
		skip(); /* who may not make namespaces */
	assert_int_equal(prefix_len(LO, "127.0.0.1"), 8);
	assert_int_equal(prefix_len(LO, "::1"), 128);
	assert_int_equal(prefix_len(LO, "10.77.0.1"), 24);
	assert_int_equal(prefix_len(LO, "10.77.4.199"), 24);
	assert_int_equal(prefix_len(LO, "10.77.4.200"), 20);
}

static void others_are_not(void **state)
{
	(void)state;
	if (!control)
		skip();
	assert_int_equal(prefix_len(LO, "127.0.0.2"), -EADDRNOTAVAIL);
	assert_int_equal(prefix_len(LO, "10.77.5.1"), -EADDRNOTAVAIL);
	assert_int_equal(prefix_len(LO, "::2"), -EADDRNOTAVAIL);
	assert_int_equal(prefix_len(LO, "::ffff:10.77.0.1"), -EADDRNOTAVAIL);
	assert_int_equal(prefix_len(0, "10.77.0.1"), -EADDRNOTAVAIL);
	assert_int_equal(prefix_len(99, "10.77.0.1"), -EADDRNOTAVAIL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_address_is_found),
		cmocka_unit_test(others_are_not),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
