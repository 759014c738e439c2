// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sockets that others connect to, QEMU and hyvctl. A connection that cannot be accepted, since there is
 * no file left for it, stays in the socket's queue, and the event loop hears of it without end: so it
 * listens to that only so many times a second.
 */
#include <sys/epoll.h>
#include "listener.h"

#define SECOND	    1000000 /* us */
#define MAX_ACCEPTS 100 /* a second */

int listener_add(sd_event *loop, sd_event_source **source, int fd, sd_event_io_handler_t on_connect,
		 void *arg)
{
	int ret = sd_event_add_io(loop, source, fd, EPOLLIN, on_connect, arg);

	if (ret < 0)
		return ret;
	ret = sd_event_source_set_ratelimit(*source, SECOND, MAX_ACCEPTS);
	if (ret < 0)
		*source = sd_event_source_disable_unref(*source);
	return ret < 0 ? ret : 0;
}
