/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The life of a CM id, as the host may tell it. Kept apart from the kernel so that a test can try
 * every order: iw_cm stops the machine (BUG_ON) on most wrong ones.
 */
#ifndef HYV_CM_STATE_H
#define HYV_CM_STATE_H

#include <linux/errno.h>
#include <hyv/wire.h>

/**
 * enum hyv_cm_state - what a CM id is
 * @HYV_CM_STATE_LISTENING: a listener; stays one
 * @HYV_CM_STATE_REQUESTED: passive: iw_cm was told, and has neither accepted nor rejected
 * @HYV_CM_STATE_CONNECTING: active: iw_cm waits for exactly one CONNECT_REPLY
 * @HYV_CM_STATE_ACCEPTING: passive: iw_cm waits for exactly one ESTABLISHED
 * @HYV_CM_STATE_ESTABLISHED: iw_cm waits for exactly one CLOSE
 * @HYV_CM_STATE_OVER: iw_cm must hear no more
 */
enum hyv_cm_state {
	HYV_CM_STATE_LISTENING,
	HYV_CM_STATE_REQUESTED,
	HYV_CM_STATE_CONNECTING,
	HYV_CM_STATE_ACCEPTING,
	HYV_CM_STATE_ESTABLISHED,
	HYV_CM_STATE_OVER,
};

/**
 * hyv_cm_step() - what an event of the host's makes of a CM id
 * @state: what it is
 * @event: enum hyv_cm_event, but for HYV_CM_NONE
 * @status: what came with it
 *
 * Return: enum hyv_cm_state; or -EPROTO for an event that must not come now.
 */
static inline int hyv_cm_step(enum hyv_cm_state state, __u32 event, __s32 status)
{
	switch (state) {
	case HYV_CM_STATE_LISTENING:
		if (event == HYV_CM_REQUEST && !status)
			return HYV_CM_STATE_LISTENING;
		break;
	case HYV_CM_STATE_CONNECTING:
		if (event == HYV_CM_REPLY && !status)
			return HYV_CM_STATE_ESTABLISHED;
		if (event == HYV_CM_REPLY && status < 0 && status >= -4095)
			return HYV_CM_STATE_OVER;
		break;
	case HYV_CM_STATE_ACCEPTING:
		if (event == HYV_CM_ESTABLISHED && !status)
			return HYV_CM_STATE_ESTABLISHED;
		if (event == HYV_CM_CLOSE && !status)
			return HYV_CM_STATE_OVER;
		break;
	case HYV_CM_STATE_ESTABLISHED:
		if (event == HYV_CM_CLOSE && !status)
			return HYV_CM_STATE_OVER;
		break;
	default:
		break;
	}
	return -EPROTO;
}

#endif
