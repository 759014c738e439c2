// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A bounded pool of threads. Verbs that may wait in the host's kernel run here, so that the event
 * loop never does; they come from dispatch.c in the order of the ring and may finish in another.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include "pool.h"

/**
 * struct pool - the threads and what waits for one
 * @lock: guards @jobs and @ending
 */
struct pool {
	pthread_mutex_t lock;
	pthread_cond_t more;
	STAILQ_HEAD(, job) jobs;
	bool ending;
	unsigned int num_threads;
	pthread_t threads[];
};

static void *pool_thread(void *arg)
{
	struct pool *pool = arg;
	struct job *job;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		job = STAILQ_FIRST(&pool->jobs);
		if (job) {
			STAILQ_REMOVE_HEAD(&pool->jobs, next);
			pthread_mutex_unlock(&pool->lock);
			job->run(job);
			pthread_mutex_lock(&pool->lock);
		} else if (pool->ending) {
			break;
		} else {
			pthread_cond_wait(&pool->more, &pool->lock);
		}
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

struct pool *pool_create(unsigned int threads)
{
	struct pool *pool = calloc(1, sizeof(*pool) + threads * sizeof(pool->threads[0]));
	sigset_t all, before;
	int err = 0;

	if (!pool)
		return NULL;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->more, NULL);
	STAILQ_INIT(&pool->jobs);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the event loop's */
	while (pool->num_threads < threads && !err) {
		err = pthread_create(&pool->threads[pool->num_threads], NULL, pool_thread, pool);
		pool->num_threads += !err;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err) {
		pool_destroy(pool);
		errno = err;
		return NULL;
	}
	return pool;
}

void pool_submit(struct pool *pool, struct job *job)
{
	pthread_mutex_lock(&pool->lock);
	STAILQ_INSERT_TAIL(&pool->jobs, job, next);
	pthread_cond_signal(&pool->more);
	pthread_mutex_unlock(&pool->lock);
}

void pool_destroy(struct pool *pool)
{
	unsigned int i;

	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->more);
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < pool->num_threads; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->more);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
