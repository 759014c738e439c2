// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Doorbells of devices whose ibv_post_send() ends in the kernel (rxe, siw). The guest sets a bit in
 * shared memory; this rings the host device for it. While the daemon looks, a post costs the guest
 * no exit; when nothing came for a while it goes to sleep, and the guest's next ring wakes it
 * through the doorbell queue. It looks on only where that pays: a processor that it takes from a
 * guest which does not post meanwhile makes the next post late. struct hyv_doorbells in wire.h has
 * the protocol. One ring serves all posts that came before it: the host's driver works until the
 * send queue is empty.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "context.h"
#include "doorbell.h"
#include "qp.h"
#include "vm.h"

#define BITS_PER_WORD	64u
#define NUM_WORDS	(HYV_NUM_DOORBELLS / BITS_PER_WORD)
#define NUM_SUMMARIES	(NUM_WORDS / BITS_PER_WORD)

#define POLLS_PER_ROUND 256 /* looks between two looks of the event loop at everything else */

/**
 * struct doorbell - the shared pages and whom they ring
 * @lock: guards @qps; held while one is rung, so that doorbell_release() can wait for that
 * @poll_ticks: the longest it looks on after a ring, in clock ticks
 * @patience: how long it looks on now: that, or not at all
 * @idle_since: clock ticks when something rang last
 * @num_rings: how often since it was woken
 * @round_ticks: how long it rings before the event loop does something else
 * @next_word: where it begins the next time
 */
struct doorbell {
	struct vm *vm;
	struct hyv_doorbells *shared;
	uint64_t poll_ticks;
	uint64_t patience;
	uint64_t idle_since;
	uint64_t num_rings;
	uint64_t round_ticks;
	uint32_t next_word;
	bool is_asleep;
	pthread_mutex_t lock;
	uint32_t next;
	struct qp *qps[HYV_NUM_DOORBELLS];
};

/* a clock that costs no system call even where the kernel has no fast one (emulated machines) */
static uint64_t ticks(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
#endif
}

static uint64_t ticks_per_ms(void)
{
	struct timespec begin, now;
	uint64_t first = ticks(), ns;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		clock_gettime(CLOCK_MONOTONIC, &now);
		ns = (uint64_t)(now.tv_sec - begin.tv_sec) * 1000000000 +
		     (uint64_t)(now.tv_nsec - begin.tv_nsec);
	} while (ns < 5000000);
	return (ticks() - first) * 1000000 / ns;
}

int doorbell_create(struct doorbell **out, struct vm *vm, unsigned int poll_us)
{
	struct doorbell *db = calloc(1, sizeof(*db));
	int fd, ret;

	if (!db)
		return -ENOMEM;
	db->vm = vm;
	pthread_mutex_init(&db->lock, NULL);
	/* a file of small pages: part of a huge page could not be shown in the window */
	fd = memfd_create("hyv-doorbells", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, HYV_DOORBELLS_SIZE))
		goto err;
	db->shared = mmap(NULL, HYV_DOORBELLS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (db->shared == MAP_FAILED)
		goto err;
	close(fd);
	db->shared->life = htole64(vm->life);
	db->shared->asleep = htole32(1);
	db->is_asleep = true;
	db->round_ticks = ticks_per_ms();
	db->poll_ticks = db->round_ticks * poll_us / 1000;
	*out = db;
	return 0;

err:
	ret = -errno;
	if (fd >= 0)
		close(fd);
	free(db);
	return ret;
}

void doorbell_destroy(struct doorbell *db)
{
	munmap(db->shared, HYV_DOORBELLS_SIZE);
	pthread_mutex_destroy(&db->lock);
	free(db);
}

struct hyv_doorbells *doorbell_memory(struct doorbell *db)
{
	return db->shared;
}

int doorbell_assign(struct doorbell *db, struct qp *qp, uint32_t *number)
{
	uint32_t i, n;
	int ret = -ENOMEM;

	pthread_mutex_lock(&db->lock);
	for (i = 0; i < HYV_NUM_DOORBELLS; i++) {
		n = (db->next + i) % HYV_NUM_DOORBELLS;
		if (db->qps[n])
			continue;
		db->qps[n] = qp;
		db->next = n + 1;
		*number = n;
		ret = 0;
		break;
	}
	pthread_mutex_unlock(&db->lock);
	return ret;
}

