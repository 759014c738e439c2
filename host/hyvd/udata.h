/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Provider data of a guest: see udata.c */
#ifndef HYVD_UDATA_H
#define HYVD_UDATA_H

#include <hyv/provider.h>
#include "uverbs.h"

/**
 * udata_accept() - let provider data pass, as far as the provider's descriptor knows it
 * @udata: the guest's; @udata->out_len counts what comes back through pointers too, and does not any
 *         more when this returns
 * @in: @udata->in, writable: its pointers are replaced by addresses of ours, behind the answer
 * @op: enum hyv_op
 *
 * To be called once. Return: NULL, or what is wrong with it, for people: answer -EOPNOTSUPP.
 */
const char *udata_accept(struct udata *udata, uint8_t *in, const struct hyv_provider *provider,
			 uint32_t op);

#endif
