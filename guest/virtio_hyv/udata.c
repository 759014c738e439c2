// SPDX-License-Identifier: GPL-2.0
/*
 * Provider data: what the application's provider and the host's driver say to each other goes
 * through unchanged, both ways.
 *
 * Drivers write only part of the answer, so what the application's answer buffer held goes along.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "virtio_hyv.h"

/**
 * hyv_udata_cmd() - make a command with an application's provider data in it
 * @hyv: where it will go
 * @op: what it will ask for
 * @udata: the application's, or NULL
 *
 * Sleeps. Return: the command, for hyv_cmd_put(); or -EINVAL (more than HYV_UDATA_MAX), -ENOMEM,
 * -EFAULT.
 */
struct hyv_cmd *hyv_udata_cmd(struct hyv_dev *hyv, enum hyv_op op, struct ib_udata *udata)
{
	size_t in = udata ? udata->inlen : 0, out = udata ? udata->outlen : 0;
	struct hyv_cmd *cmd;
	u8 *data;

	if (in > HYV_UDATA_MAX || out > HYV_UDATA_MAX)
		return ERR_PTR(-EINVAL);

	cmd = hyv_cmd_alloc(hyv, op, in, out);
	if (!cmd)
		return ERR_PTR(-ENOMEM);

	data = cmd->buf + cmd->req_len - out - in;
	if ((in && copy_from_user(data, udata->inbuf, in)) ||
	    (out && copy_from_user(data + in, udata->outbuf, out))) {
		hyv_cmd_put(cmd);
		return ERR_PTR(-EFAULT);
	}
	return cmd;
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
	size_t out = udata ? udata->outlen : 0;

	if (out && copy_to_user(udata->outbuf, cmd->resp + cmd->resp_len - out, out))
		return -EFAULT;
	return 0;
}
