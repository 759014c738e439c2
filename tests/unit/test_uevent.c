// SPDX-License-Identifier: GPL-2.0-or-later
/* uevent.c: which of the kernel's messages say that a uverbs device goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "uevent.h"

#define MESSAGE(action, path, subsystem) \
	action "@" path "\0ACTION=" action "\0DEVPATH=" path "\0SUBSYSTEM=" subsystem \
	       "\0MAJOR=231\0MINOR=192\0DEVNAME=infiniband/uverbs0\0SEQNUM=1722"
#define PATH "/devices/virtual/infiniband_verbs/uverbs0"

static char name[16];

/* with the last NUL */
#define parse(text) uevent_parse(text, sizeof(text), name, sizeof(name))

static void a_removal_is_understood(void **state)
{
	(void)state;
	assert_true(parse(MESSAGE("remove", PATH, "infiniband_verbs")));
	assert_string_equal(name, "uverbs0");
	assert_true(parse(MESSAGE("remove", "/devices/pci0/1/infiniband_verbs/uverbs13",
				  "infiniband_verbs")));
	assert_string_equal(name, "uverbs13");
}

static void others_are_not(void **state)
{
	(void)state;
	assert_false(parse(MESSAGE("add", PATH, "infiniband_verbs")));
	assert_false(parse(MESSAGE("remove", PATH, "infiniband")));
	assert_false(parse(MESSAGE("remove", "/devices/virtual/net/x", "net")));
}

static void nonsense_is_borne(void **state)
{
	static const char good[] = MESSAGE("remove", PATH, "infiniband_verbs");
	char copy[sizeof(good)];
	size_t len;

	(void)state;
	assert_false(uevent_parse("", 0, name, sizeof(name)));
	assert_false(parse(""));
	assert_false(parse("\0\0\0"));
	assert_false(parse(MESSAGE("remove", "uverbs0", "infiniband_verbs")));
	assert_false(parse(MESSAGE("remove", "/x/", "infiniband_verbs")));
	assert_false(parse(MESSAGE("remove", "/a-name-too-long-for-it", "infiniband_verbs")));
	/* cut off anywhere; in memory of its own, so that a sanitizer sees what lies behind */
	for (len = 0; len < sizeof(good); len++) {
		memcpy(copy + sizeof(copy) - len, good, len);
		uevent_parse(copy + sizeof(copy) - len, len, name, sizeof(name));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_removal_is_understood),
		cmocka_unit_test(others_are_not),
		cmocka_unit_test(nonsense_is_borne),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