void doorbell_release(struct doorbell *db, uint32_t number)
{
	pthread_mutex_lock(&db->lock);
	db->qps[number] = NULL;
	pthread_mutex_unlock(&db->lock);
}

static _Atomic uint64_t *as_atomic(__le64 *word)
{
	return (_Atomic uint64_t *)word;
}

static void ring_word(struct doorbell *db, uint32_t word)
{
	uint64_t bits = le64toh(atomic_exchange(as_atomic(&db->shared->bits[word]), 0));
	uint32_t number;

	for (; bits; bits &= bits - 1) {
		number = word * BITS_PER_WORD + (uint32_t)__builtin_ctzll(bits);
		pthread_mutex_lock(&db->lock);
		if (db->qps[number])
			qp_ring(db->qps[number]);
		pthread_mutex_unlock(&db->lock);
	}
}

/* Ring what a summary tells of, from its word @from on. Return: whether there was any; some may be left over */
static bool ring_summary(struct doorbell *db, uint32_t i, uint32_t from, uint64_t deadline)
{
	_Atomic uint64_t *summary = as_atomic(&db->shared->summary[i]);
	uint64_t mask = htole64(~0ull << from), words;
	uint32_t word;

	if (!(atomic_load_explicit(summary, memory_order_relaxed) & mask))
		return false;
	words = le64toh(atomic_fetch_and(summary, ~mask) & mask);
	while (words) {
		word = i * BITS_PER_WORD + (uint32_t)__builtin_ctzll(words);
		words &= words - 1;
		ring_word(db, word);
		db->next_word = (word + 1) % NUM_WORDS;
		if (ticks() >= deadline)
			break;
	}
	if (words)
		atomic_fetch_or(summary, htole64(words));
	return true;
}

/* Return: whether anybody had to be rung. Who is left over when time is up comes first the next time. */
static bool ring_all(struct doorbell *db)
{
	uint64_t deadline = ticks() + db->round_ticks;
	uint32_t first = db->next_word, n;
	bool any = false;

	/* the summary that it begins in is the last one, too, for the words before */
	for (n = 0; n <= NUM_SUMMARIES && (!any || ticks() < deadline); n++)
		any |= ring_summary(db, (first / BITS_PER_WORD + n) % NUM_SUMMARIES,
				    n ? 0 : first % BITS_PER_WORD, deadline);
	return any;
}

static void set_asleep(struct doorbell *db, bool asleep)
{
	db->is_asleep = asleep;
	atomic_store((_Atomic uint32_t *)&db->shared->asleep, htole32(asleep)); /* a full barrier */
}

void doorbell_wake(struct doorbell *db)
{
	uint64_t now = ticks();

	if (!db->is_asleep)
		return;
	if (now - db->idle_since < db->poll_ticks)
		db->patience = db->poll_ticks; /* looking on would have seen this one */
	db->idle_since = now;
	db->num_rings = 0;
	set_asleep(db, false);
}

/* Return: whether anybody had to be rung */
static bool look(struct doorbell *db)
{
	if (!ring_all(db))
		return false;
	db->num_rings++;
	db->idle_since = ticks();
	return true;
}

bool doorbell_poll(struct doorbell *db)
{
	if (look(db) || ticks() - db->idle_since < db->patience)
		return true;
	if (db->num_rings <= 1)
		db->patience = 0; /* it has seen none but the one that woke it */
	set_asleep(db, true);
	if (!look(db))
		return false;
	doorbell_wake(db);
	return true;
}

bool doorbell_poll_round(struct doorbell *db)
{
	uint64_t deadline = ticks() + db->round_ticks;
	unsigned int i = 0;
	bool awake;

	do
		awake = doorbell_poll(db);
	while (awake && ++i < POLLS_PER_ROUND && ticks() < deadline);
	return awake;
}

bool doorbell_asleep(const struct doorbell *db)
{
	return db->is_asleep;
}
