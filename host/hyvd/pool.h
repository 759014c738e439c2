/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads that run what may wait: see pool.c */
#ifndef HYVD_POOL_H
#define HYVD_POOL_H

#include <sys/queue.h>

/**
 * struct job - embedded in what is to be done; @run is called once, on some thread, and owns the
 * job from then on
 */
struct job {
	void (*run)(struct job *job);
	STAILQ_ENTRY(job) next;
};

struct pool;

/** pool_create() - Return: a pool of @threads threads, or NULL with errno set */
struct pool *pool_create(unsigned int threads);

/** pool_submit() - run @job soon, on any thread */
void pool_submit(struct pool *pool, struct job *job);

/** pool_destroy() - wait until all jobs are done, then end the threads */
void pool_destroy(struct pool *pool);

#endif
