// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's objects by id, and the events that are due for them. Every verb's handler finds here
 * what an id of the guest means; event.c takes from here what the guest has to be told.
 *
 * An object lives as long as somebody holds a reference: the table while it is published, a handler
 * while it works on it. Each object holds its context, so a context's file is closed only after the
 * last handler that uses it is done. Ids count up and are never used again.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <hyv/wire.h>
#include "context.h"
#include "objtab.h"

/**
 * struct objtab - the table
 * @lock: guards everything below, the references of all objects and their event sources
 */
struct objtab {
	pthread_mutex_t lock;
	struct obj *by_id;
	struct obj_list contexts;
	struct obj_list cms;
	TAILQ_HEAD(, event_source) pending;
	uint64_t next_id;
};

struct objtab *objtab_create(void)
{
	struct objtab *tab = calloc(1, sizeof(*tab));

	if (!tab)
		return NULL;
	pthread_mutex_init(&tab->lock, NULL);
	TAILQ_INIT(&tab->contexts);
	TAILQ_INIT(&tab->cms);
	TAILQ_INIT(&tab->pending);
	return tab;
}

void objtab_destroy(struct objtab *tab)
{
	pthread_mutex_destroy(&tab->lock);
	free(tab);
}

void obj_init(struct objtab *tab, struct obj *obj, enum obj_type type, struct context *context,
	      void (*release)(struct obj *obj))
{
	pthread_mutex_lock(&tab->lock);
	obj->id = ++tab->next_id;
	obj->type = type;
	obj->context = context;
	obj->release = release;
	obj->refs = 1;
	obj->events.object = obj->id;
	obj->events.type = type == OBJ_CM ? HYV_EVENT_CM : HYV_EVENT_COMPLETION;
	if (context) {
		context->obj.refs++;
		obj->events.device = context->device->id;
	}
	pthread_mutex_unlock(&tab->lock);
}

struct device *obj_device(const struct obj *obj)
{
	return obj->context ? obj->context->device : obj->device;
}

/*
 * Whoever frees what is on a device that is going sets @is_going first: each object is published
 * before, and found, or not at all. In a context that is there already, objects may still be made.
 */
static bool comes_too_late(const struct obj *obj)
{
	bool is_in_context = obj->type != OBJ_CONTEXT && obj->context;

	return !is_in_context && atomic_load(&obj_device(obj)->is_going);
}

int objtab_publish(struct objtab *tab, struct obj *obj)
{
	int ret = 0;

	pthread_mutex_lock(&tab->lock);
	if (comes_too_late(obj)) {
		ret = -ENODEV;
		goto out;
	}
	if (obj->type == OBJ_CONTEXT) {
		TAILQ_INSERT_TAIL(&tab->contexts, obj, sibling);
	} else if (!obj->context) {
		TAILQ_INSERT_TAIL(&tab->cms, obj, sibling);
	} else if (obj->context->obj.is_published) {
		TAILQ_INSERT_TAIL(&obj->context->children, obj, sibling);
	} else {
		ret = -ENODEV;
		goto out;
	}
	obj->is_published = true;
	HASH_ADD(hh, tab->by_id, id, sizeof(obj->id), obj);
out:
	pthread_mutex_unlock(&tab->lock);
	return ret;
}

struct obj *objtab_get(struct objtab *tab, uint64_t id, enum obj_type type)
{
	struct obj *obj;

	pthread_mutex_lock(&tab->lock);
	HASH_FIND(hh, tab->by_id, &id, sizeof(id), obj);
	if (obj && type != OBJ_ANY && obj->type != type)
		obj = NULL;
	if (obj)
		obj->refs++;
	pthread_mutex_unlock(&tab->lock);
	return obj;
}

void obj_get(struct objtab *tab, struct obj *obj)
{
	pthread_mutex_lock(&tab->lock);
	obj->refs++;
	pthread_mutex_unlock(&tab->lock);
}

bool obj_try_get(struct objtab *tab, struct obj *obj)
{
	bool is_alive;

	pthread_mutex_lock(&tab->lock);
	is_alive = obj->refs;
	obj->refs += is_alive;
	pthread_mutex_unlock(&tab->lock);
	return is_alive;
}

void obj_put(struct objtab *tab, struct obj *obj)
{
	struct context *context = obj->type == OBJ_CONTEXT ? NULL : obj->context;
	bool last;

	pthread_mutex_lock(&tab->lock);
	last = !--obj->refs;
	pthread_mutex_unlock(&tab->lock);
	if (!last)
		return;
	obj->release(obj);
	if (context)
		obj_put(tab, &context->obj);
}

/* with the lock held */
static void hush(struct objtab *tab, struct event_source *source)
{
	if (source->is_pending)
		TAILQ_REMOVE(&tab->pending, source, pending);
	source->is_pending = false;
	source->is_over = true;
}

