// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A daemon that tells the guest of its connections in wrong orders: every other event is replaced by
 * any. Linked with --wrap=cm_get_event_exec. cm_disorder.sh uses it.
 */
#include <errno.h>
#include "../../common/random.h"
#include "cm.h"
#include "cmd.h"

int __real_cm_get_event_exec(struct cmd *cmd);
int __wrap_cm_get_event_exec(struct cmd *cmd);

int __wrap_cm_get_event_exec(struct cmd *cmd)
{
	static const int32_t statuses[] = { 0, 0, 0, -ECONNREFUSED, -ETIMEDOUT, -5000, 1, INT32_MIN };
	static const uint32_t lengths[] = { 0, 1, 255, 256, UINT32_MAX };
	static _Thread_local struct rnd rng;
	struct hyv_resp_cm_get_event *resp = cmd->resp;
	int ret = __real_cm_get_event_exec(cmd);

	if (!rng.state)
		rnd_init(&rng, "hyvd_disorder");
	if (rnd(&rng, 2))
		return ret;
	resp->type = htole32(rnd(&rng, 7));
	resp->status = htole32((uint32_t)statuses[rnd(&rng, 8)]);
	/* none, one that there is not, one of any kind that there may be */
	resp->request = htole64(rnd(&rng, 3) * rnd(&rng, 40) * (rnd(&rng, 2) ? 1 : 1ull << 40));
	resp->param.data_len = htole32(lengths[rnd(&rng, 5)]);
	return rnd(&rng, 20) ? ret : -ENOENT;
}
