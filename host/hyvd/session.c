// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A session lasts from the guest's HYV_OP_HELLO to the stop of the rings. QEMU lets the window be
 * mapped only while the rings run, so HELLO asks for it and is answered when it is there.
 */
#include <errno.h>
#include "cm.h"
#include "cmd.h"
#include "context.h"
#include "dispatch.h"
#include "log.h"
#include "session.h"

static void fill_hello(struct cmd *cmd)
{
	struct hyv_resp_hello *resp = cmd->resp;
	struct vm *vm = cmd->vm;

	resp->life = htole64(vm->life);
	resp->window_size = htole64(vm->window_size);
	resp->num_devices = htole32(HYV_MAX_DEVICES);
}

int hello_exec(struct cmd *cmd)
{
	const struct hyv_req_hello *req = cmd->req;
	struct vm *vm = cmd->vm;
	int ret;

	if (req->reserved)
		return -EINVAL;
	if (le32toh(req->version) != HYV_WIRE_VERSION) {
		log_guest(
			"the guest's virtio_hyv speaks version %u of the protocol, this hyvd version %u: install matching ones",
			le32toh(req->version), HYV_WIRE_VERSION);
		return -EPROTONOSUPPORT;
	}
	if (vm->window_is_live) {
		fill_hello(cmd);
		return 0;
	}
	if (vm->hello)
		return -EBUSY;
	ret = vu_dev_map_window(vm->vu, window_fd(vm->window));
	if (ret)
		return ret;
	vm->hello = cmd;
	return CMD_DEFERRED;
}

void session_window_live(struct vm *vm, int error)
{
	static struct log_ratelimit lines = LOG_GUEST_RATE;
	struct cmd *cmd = vm->hello;

	vm->window_is_live = !error;
	vm->hello = NULL;
	if (!cmd)
		return;
	if (!error) {
		fill_hello(cmd);
		if (log_allowed(&lines))
			log_info("the guest is connected");
	}
	cmd_answer(cmd, error);
}

void session_end(struct vm *vm)
{
	bool is_busy;

	vm->window_is_live = false;
	if (vm->hello)
		session_window_live(vm, -ECANCELED);
	/*
	 * QEMU waits for us while it resets the guest, and must: what has been registered is the guest's
	 * next kernel's memory. A context goes when the last request on it is answered; what is under
	 * way may still make one, or a CM id.
	 */
	do {
		is_busy = dispatch_is_busy(vm->dispatch); /* before what it leaves is freed */
		cm_destroy_all(vm, DEVICE_ANY);
		context_free_all(vm, DEVICE_ANY);
		is_busy |= atomic_load(&vm->num_contexts) > 0;
		if (is_busy)
			dispatch_settle(vm->dispatch, 5);
	} while (is_busy);
	gid_forget_guest(vm);
	window_reset(vm->window);
}
