// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The host's uverbs ioctl interface (include/uapi/rdma/rdma_user_ioctl_cmds.h): the only place that
 * issues its ioctls. The handlers of verbs say what; nothing here knows a verb. Never the write()
 * interface: it demands the credentials that opened the file.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <rdma/rdma_user_ioctl.h>
#include "uverbs.h"

void uverbs_start(struct uverbs_call *call, uint16_t object, uint16_t method)
{
	memset(call, 0, sizeof(*call));
	call->hdr.object_id = object;
	call->hdr.method_id = method;
}

static struct ib_uverbs_attr *add_attr(struct uverbs_call *call, uint16_t id, uint16_t len)
{
	struct ib_uverbs_attr *attr = &call->attrs[call->hdr.num_attrs++];

	assert(call->hdr.num_attrs <= UVERBS_MAX_ATTRS); /* our own callers', not the guest's */
	attr->attr_id = id;
	attr->len = len;
	attr->flags = UVERBS_ATTR_F_MANDATORY;
	return attr;
}

void uverbs_in(struct uverbs_call *call, uint16_t id, const void *data, uint16_t len)
{
	struct ib_uverbs_attr *attr = add_attr(call, id, len);

	if (len <= sizeof(attr->data))
		memcpy(&attr->data, data, len);
	else
		attr->data = (uintptr_t)data;
}

void uverbs_out(struct uverbs_call *call, uint16_t id, void *data, uint16_t len)
{
	add_attr(call, id, len)->data = (uintptr_t)data;
}

void uverbs_handle(struct uverbs_call *call, uint16_t id, uint32_t handle)
{
	add_attr(call, id, 0)->data = handle;
}

const __aligned_u64 *uverbs_new(struct uverbs_call *call, uint16_t id)
{
	return &add_attr(call, id, 0)->data;
}

void uverbs_udata(struct uverbs_call *call, const struct udata *udata)
{
	if (udata && udata->in_len)
		uverbs_in(call, UVERBS_ATTR_UHW_IN, udata->in, (uint16_t)udata->in_len);
	if (udata && udata->out_len)
		uverbs_out(call, UVERBS_ATTR_UHW_OUT, udata->out, (uint16_t)udata->out_len);
}

int uverbs_call(int fd, uint32_t driver_id, struct uverbs_call *call)
{
	call->hdr.driver_id = driver_id;
	call->hdr.length =
		(uint16_t)(sizeof(call->hdr) + call->hdr.num_attrs * sizeof(call->attrs[0]));
	return ioctl(fd, RDMA_VERBS_IOCTL, call) ? -errno : 0;
}

int uverbs_write(int fd, uint32_t driver_id, uint32_t command, const void *in, uint16_t in_len,
		 void *out, uint16_t out_len, const struct udata *udata)
{
	uint64_t command64 = command;
	struct uverbs_call call;

	uverbs_start(&call, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_INVOKE_WRITE);
	uverbs_in(&call, UVERBS_ATTR_WRITE_CMD, &command64, sizeof(command64));
	uverbs_in(&call, UVERBS_ATTR_CORE_IN, in, in_len);
	if (out_len)
		uverbs_out(&call, UVERBS_ATTR_CORE_OUT, out, out_len);
	uverbs_udata(&call, udata);
	return uverbs_call(fd, driver_id, &call);
}

int uverbs_destroy(int fd, uint32_t driver_id, uint16_t object, uint16_t method, uint32_t handle,
		   uint16_t resp_attr, uint16_t resp_len)
{
	struct uverbs_call call;
	uint64_t resp[4];

	assert(resp_len <= sizeof(resp));
	uverbs_start(&call, object, method);
	uverbs_handle(&call, 0, handle); /* all these methods have the handle as attribute 0 */
	if (resp_len)
		uverbs_out(&call, resp_attr, resp, resp_len);
	return uverbs_call(fd, driver_id, &call);
}
