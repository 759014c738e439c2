// SPDX-License-Identifier: GPL-2.0-or-later
/* config.c: what files mean, and that each error is told with its line. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "config.h"
#include "log.h"

static char said[1 << 16];

/* a host with two devices, and two more that are alike */
static int find(const char *name, uint64_t guid, char *found, char *known, size_t known_len)
{
	snprintf(known, known_len, "rxe0 (0123:4567:89ab:cdef), siw0 (fedc:ba98:7654:3210)");
	if (name ? !strcmp(name, "rxe0") : guid == 0x0123456789abcdef)
		strcpy(found, "rxe0");
	else if (name ? !strcmp(name, "siw0") : guid == 0xfedcba9876543210)
		strcpy(found, "siw0");
	else
		return !name && guid == 0x1111222233334444 ? -ENOTUNIQ : -ENODEV;
	return 0;
}

static int find_nothing(const char *name, uint64_t guid, char *found, char *known, size_t known_len)
{
	(void)name;
	(void)guid;
	(void)found;
	(void)known_len;
	known[0] = '\0';
	return -ENODEV;
}

/* read a file of this text; what it logs is in "said", the file's name replaced by F */
static int read_text(const char *text, struct options *opt, config_find_t *how)
{
	char path[] = "/tmp/hyv-test-XXXXXX", *at;
	int fd = mkstemp(path), saved = dup(STDERR_FILENO), fds[2], ret;
	ssize_t n;
	size_t i;

	assert_int_equal(pipe(fds), 0);
	assert_true(fcntl(fds[1], F_SETPIPE_SZ, sizeof(said)) > 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	memset(opt, 0, sizeof(*opt));
	for (i = 0; i < LIMIT_COUNT; i++)
		opt->limits[i] = LIMIT_NONE;
	dup2(fds[1], STDERR_FILENO);
	ret = config_read(path, how, opt);
	dup2(saved, STDERR_FILENO);
	n = read(fds[0], said, sizeof(said) - 1);
	said[n > 0 ? n : 0] = '\0';
	while ((at = strstr(said, path))) {
		*at = 'F';
		memmove(at + 1, at + strlen(path), strlen(at + strlen(path)) + 1);
	}
	close(saved);
	close(fds[0]);
	close(fds[1]);
	unlink(path);
	return ret;
}

static void says(const char *text)
{
	if (!strstr(said, text))
		fail_msg("'%s' is not in:\n%s", text, said);
}

static unsigned int num_lines(void)
{
	unsigned int n = 0;
	const char *p;

	for (p = said; *p; p++)
		n += *p == '\n';
	return n;
}

static void the_originals_form_works_as_it_is(void **state)
{
	struct options opt;

	(void)state;
	assert_int_equal(read_text("fedc:ba98:7654:3210\n0123:4567:89AB:CDEF\n", &opt, find), 0);
	assert_int_equal(opt.num_devices, 2);
	assert_string_equal(opt.devices[0].name, "siw0");
	assert_string_equal(opt.devices[1].name, "rxe0");
	assert_int_equal(read_text("# mine\n\n  0123:4567:89ab:cdef  # rxe\r\n", &opt, find), 0);
	assert_int_equal(opt.num_devices, 1);
	assert_int_equal(read_text("0123:4567:89ab:cdef", &opt, find), 0);
	assert_int_equal(opt.num_devices, 1);
	assert_string_equal(said, "");
}

static void the_originals_form_has_its_errors_told(void **state)
{
	struct options opt;

	(void)state;
	assert_int_equal(read_text("0123:4567:89ab:cdef\n0123:4567:89ab\n\n0123:4567:89ab:cdeg\n"
				   "0000:0000:0000:0001\n0123:4567:89ab:cdef\nrxe0\n",
				   &opt, find),
			 -EINVAL);
	says("F:2: '0123:4567:89ab' is no GUID");
	says("F:4: '0123:4567:89ab:cdeg' is no GUID");
	says("F:5: no RDMA device '0000:0000:0000:0001' on this host; there are: rxe0 (0123:");
	says("F:6: '0123:4567:89ab:cdef' is device rxe0, which is in the file already");
	says("F:7: 'rxe0' is no GUID");
	assert_int_equal(num_lines(), 5);
}

static void yaml_says_everything(void **state)
{
	struct options opt;

	(void)state;
	assert_int_equal(read_text("name: vm-1\nsocket: /tmp/a.sock\ncontrol: /tmp/a.ctl\n"
				   "devices:\n- rxe0\n- guid: fedc:ba98:7654:3210\n"
				   "addresses:\n- 10.1.2.3/24\n- fd00::1\nud: on\n"
				   "limits:\n  qps: 7\n  pages: 256K\n  window: none\n"
				   "window-size: 64M\npoll-us: 0\nverbose: on\nsandbox: no\n",
				   &opt, find),
			 0);
	assert_string_equal(said, "");
	assert_string_equal(opt.name, "vm-1");
	assert_string_equal(opt.socket, "/tmp/a.sock");
	assert_string_equal(opt.control, "/tmp/a.ctl");
	assert_int_equal(opt.num_devices, 2);
	assert_string_equal(opt.devices[0].name, "rxe0");
	assert_string_equal(opt.devices[1].name, "siw0");
	assert_int_equal(opt.devices[0].line, 5);
	assert_int_equal(opt.devices[1].line, 6);
	assert_int_equal(opt.num_addresses, 2);
	assert_string_equal(opt.addresses[0].text, "10.1.2.3/24");
	assert_string_equal(opt.addresses[0].device, "");
	assert_int_equal(opt.addresses[0].line, 8);
	assert_int_equal(opt.addresses[1].line, 9);
	assert_int_equal(opt.ud, UD_ON);
	assert_int_equal(opt.limits[LIMIT_QPS], 7);
	assert_int_equal(opt.limits[LIMIT_PAGES], 262144);
	assert_int_equal(opt.limits[LIMIT_WINDOW], LIMIT_NONE);
	assert_int_equal(opt.limits[LIMIT_CQS], LIMIT_NONE);
	assert_int_equal(opt.window_size, 64 << 20);
	assert_true(opt.verbose);
	assert_false(opt.sandbox);
	assert_int_equal(read_text("devices: [ name: siw0 ]", &opt, find), 0);
	assert_string_equal(opt.devices[0].name, "siw0");
	assert_int_equal(opt.ud, UD_WHERE_WHOLE);
	assert_int_equal(read_text("devices: [ rxe0 ]\nud: off\n", &opt, find), 0);
	assert_int_equal(opt.ud, UD_OFF);
}

static void is_address(const struct option_address *address, const char *text, const char *device,
		       size_t line)
{
	assert_string_equal(address->text, text);
	assert_string_equal(address->device, device);
	assert_int_equal(address->line, line);
}

static void a_device_has_addresses_of_its_own(void **state)
{
	struct options opt;

	(void)state;
	assert_int_equal(read_text("addresses: [ 10.1.2.4 ]\n"
				   "devices:\n"
				   "- name: siw0\n"
				   "  addresses: [ 10.1.2.3/24, 'fd00::1' ]\n"
				   "- addresses:\n"
				   "  - 10.1.3.3\n"
				   "  guid: 0123:4567:89ab:cdef\n",
				   &opt, find),
			 0);
	assert_string_equal(said, "");
	assert_int_equal(opt.num_devices, 2);
	assert_string_equal(opt.devices[1].name, "rxe0");
	assert_int_equal(opt.num_addresses, 4);
	is_address(&opt.addresses[0], "10.1.2.4", "", 1);
	is_address(&opt.addresses[1], "10.1.2.3/24", "siw0", 4);
	is_address(&opt.addresses[2], "fd00::1", "siw0", 4);
	is_address(&opt.addresses[3], "10.1.3.3", "rxe0", 6);
	assert_int_equal(read_text("devices:\n" /* 1 */
				   "- name: rxe0\n"
				   "  addresses: 10.1.2.3\n"
				   "- name: siw0\n"
				   "  addresses:\n" /* 5 */
				   "  - 10.1.2\n"
				   "- name: rxe9\n"
				   "  addresses: [ 10.1, 10.1.2.3 ]\n"
				   "- name: rxe1\n"
				   "  guid: 0123:4567:89ab:cdef\n" /* 10 */
				   "- addresses: [ 10.1.2.3 ]\n"
				   "- name: rxe0\n"
				   "  name: rxe1\n"
				   "- {}\n",
				   &opt, find),
			 -EINVAL);
	says("F:3: 'addresses' needs a list");
	says("F:6: '10.1.2' is not an IP address");
	says("F:7: no RDMA device 'rxe9'");
	says("F:8: '10.1' is not an IP address");
	says("F:10: a device has no 'guid': it has either");
	says("F:11: this device has no name: write");
	says("F:13: 'name' is in line 12 already");
	says("F:14: this device has no name: write");
	assert_int_equal(num_lines(), 8);
	assert_int_equal(opt.num_addresses, 0);
}

static void an_address_may_be_written_as_a_gid(void **state)
{
	struct options opt;

	(void)state;
	assert_int_equal(read_text("devices: [ rxe0 ]\naddresses:\n- ::ffff:10.9.0.11/24\n"
				   "- 0000:0000:0000:0000:0000:ffff:0a09:000c\n"
				   "- ::ffff:10.9.0.11/33\n",
				   &opt, find),
			 -EINVAL);
	says("F:5: '::ffff:10.9.0.11/33' is not an IP address"); /* but one of IPv4 */
	assert_int_equal(num_lines(), 1);
	assert_int_equal(opt.num_addresses, 2);
}

static void a_guid_of_two_devices_is_none(void **state)
{
	struct options opt;

	(void)state;
	assert_int_equal(read_text("1111:2222:3333:4444\n", &opt, find), -EINVAL);
	says("F:1: '1111:2222:3333:4444' is the GUID of more than one device: write the name of "
	     "the one you mean; there are: rxe0 (0123");
	assert_int_equal(num_lines(), 1);
}

/* the command line, and the file's words */
static struct options parse(const char *text, char *arg)
{
	char path[] = "/tmp/hyv-test-XXXXXX";
	char *argv[] = { "hyvd", "--config", path, "--ud", arg, NULL };
	int fd = mkstemp(path);
	struct options opt;

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	options_parse(&opt, arg ? 5 : 3, argv); /* wrong only in devices that are not there */
	unlink(path);
	return opt;
}

static void the_command_line_decides(void **state)
{
	(void)state;
	assert_int_equal(parse("name: x\n", NULL).ud, UD_WHERE_WHOLE);
	assert_int_equal(parse("name: x\n", "on").ud, UD_ON);
	assert_int_equal(parse("ud: on\n", NULL).ud, UD_ON);
	assert_int_equal(parse("ud: on\n", "off").ud, UD_OFF);
	assert_int_equal(parse("ud: off\n", "on").ud, UD_ON);
}

static void every_error_of_yaml_is_told_at_once(void **state)
{
	struct options opt;

	(void)state;
	assert_int_equal(read_text("name: a/b\n" /* 1 */
				   "socket: here\n"
				   "control: [x]\n"
				   "devices:\n"
				   "- rxe9\n" /* 5 */
				   "- guid: 0123:4567\n"
				   "- colour: red\n"
				   "- rxe0\n"
				   "- guid: 0123:4567:89ab:cdef\n"
				   "- [rxe0]\n" /* 10 */
				   "limits:\n"
				   "  qps: many\n"
				   "  tea: 1\n"
				   "  cqs: 1\n"
				   "  cqs: 2\n" /* 15 */
				   "window-size: 3M\n"
				   "poll-us: -1\n"
				   "verbose: maybe\n"
				   "extra: 1\n"
				   "name: b\n" /* 20 */
				   "limits: 3\n"
				   "addresses: [ 10.1.2, fe80::1, 10.1.2.3/33 ]\n"
				   "ud: sometimes\n",
				   &opt, find),
			 -EINVAL);
	says("F:1: 'a/b' is no name");
	says("F:2: 'socket: here' is no absolute path");
	says("F:3: 'control' needs one value");
	says("F:5: no RDMA device 'rxe9' on this host; there are: rxe0");
	says("F:6: '0123:4567' is neither a GUID");
	says("F:7: a device has no 'colour': it has either");
	says("F:9: '0123:4567:89ab:cdef' is device rxe0, which");
	says("F:10: a device is one of");
	says("F:12: limit 'qps: many' is no number");
	says("F:13: there is no limit 'tea'; there are: contexts");
	says("F:15: 'cqs' is in line 14 already");
	says("F:16: window-size '3M'");
	says("F:17: poll-us '-1'");
	says("F:18: 'verbose: maybe' is neither on nor off");
	says("F:19: there is no 'extra'; there are: name");
	says("F:20: 'name' is in line 1 already");
	says("F:21: 'limits' is in line 11 already");
	says("F:22: '10.1.2' is not an IP address");
	says("F:22: 'fe80::1' is not an IP address");
	says("F:22: '10.1.2.3/33' is not an IP address");
	says("F:23: 'ud: sometimes' is neither on nor off");
	assert_int_equal(num_lines(), 21);
}

static void what_is_no_configuration_is_refused(void **state)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{ "", "F: the file is empty" },
		{ "# nothing\n", "F: the file is empty" },
		{ "name: x\n", "F: no device: write 'devices:'" },
		{ "devices: []\n", "F: no device: write 'devices:'" },
		{ "devices: rxe0\n", "F:1: 'devices' needs a list" },
		{ "devices:\n- rxe0\n name: x\n", "F:3: " },
		{ "name: \"x\ndevices:\n", "mind indentation, colons and quotes" },
		{ "- rxe0\n- siw0\n", "F:1: this is neither a list of GUIDs" },
		{ "devices:\n- rxe0\n\tname: x\n", "F:3: " },
		{ "devices:\n- ''\n", "F:2: 'device' needs one value" },
		{ "devices: &a [ *a ]\n", "F:1: " },
		{ "name: !!binary |\n  AAAA\n", "F: no device" },
		{ "\xff\xfe\xfd", "F:1: " },
	};
	struct options opt;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(read_text(bad[i].text, &opt, find), -EINVAL);
		says(bad[i].message);
	}
	assert_int_equal(config_read("/nowhere/x.yaml", find, &opt), -EINVAL);
}

static void a_host_without_devices_says_so(void **state)
{
	struct options opt;

	(void)state;
	assert_int_equal(read_text("devices: [ rxe0 ]\n", &opt, find_nothing), -EINVAL);
	says("F:1: no RDMA device 'rxe0': the host has none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_originals_form_works_as_it_is),
		cmocka_unit_test(the_originals_form_has_its_errors_told),
		cmocka_unit_test(yaml_says_everything),
		cmocka_unit_test(a_device_has_addresses_of_its_own),
		cmocka_unit_test(an_address_may_be_written_as_a_gid),
		cmocka_unit_test(a_guid_of_two_devices_is_none),
		cmocka_unit_test(the_command_line_decides),
		cmocka_unit_test(every_error_of_yaml_is_told_at_once),
		cmocka_unit_test(what_is_no_configuration_is_refused),
		cmocka_unit_test(a_host_without_devices_says_so),
	};

	log_init("vm", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