/* with the lock held */
static void unpublish(struct objtab *tab, struct obj *obj)
{
	struct obj_list *siblings = obj->type == OBJ_CONTEXT ? &tab->contexts :
				    !obj->context	     ? &tab->cms :
							       &obj->context->children;

	obj->is_published = false;
	HASH_DELETE(hh, tab->by_id, obj); /* NOLINT: uthash's own lists are beyond the analyser */
	TAILQ_REMOVE(siblings, obj, sibling);
	hush(tab, &obj->events);
}

bool objtab_is_published(struct objtab *tab, const struct obj *obj)
{
	bool is_published;

	pthread_mutex_lock(&tab->lock);
	is_published = obj->is_published;
	pthread_mutex_unlock(&tab->lock);
	return is_published;
}

bool objtab_remove(struct objtab *tab, struct obj *obj)
{
	bool was_published;

	pthread_mutex_lock(&tab->lock);
	was_published = obj->is_published;
	if (was_published)
		unpublish(tab, obj);
	pthread_mutex_unlock(&tab->lock);
	if (was_published)
		obj_put(tab, obj);
	return was_published;
}

bool objtab_remove_context(struct objtab *tab, struct context *context)
{
	struct obj_list removed = TAILQ_HEAD_INITIALIZER(removed);
	struct obj *obj;
	bool was_published;

	pthread_mutex_lock(&tab->lock);
	was_published = context->obj.is_published;
	if (was_published)
		unpublish(tab, &context->obj);
	while (was_published && (obj = TAILQ_FIRST(&context->children))) {
		unpublish(tab, obj);
		TAILQ_INSERT_TAIL(&removed, obj, sibling);
	}
	pthread_mutex_unlock(&tab->lock);
	while ((obj = TAILQ_FIRST(&removed))) {
		TAILQ_REMOVE(&removed, obj, sibling);
		obj_put(tab, obj);
	}
	if (was_published)
		obj_put(tab, &context->obj);
	return was_published;
}

struct obj *objtab_first(struct objtab *tab, enum obj_type type, uint32_t device)
{
	struct obj *obj;

	pthread_mutex_lock(&tab->lock);
	TAILQ_FOREACH(obj, type == OBJ_CM ? &tab->cms : &tab->contexts, sibling)
		if (device == DEVICE_ANY || obj_device(obj)->id == device)
			break;
	if (obj)
		obj->refs++;
	pthread_mutex_unlock(&tab->lock);
	return obj;
}

void objtab_walk(struct objtab *tab, void (*each)(const struct obj *obj, void *arg), void *arg)
{
	struct obj *context, *child;

	pthread_mutex_lock(&tab->lock);
	TAILQ_FOREACH(context, &tab->contexts, sibling) {
		each(context, arg);
		TAILQ_FOREACH(child, &context_of(context)->children, sibling)
			each(child, arg);
	}
	TAILQ_FOREACH(child, &tab->cms, sibling)
		each(child, arg);
	pthread_mutex_unlock(&tab->lock);
}

void objtab_notify(struct objtab *tab, struct event_source *source, bool completion, uint64_t async)
{
	pthread_mutex_lock(&tab->lock);
	if (!source->is_over) {
		source->completion |= completion;
		source->async |= async;
		if (!source->is_pending)
			TAILQ_INSERT_TAIL(&tab->pending, source, pending);
		source->is_pending = true;
	}
	pthread_mutex_unlock(&tab->lock);
}

void objtab_hush(struct objtab *tab, struct event_source *source)
{
	pthread_mutex_lock(&tab->lock);
	hush(tab, source);
	pthread_mutex_unlock(&tab->lock);
}

bool objtab_any_event(struct objtab *tab)
{
	bool any;

	pthread_mutex_lock(&tab->lock);
	any = !TAILQ_EMPTY(&tab->pending);
	pthread_mutex_unlock(&tab->lock);
	return any;
}

bool objtab_next_event(struct objtab *tab, struct event_source *copy, bool *completion,
		       uint32_t *code)
{
	struct event_source *source;

	pthread_mutex_lock(&tab->lock);
	source = TAILQ_FIRST(&tab->pending);
	if (!source) {
		pthread_mutex_unlock(&tab->lock);
		return false;
	}
	*copy = *source;
	*completion = source->completion;
	if (source->completion) {
		source->completion = false;
	} else {
		*code = (uint32_t)__builtin_ctzll(source->async);
		source->async &= source->async - 1;
	}
	if (!source->async) {
		TAILQ_REMOVE(&tab->pending, source, pending);
		source->is_pending = false;
	}
	pthread_mutex_unlock(&tab->lock);
	return true;
}
