// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory regions. The guest has pinned the memory and sends its guest-physical extents; gmem.c
 * makes them contiguous in our address space, the host's kernel pins them, and the address space is
 * given back at once. The application's own address goes along as the iova: a number that the
 * device matches, which nobody follows here. A driver that ignores it gets the memory at that very
 * address in the context's space, where it stays as long as it is registered.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "gmem.h"
#include "verbs.h"

#define PAGE 4096u

/* one table of extents, copied once. Return: 0 or a negative errno */
static int read_table(struct gmem *gm, __le64 gpa, struct gmem_extent *out, uint32_t n)
{
	struct hyv_extent table[HYV_EXTENTS_PER_TABLE];
	struct gpa at = { le64toh(gpa) };
	uint32_t i;

	if (at.val % PAGE)
		return -EINVAL;
	if (gmem_read(gm, table, at, n * sizeof(table[0])))
		return -EFAULT;
	for (i = 0; i < n; i++)
		out[i] =
			(struct gmem_extent){ { le64toh(table[i].gpa) }, le64toh(table[i].length) };
	return 0;
}

/* the extents add up to @total, without wrapping, and fit the guest's memory */
static int check_extents(struct gmem *gm, struct gmem_extent *extents, uint32_t n, uint64_t total)
{
	uint64_t sum = 0;
	uint32_t i;

	if (!total && n == 1 && !extents[0].len) {
		extents[0].len = 1; /* registering nothing, off the page, pins its page natively */
		return 0;
	}
	for (i = 0; i < n; i++) {
		if (!extents[i].len || extents[i].len > gmem_total(gm) - sum)
			return -EINVAL;
		sum += extents[i].len;
	}
	return sum == total ? 0 : -EINVAL;
}

/* Return: 0 and an array for the caller to free, or a negative errno */
static int read_extents(struct cmd *cmd, uint32_t n, uint64_t length, struct gmem_extent **out)
{
	uint32_t i, take;
	const uint8_t *tail = cmd->tail;
	struct gmem_extent *extents;
	__le64 table;
	int ret = 0;

	if (!n || cmd->tail_len != ((uint64_t)n + HYV_EXTENTS_PER_TABLE - 1) /
					   HYV_EXTENTS_PER_TABLE * sizeof(table))
		return -EINVAL;
	extents = calloc(n, sizeof(*extents));
	if (!extents)
		return -ENOMEM;
	for (i = 0; i < n && !ret; i += take) {
		take = n - i < HYV_EXTENTS_PER_TABLE ? n - i : HYV_EXTENTS_PER_TABLE;
		memcpy(&table, tail + i / HYV_EXTENTS_PER_TABLE * sizeof(table), sizeof(table));
		ret = read_table(cmd->vm->gmem, table, extents + i, take);
	}
	if (!ret)
		ret = check_extents(cmd->vm->gmem, extents, n, length);
	if (ret)
		free(extents);
	else
		*out = extents;
	return ret;
}

static const struct destroy_method dereg_mr = {
	.object = UVERBS_OBJECT_MR,
	.method = UVERBS_METHOD_MR_DESTROY,
};

/**
 * struct mr - a memory region
 * @pages: that are charged for it
 * @is_changing: somebody re-registers it, or it is destroyed: @pages is theirs
 * @placed: where the driver expects it, if it does
 */
struct mr {
	struct obj obj;
	uint64_t pages;
	atomic_flag is_changing;
	struct gmem_span placed;
};

static struct mr *mr_of(struct obj *obj)
{
	return (struct mr *)obj; /* its first member */
}

/* the host does not know it any more, or nobody can ring its queues (qp_ring()) */
static void mr_release(struct obj *obj)
{
	gmem_span_release(&mr_of(obj)->placed);
	free(obj);
}

/* what the host's kernel pins for it; an empty one pins a page unless it starts at one's boundary */
static uint64_t pages_of(const struct gmem_span *span, uint64_t length)
{
	return ((uintptr_t)span->va % PAGE + length + PAGE - 1) / PAGE;
}

/* takes @span over if it is a placed one and it works */
static int reg_mr(struct cmd *cmd, struct gmem_span *span, uint64_t pages)
{
	struct obj *pd = cmd->target;
	const struct hyv_req_reg_mr *req = cmd->req;
	struct hyv_resp_reg_mr *resp = cmd->resp;
	struct context *ctx = pd->context;
	const struct udata *udata = cmd_udata(cmd, ctx->device);
	struct ib_uverbs_reg_mr in = {
		.start = (uintptr_t)span->va,
		.length = le64toh(req->length),
		.hca_va = le64toh(req->iova),
		.pd_handle = pd->handle,
		.access_flags = le32toh(req->access),
	};
	struct ib_uverbs_reg_mr_resp out;
	struct mr *mr;
	int ret;

	if (!udata)
		return -EOPNOTSUPP;
	mr = calloc(1, sizeof(*mr));
	if (!mr)
		return -ENOMEM;
	ret = context_enter(ctx);
	if (!ret) {
		ret = uverbs_write(ctx->fd, context_driver(ctx), IB_USER_VERBS_CMD_REG_MR, &in,
				   sizeof(in), &out, sizeof(out), udata);
		context_leave(ctx);
	}
	if (ret) {
		free(mr);
		return ret;
	}
	obj_init(cmd->vm->objtab, &mr->obj, OBJ_MR, ctx, mr_release);
	mr->obj.handle = out.mr_handle;
	if (span->placed_in) {
		mr->placed = *span;
		*span = (struct gmem_span){ 0 };
	}
	mr->pages = pages;
	resp->lkey = htole32(out.lkey);
	resp->rkey = htole32(out.rkey);
	return object_publish(cmd->vm, &mr->obj, &dereg_mr, &resp->mr);
}

