// SPDX-License-Identifier: GPL-2.0
/*
 * Provider data: what the application's provider and the host's driver say to each other goes
 * through unchanged, both ways.
 *
 * Drivers write only part of the answer, so what the application's answer buffer held goes along.
 * Where the request holds pointers to more such memory, it is treated like a part of the answer's
 * buffer behind its end; the provider's descriptor knows them.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "virtio_hyv.h"

/* the next pointer of a command's request udata that the host writes through, after @p */
static const struct hyv_pointer *next_out(const struct hyv_cmd *cmd, const struct hyv_pointer *p,
					  const void *in, u32 in_len, u64 *address)
{
	const struct hyv_pointer *end = cmd->provider->pointers + HYV_PROVIDER_POINTERS;

	for (p = p ? p + 1 : cmd->provider->pointers; p < end && p->kind; p++) {
		*address = hyv_pointer_address(p, cmd->op, in, in_len);
		if (p->kind == HYV_POINTER_OUT && *address)
			return p;
	}
	return NULL;
}

static int fetch(struct hyv_cmd *cmd, struct ib_udata *udata, const void *in, u32 in_len, u8 *out)
{
	const struct hyv_pointer *p = NULL;
	u64 address;

	if (udata && udata->outlen) {
		if (copy_from_user(out, udata->outbuf, udata->outlen))
			return -EFAULT;
		out += udata->outlen;
	}
	while ((p = next_out(cmd, p, in, in_len, &address))) {
		if (copy_from_user(out, u64_to_user_ptr(address), p->length))
			return -EFAULT;
		out += p->length;
	}
	return 0;
}

/**
 * hyv_udata_cmd() - make a command with an application's provider data in it
 * @ib: where it will go
 * @op: what it will ask for
 * @udata: the application's, or NULL
 *
 * Sleeps. Return: the command, for hyv_cmd_put(); or -EINVAL (more than HYV_UDATA_MAX), -ENOMEM,
 * -EFAULT.
 */
struct hyv_cmd *hyv_udata_cmd(struct ib_device *ib, enum hyv_op op, struct ib_udata *udata)
{
	const struct hyv_provider *provider = to_hyv_ibdev(ib)->provider;
	size_t in_len = udata ? udata->inlen : 0, out_len = udata ? udata->outlen : 0;
	void *in = NULL;
	struct hyv_cmd *cmd;
	u8 *data;
	int ret;

	if (in_len > HYV_UDATA_MAX || out_len > HYV_UDATA_MAX)
		return ERR_PTR(-EINVAL);
	if (in_len) {
		in = memdup_user(udata->inbuf, in_len);
		if (IS_ERR(in))
			return ERR_CAST(in);
	}
	out_len += hyv_provider_out_len(provider, op, in, in_len);
	if (out_len > HYV_UDATA_MAX) {
		ret = -EINVAL;
		goto err_free;
	}
	cmd = hyv_cmd_alloc(to_hyv(ib), op, in_len, out_len);
	if (!cmd) {
		ret = -ENOMEM;
		goto err_free;
	}

	cmd->provider = provider;
	data = cmd->buf + cmd->req_len - out_len - in_len;
	if (in_len)
		memcpy(data, in, in_len);
	ret = fetch(cmd, udata, in, in_len, data + in_len);
	if (ret) {
		hyv_cmd_put(cmd);
		goto err_free;
	}
	kfree(in);
	return cmd;

err_free:
	kfree(in);
	return ERR_PTR(ret);
}

/**
 * hyv_udata_reply() - hand the host driver's answer to the application
 * @cmd: command of hyv_udata_cmd() that was answered with success
 * @udata: as there
 *
 * Sleeps. Return: 0 or -EFAULT.
 */
int hyv_udata_reply(struct hyv_cmd *cmd, struct ib_udata *udata)
{
	const struct hyv_req_hdr *hdr = (const struct hyv_req_hdr *)cmd->buf;
	u32 in_len = le32_to_cpu(hdr->udata_in), out_len = le32_to_cpu(hdr->udata_out);
	const void *in = cmd->buf + cmd->req_len - out_len - in_len;
	const u8 *out = cmd->resp + cmd->resp_len - out_len;
	const struct hyv_pointer *p = NULL;
	u64 address;

	if (udata && udata->outlen) {
		if (copy_to_user(udata->outbuf, out, udata->outlen))
			return -EFAULT;
		out += udata->outlen;
	}
	while ((p = next_out(cmd, p, in, in_len, &address))) {
		if (copy_to_user(u64_to_user_ptr(address), out, p->length))
			return -EFAULT;
		out += p->length;
	}
	return 0;
}

/**
 * hyv_udata_created() - the last steps of making an object for an application
 * @cmd: command of hyv_udata_cmd() that made it, answered with success; the id comes first in its
 *	answer
 * @udata: as there
 * @id: out: the host's id
 *
 * Sleeps. Return: 0; or a negative errno, and the host has been told to destroy it.
 */
int hyv_udata_created(struct hyv_cmd *cmd, struct ib_udata *udata, u64 *id)
{
	int ret;

	*id = le64_to_cpu(*(__le64 *)hyv_cmd_resp(cmd));
	if (!*id)
		return -EIO;
	ret = hyv_udata_reply(cmd, udata);
	if (ret)
		hyv_cmd_undo(cmd);
	return ret;
}
