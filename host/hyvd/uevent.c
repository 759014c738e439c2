// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the host's kernel broadcasts of devices that come and go (its kobject_uevent.c): here, that a
 * uverbs device goes. It says so before it waits until nobody has that open any more, as it does for
 * drivers whose contexts it cannot take from under a process (siw; rxe in 6.12). Of drivers that let
 * it do that, asynchronous events tell too, but no earlier.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "uevent.h"

#define KERNEL_GROUP 1 /* udev repeats what it has seen to in another */
#define MESSAGE_MAX  8192

int uevent_open(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);
	int ret;

	if (fd < 0)
		return -errno;
	if (!bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

/* the value of a key in lines that end with NUL, as the last line does; or "" */
static const char *value_of(const char *message, size_t len, const char *key)
{
	const char *line = message;

	for (; line < message + len; line += strlen(line) + 1)
		if (!strncmp(line, key, strlen(key)))
			return line + strlen(key);
	return "";
}

bool uevent_parse(const char *message, size_t len, char *name, size_t size)
{
	const char *path;

	if (!len || message[len - 1] || strcmp(value_of(message, len, "ACTION="), "remove") ||
	    strcmp(value_of(message, len, "SUBSYSTEM="), "infiniband_verbs"))
		return false;
	path = strrchr(value_of(message, len, "DEVPATH="), '/');
	return path && path[1] && snprintf(name, size, "%s", path + 1) < (int)size;
}

int uevent_read(int fd, char *name, size_t size)
{
	struct sockaddr_nl from = { 0 };
	socklen_t from_len = sizeof(from);
	char message[MESSAGE_MAX];
	ssize_t len = recvfrom(fd, message, sizeof(message), MSG_DONTWAIT, (struct sockaddr *)&from,
			       &from_len);

	if (len < 0)
		return -errno;
	return !from.nl_pid && uevent_parse(message, (size_t)len, name, size);
}