/* the memory that a request describes. Return: 0 and a span to be released, or a negative errno */
static int read_memory(struct cmd *cmd, __le32 num_extents, __le64 length, __le64 iova,
		       struct gmem_span *span)
{
	struct gmem_space *space = cmd->target->context->space;
	uint32_t n = le32toh(num_extents);
	struct gmem_extent *extents;
	int ret;

	ret = read_extents(cmd, n, le64toh(length), &extents);
	if (ret)
		return ret;
	if (space)
		ret = gmem_assemble_at(space, extents, n, le64toh(iova), span);
	else
		ret = gmem_assemble(cmd->vm->gmem, extents, n, span);
	free(extents);
	return ret;
}

int reg_mr_exec(struct cmd *cmd)
{
	const struct hyv_req_reg_mr *req = cmd->req;
	struct charges *charges = &cmd->target->context->charges;
	struct gmem_span span;
	uint64_t pages;
	int ret;

	ret = read_memory(cmd, req->num_extents, req->length, req->iova, &span);
	if (ret)
		return ret;
	pages = pages_of(&span, le64toh(req->length));
	ret = limit_charge(&cmd->vm->limits, charges, LIMIT_PAGES, pages);
	if (!ret) {
		ret = reg_mr(cmd, &span, pages);
		if (ret)
			limit_uncharge(&cmd->vm->limits, charges, LIMIT_PAGES, pages);
	}
	gmem_span_release(&span);
	return ret;
}

/* @span: the new memory, or NULL; @pd: the new protection domain, or NULL */
static int rereg_mr(struct cmd *cmd, const struct gmem_span *span, const struct obj *pd)
{
	const struct hyv_req_rereg_mr *req = cmd->req;
	struct hyv_resp_rereg_mr *resp = cmd->resp;
	struct context *ctx = cmd->target->context;
	struct ib_uverbs_rereg_mr in = {
		.mr_handle = cmd->target->handle,
		.flags = le32toh(req->flags),
		.access_flags = le32toh(req->access),
	};
	struct ib_uverbs_rereg_mr_resp out;
	int ret;

	if (span) {
		in.start = (uintptr_t)span->va;
		in.length = le64toh(req->length);
		in.hca_va = le64toh(req->iova);
	}
	if (pd)
		in.pd_handle = pd->handle;
	ret = uverbs_write(ctx->fd, context_driver(ctx), IB_USER_VERBS_CMD_REREG_MR, &in,
			   sizeof(in), &out, sizeof(out), NULL);
	if (ret)
		return ret;
	resp->mr = htole64(cmd->target->id);
	resp->lkey = htole32(out.lkey);
	resp->rkey = htole32(out.rkey);
	return 0;
}

static int rereg_mr_in(struct cmd *cmd, const struct obj *pd)
{
	const struct hyv_req_rereg_mr *req = cmd->req;
	struct charges *charges = &cmd->target->context->charges;
	struct mr *mr = mr_of(cmd->target);
	struct gmem_span span;
	uint64_t pages, given_back;
	int ret;

	if (!(le32toh(req->flags) & HYV_REREG_TRANS))
		return req->num_extents || cmd->tail_len ? -EINVAL : rereg_mr(cmd, NULL, pd);
	ret = read_memory(cmd, req->num_extents, req->length, req->iova, &span);
	if (ret)
		return ret;
	pages = pages_of(&span, le64toh(req->length));
	given_back = pages;
	ret = limit_charge(&cmd->vm->limits, charges, LIMIT_PAGES, pages);
	if (!ret) {
		ret = rereg_mr(cmd, &span, pd);
		if (!ret) {
			given_back = mr->pages;
			mr->pages = pages;
		}
		limit_uncharge(&cmd->vm->limits, charges, LIMIT_PAGES, given_back);
	}
	gmem_span_release(&span);
	return ret;
}

static int rereg_mr_alone(struct cmd *cmd)
{
	const struct hyv_req_rereg_mr *req = cmd->req;
	struct obj *pd;
	int ret;

	if (!(le32toh(req->flags) & HYV_REREG_PD))
		return rereg_mr_in(cmd, NULL);
	pd = cmd_get_object(cmd, req->pd, OBJ_PD);
	if (!pd)
		return -ENOENT;
	ret = pd->context == cmd->target->context ? rereg_mr_in(cmd, pd) : -EINVAL;
	cmd_put_object(cmd, pd);
	return ret;
}

/* The guest's kernel lets nobody re-register a region twice at once, nor while it is destroyed. */
int rereg_mr_exec(struct cmd *cmd)
{
	const struct hyv_req_rereg_mr *req = cmd->req;
	struct mr *mr = mr_of(cmd->target);
	int ret;

	if (req->reserved)
		return -EINVAL;
	if (atomic_flag_test_and_set(&mr->is_changing))
		return -EBUSY;
	ret = rereg_mr_alone(cmd);
	atomic_flag_clear(&mr->is_changing);
	return ret;
}

int dereg_mr_exec(struct cmd *cmd)
{
	struct mr *mr = mr_of(cmd->target);
	int ret;

	if (atomic_flag_test_and_set(&mr->is_changing))
		return -EBUSY;
	ret = object_destroy(cmd, &dereg_mr);
	if (ret == CMD_DEFERRED)
		return ret;
	if (ret) {
		atomic_flag_clear(&mr->is_changing);
		return ret;
	}
	limit_uncharge(&cmd->vm->limits, &cmd->target->context->charges, LIMIT_PAGES, mr->pages);
	gmem_span_release(&mr->placed); /* here, since it may take a while */
	return 0;
}
