/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's objects, by id: see objtab.c */
#ifndef HYVD_OBJTAB_H
#define HYVD_OBJTAB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

enum obj_type {
	OBJ_NONE,
	OBJ_ANY, /* to look for, not to be */
	OBJ_CONTEXT,
	OBJ_PD,
	OBJ_MR,
	OBJ_CQ,
	OBJ_QP,
	OBJ_SRQ,
	OBJ_AH,
	OBJ_MW,
	OBJ_CM, /* lives in no context */
};

/**
 * struct event_source - something that events are about, with those the guest has not been told of
 * yet
 * @completion: a completion event is due
 * @async: bit n: uverbs event_type n is due
 * @is_pending: it is in the table's list
 * @is_over: the guest destroyed what it is about: note nothing more
 * @type: enum hyv_event_type that @completion stands for
 *
 * Guarded by the table's lock.
 */
struct event_source {
	uint32_t device;
	uint64_t object;
	uint32_t port;
	bool completion;
	bool is_pending;
	bool is_over;
	uint32_t type;
	uint64_t async;
	TAILQ_ENTRY(event_source) pending;
};

struct context;
struct device;

#define DEVICE_ANY UINT32_MAX /* where the id of a device is asked for */

/**
 * struct obj - head of every object
 * @id: what the guest calls it
 * @handle: what the host's uverbs calls it, in its context's file
 * @context: the context it lives in, which it holds a reference to; itself for a context; NULL for
 *           what lives in none
 * @device: of what lives in no context, which sets it before it publishes it
 * @release: frees it when the last reference is gone; called without locks, on any thread
 * @is_going: a request destroys it on the host
 * @refs: references, guarded by the table's lock; the table holds one
 */
struct obj {
	uint64_t id;
	enum obj_type type;
	uint32_t handle;
	struct context *context;
	struct device *device;
	void (*release)(struct obj *obj);
	atomic_bool is_going;
	unsigned int refs;
	bool is_published;
	struct event_source events;
	TAILQ_ENTRY(obj) sibling;
	UT_hash_handle hh;
};

TAILQ_HEAD(obj_list, obj);

struct objtab;

/** objtab_create() - Return: an empty table, or NULL when there is no memory */
struct objtab *objtab_create(void);

void objtab_destroy(struct objtab *tab);

/**
 * obj_init() - a new object with an id of its own, one reference (the caller's) and one on its
 * context
 * @context: where it lives; NULL for a context or CM id
 */
void obj_init(struct objtab *tab, struct obj *obj, enum obj_type type, struct context *context,
	      void (*release)(struct obj *obj));

/**
 * objtab_publish() - let the guest find an object: the last step of making it
 *
 * The table takes over the caller's reference.
 *
 * Return: 0, or -ENODEV when its context is being freed or its device is going; then the reference is
 * still the caller's.
 */
int objtab_publish(struct objtab *tab, struct obj *obj);

/**
 * objtab_get() - find an object
 *
 * Return: the object with a reference for the caller, or NULL if the guest has none of that id and
 * type.
 */
struct obj *objtab_get(struct objtab *tab, uint64_t id, enum obj_type type);

void obj_get(struct objtab *tab, struct obj *obj);

/**
 * obj_try_get() - for who does not know whether the object still has a reference, but that its
 * memory stays. Return: whether there is one, and one more now
 */
bool obj_try_get(struct objtab *tab, struct obj *obj);
void obj_put(struct objtab *tab, struct obj *obj);

/** objtab_is_published() - Return: whether the guest can name @obj, to which the caller has access */
bool objtab_is_published(struct objtab *tab, const struct obj *obj);

/**
 * objtab_remove() - the guest cannot find it any more, nor hears of events of it
 *
 * Drops the table's reference. Return: false if somebody else had removed it before.
 */
bool objtab_remove(struct objtab *tab, struct obj *obj);

/**
 * objtab_remove_context() - the same for a context and all that is published in it; nothing can
 * be published after
 */
bool objtab_remove_context(struct objtab *tab, struct context *context);

/**
 * objtab_first() - Return: some object that lives in no other, with a reference for the caller, or NULL
 * if there is none
 * @type: OBJ_CONTEXT or OBJ_CM
 * @device: id of the device that it is on, or DEVICE_ANY
 */
struct obj *objtab_first(struct objtab *tab, enum obj_type type, uint32_t device);

/** obj_device() - Return: the device that a published object is on; valid as long as the object is */
struct device *obj_device(const struct obj *obj);

/**
 * objtab_walk() - look at every published object, each context before what is in it
 * @each: called with the table's lock held: it must not wait, nor call the table
 */
void objtab_walk(struct objtab *tab, void (*each)(const struct obj *obj, void *arg), void *arg);

/** objtab_notify() - remember that events are due: a completion and the bits of @async */
void objtab_notify(struct objtab *tab, struct event_source *source, bool completion,
		   uint64_t async);

/** objtab_hush() - nothing is due for @source, now and from now on: it may be freed */
void objtab_hush(struct objtab *tab, struct event_source *source);

/** objtab_any_event() - Return: whether an event is due */
bool objtab_any_event(struct objtab *tab);

/**
 * objtab_next_event() - take the next event that is due
 * @completion: out: it is a completion event
 * @code: out: otherwise, the uverbs event_type
 *
 * Return: true and a copy of the source's identity in @source, false when nothing is due.
 */
bool objtab_next_event(struct objtab *tab, struct event_source *source, bool *completion,
		       uint32_t *code);

#endif
