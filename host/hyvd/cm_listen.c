// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Listeners of the guest. Each has a host id per address: the guest may listen on its own addresses, and
 * a wildcard of the guest is never one of the host. Addresses come and go (gidwatch.c), and these ids
 * with them. Requests: cm_accept.c.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include "cm_priv.h"
#include "log.h"

#define MAX_BACKLOG 1024u

static bool is_wildcard(const uint8_t addr[16])
{
	static const uint8_t zero[16];
	size_t done = gid_is_v4(addr) ? sizeof(gid_v4_prefix) : 0;

	return !memcmp(addr + done, zero, sizeof(zero) - done);
}

/* whether a listener hears of connections to @address */
static bool matches(const struct address *address, const struct hyv_req_cm_listen *req)
{
	const uint8_t *local = req->local.addr;

	if (!is_wildcard(local))
		return !memcmp(local, address->gid, sizeof(address->gid));
	if (gid_is_v4(local))
		return gid_is_v4(address->gid);
	return !(le32toh(req->flags) & HYV_CM_V6ONLY) || !gid_is_v4(address->gid);
}

/* with the lock held */
static int listen_on(struct cm *cm, struct cm_id *id, const struct address *address)
{
	struct rdma_ucm_query_route_resp route;
	struct sockaddr_in6 local;
	uint32_t host_id;
	int ret = ucma_create(cm->fd, id->obj.id, &host_id);

	if (ret)
		return ret;
	cm_to_sockaddr(&local, address->gid, id->listen.local.port);
	ret = ucma_bind(cm->fd, host_id, &local);
	if (!ret && !cm_is_on(cm, host_id, id->obj.device, &route))
		ret = -EADDRNOTAVAIL;
	if (!ret)
		ret = ucma_listen(cm->fd, host_id, id->backlog);
	if (ret) {
		ucma_destroy(cm->fd, host_id);
		return ret;
	}
	id->host_addresses[id->num_host_ids] = address->id;
	id->host_ids[id->num_host_ids++] = host_id;
	return 0;
}

/* with the lock held. Return: its place in @id->host_ids, or their number if there is none */
static unsigned int find_listening(const struct cm_id *id, uint32_t address)
{
	unsigned int i = 0;

	while (i < id->num_host_ids && id->host_addresses[i] != address)
		i++;
	return i;
}

/*
 * With the lock held: listen wherever @id should. Return: 0; -EADDRNOTAVAIL when its one address is not
 * there; or the host's first error
 */
static int join_addresses(struct cm *cm, struct cm_id *id)
{
	struct address addresses[VM_MAX_ADDRESSES];
	unsigned int num = gid_addresses(cm->vm, id->obj.device, addresses), i;
	int ret = 0, one;

	for (i = 0; i < num; i++) {
		if (!addresses[i].is_there || !matches(&addresses[i], &id->listen) ||
		    find_listening(id, addresses[i].id) < id->num_host_ids ||
		    id->num_host_ids == VM_MAX_ADDRESSES)
			continue;
		one = listen_on(cm, id, &addresses[i]);
		if (one != -EADDRNOTAVAIL) /* else it has gone since the last look */
			ret = ret ? ret : one;
	}
	return ret || id->num_host_ids || is_wildcard(id->listen.local.addr) ? ret : -EADDRNOTAVAIL;
}

int cm_listen_exec(struct cmd *cmd)
{
	const struct hyv_req_cm_listen *req = cmd->req;
	int ret = device_find(cmd, req->device, req->reserved);
	uint32_t backlog = le32toh(req->backlog);
	struct hyv_resp_cm_listen *resp = cmd->resp;
	struct cm *cm = cmd->vm->cm;
	struct cm_id *id;

	if (ret)
		return ret;
	if (!req->local.port || cm_has_reserved(&req->local) ||
	    le32toh(req->flags) & ~HYV_CM_V6ONLY)
		return -EINVAL;
	if (!cm)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&cm->lock);
	ret = cm_id_create(cm, CM_LISTENING, cmd->device, &id);
	if (ret) {
		pthread_mutex_unlock(&cm->lock);
		return ret;
	}
	LIST_INSERT_HEAD(&cm->listeners, id, next_listener);
	id->listen = *req;
	id->backlog = backlog && backlog < MAX_BACKLOG ? backlog : MAX_BACKLOG;
	ret = join_addresses(cm, id);
	pthread_mutex_unlock(&cm->lock);
	return cm_id_finish(cm, id, ret, &resp->cm);
}

/*
 * With the lock held: take from @id the host ids that listen on none of the VM's addresses any more.
 * Return: how many are in @astray
 */
static unsigned int take_astray(struct cm *cm, struct cm_id *id, uint32_t astray[VM_MAX_ADDRESSES])
{
	struct address addresses[VM_MAX_ADDRESSES];
	unsigned int num = gid_addresses(cm->vm, id->obj.device, addresses), num_astray = 0, i, j;

	for (i = id->num_host_ids; i--;) {
		for (j = 0; j < num && addresses[j].id != id->host_addresses[i]; j++)
			;
		if (j < num)
			continue;
		astray[num_astray++] = id->host_ids[i];
		id->num_host_ids--;
		id->host_ids[i] = id->host_ids[id->num_host_ids];
		id->host_addresses[i] = id->host_addresses[id->num_host_ids];
	}
	return num_astray;
}

/* with the lock held, but not while it waits; it may be destroyed meanwhile */
static void follow_addresses(struct cm *cm, struct cm_id *id)
{
	uint32_t astray[VM_MAX_ADDRESSES];
	unsigned int num = take_astray(cm, id, astray);
	int ret = 0;

	pthread_mutex_unlock(&cm->lock);
	while (num)
		ucma_destroy(cm->fd, astray[--num]);
	pthread_mutex_lock(&cm->lock);
	if (id->state == CM_LISTENING)
		ret = join_addresses(cm, id);
	if (ret && ret != -EADDRNOTAVAIL)
		log_guest("a listener of the guest cannot listen on an address that has come: %s",
			  strerror(-ret));
}

/* with the lock held */
static void move_listener(struct cm_id *id, struct listeners *to)
{
	LIST_REMOVE(id, next_listener);
	LIST_INSERT_HEAD(to, id, next_listener);
}

void cm_follow_addresses(struct vm *vm, const struct device *dev)
{
	struct cm *cm = vm->cm;
	struct cm_id *id;

	if (!cm)
		return;
	pthread_mutex_lock(&cm->lock);
	/* whoever listens from now on looks for itself; the guest cannot have us begin again */
	while ((id = LIST_FIRST(&cm->listeners)))
		move_listener(id, &cm->to_follow);
	while ((id = LIST_FIRST(&cm->to_follow))) {
		move_listener(id, &cm->listeners);
		if (id->obj.device != dev)
			continue;
		obj_get(vm->objtab, &id->obj);
		follow_addresses(cm, id);
		pthread_mutex_unlock(&cm->lock);
		obj_put(vm->objtab, &id->obj);
		pthread_mutex_lock(&cm->lock);
	}
	pthread_mutex_unlock(&cm->lock);
}
