// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A daemon that tells the guest of its connections in wrong orders: every other event is replaced by
 * any. And when it has sent an event it goes on, with some thousands a second that nothing caused, as
 * long as the guest gives buffers. Linked with --wrap for each function here. cm_disorder.sh uses it.
 */
#include <errno.h>
#include <stdbool.h>
#include <time.h>
#include "../../common/random.h"
#include "cm.h"
#include "cmd.h"
#include "objtab.h"

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

#define FLOOD_PER_MS 8

bool __real_objtab_any_event(struct objtab *tab);
bool __wrap_objtab_any_event(struct objtab *tab);
bool __real_objtab_next_event(struct objtab *tab, struct event_source *source, bool *completion,
			      uint32_t *code);
bool __wrap_objtab_next_event(struct objtab *tab, struct event_source *source, bool *completion,
			      uint32_t *code);

bool __wrap_objtab_any_event(struct objtab *tab)
{
	static uint64_t last_ms;
	static unsigned int left;
	struct timespec now;
	uint64_t ms;

	if (__real_objtab_any_event(tab))
		return true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	if (ms != last_ms)
		left = FLOOD_PER_MS;
	last_ms = ms;
	return left && left--;
}

bool __wrap_objtab_next_event(struct objtab *tab, struct event_source *source, bool *completion,
			      uint32_t *code)
{
	static struct rnd rng;

	if (__real_objtab_next_event(tab, source, completion, code))
		return true;
	if (!rng.state)
		rnd_init(&rng, "hyvd_disorder's flood");
	/* of the port mostly; of objects that there are, or were, or will be; of slots; of nothing */
	*source = (struct event_source){
		.device = rnd(&rng, 4) ? 1 : rnd(&rng, 4),
		.object = rnd(&rng, 4) ? 0 : rnd(&rng, 100),
		.port = rnd(&rng, 4) ? 1 : rnd(&rng, 3),
		.type = rnd(&rng, 6),
	};
	*completion = !rnd(&rng, 4);
	*code = rnd(&rng, 4) ? 9 + rnd(&rng, 2) : rnd(&rng, 40); /* PORT_ACTIVE, PORT_ERR, or any */
	return true;
}
