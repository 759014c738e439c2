// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Provider data of a guest: the host's driver gets no byte that its descriptor does not know, and
 * no address but ours.
 */
#include <stdbool.h>
#include <string.h>
#include "udata.h"

/* Return: false when the guest has left no room behind the answer for what comes back */
static bool replace_pointers(struct udata *udata, uint8_t *in, const struct hyv_provider *provider,
			     uint32_t op)
{
	uint32_t len = hyv_provider_out_len(provider, op, in, udata->in_len), i;
	const struct hyv_pointer *p;
	uint64_t address;
	uint8_t *out;

	if (len > udata->out_len)
		return false;
	udata->out_len -= len;
	out = (uint8_t *)udata->out + udata->out_len;
	for (i = 0; i < HYV_PROVIDER_POINTERS && provider->pointers[i].kind; i++) {
		p = &provider->pointers[i];
		if (!hyv_pointer_address(p, op, in, udata->in_len))
			continue;
		address = (uintptr_t)out;
		memcpy(in + p->offset, &address, sizeof(address));
		out += p->length;
	}
	return true;
}

const char *udata_accept(struct udata *udata, uint8_t *in, const struct hyv_provider *provider,
			 uint32_t op)
{
	uint32_t i;

	for (i = provider->udata_in[op]; i < udata->in_len; i++)
		if (in[i])
			return "that the provider's descriptor does not know";
	if (!replace_pointers(udata, in, provider, op))
		return "with a pointer, and no room for what comes back";
	return NULL;
}
