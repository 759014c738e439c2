// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hyv_window under KVM, without QEMU: a few instructions of guest code read and write a window while
 * its pages are switched, revoked and orphaned. KVM_RUN must never fail, and the guest must never
 * read a page that was taken away. Runs as root on a machine with the module and KVM.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include <linux/kvm.h>

#include "harness.h"

#define PAGES		16UL			/* in the window, one real-mode segment */
#define SIZE		(PAGES * PAGE)
#define MAX_CPUS	2

/* Guest-physical memory: 64 KiB of RAM, then the window. */
#define GUEST_CODE	0x1000
#define GUEST_STOP	0x2000			/* byte: the host asks the guest to halt */
#define GUEST_COUNTS	0x2100			/* 8 bytes per processor: pages touched */
#define GUEST_WINDOW	0x10000
#define GUEST_POISON	0x10			/* port: the guest has read POISON */

#define POISON		0xdead			/* in a page only while it must not be seen */

/*
 * Reads the first word of every page of the window, compares it with POISON, and writes the third;
 * %ds is the window's segment, %di points to the processor's count.
 */
asm(".pushsection .rodata\n"
    ".code16\n"
    "guest_start:\n"
    "1:	xor	%si, %si\n"
    "2:	mov	(%si), %ax\n"
    "	cmp	$0xdead, %ax\n"
    "	je	3f\n"
    "	mov	%si, 16(%si)\n"
    "	incl	%cs:(%di)\n"
    "	add	$0x1000, %si\n"
    "	jnz	2b\n"
    "	cmpb	$0, %cs:0x2000\n"
    "	je	1b\n"
    "	hlt\n"
    "3:	out	%al, $0x10\n"
    "	jmp	1b\n"
    "guest_end:\n"
    ".code64\n"
    ".popsection\n");
extern const char guest_start[], guest_end[];

/**
 * struct shared - what creator and VMM, two processes, tell each other
 * @running: the guest is up
 * @stop: the creator wants it to halt
 * @failures: KVM_RUN failed with EFAULT: QEMU would have stopped the machine
 * @poisoned: the guest has seen a page that was taken away
 * @emulated: KVM made the VMM carry out a load or store
 */
struct shared {
	int running, stop;
	unsigned long failures, poisoned, emulated;
	uint64_t counts[MAX_CPUS];
};

/* ---- the VMM ---- */

struct vmm {
	int kvm, vm, cpus;
	void *ram, *view;
	struct shared *shared;
};

struct cpu {
	struct vmm *vmm;
	int index;
};

static void emulate(struct vmm *v, struct kvm_run *run)
{
	void *p = (char *)v->view + (run->mmio.phys_addr - GUEST_WINDOW);

	CHECK(run->mmio.phys_addr >= GUEST_WINDOW);
	CHECK(run->mmio.phys_addr + run->mmio.len <= GUEST_WINDOW + SIZE);
	if (run->mmio.is_write)
		memcpy(p, run->mmio.data, run->mmio.len);
	else
		memcpy(run->mmio.data, p, run->mmio.len);
	__atomic_add_fetch(&v->shared->emulated, 1, __ATOMIC_RELAXED);
}

static void *cpu_thread(void *arg)
{
	struct cpu *cpu = arg;
	struct vmm *v = cpu->vmm;
	struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2 };
	struct kvm_sregs sregs;
	struct kvm_run *run;
	int fd = ioctl(v->vm, KVM_CREATE_VCPU, cpu->index);
	int size = ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	CHECK(fd >= 0 && size > 0);
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(run != MAP_FAILED);
	CHECK(!ioctl(fd, KVM_GET_SREGS, &sregs));
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	sregs.ds.base = GUEST_WINDOW;
	sregs.ds.selector = GUEST_WINDOW >> 4;
	CHECK(!ioctl(fd, KVM_SET_SREGS, &sregs));
	regs.rdi = GUEST_COUNTS + 8 * cpu->index;
	CHECK(!ioctl(fd, KVM_SET_REGS, &regs));
	for (;;) {
		if (ioctl(fd, KVM_RUN, 0)) {
			if (errno == EFAULT)
				__atomic_add_fetch(&v->shared->failures, 1, __ATOMIC_RELAXED);
			else
				CHECK(errno == EINTR || errno == EAGAIN);
		} else if (run->exit_reason == KVM_EXIT_HLT) {
			return NULL;
		} else if (run->exit_reason == KVM_EXIT_MMIO) {
			emulate(v, run);
		} else {
			CHECK_EQ(run->exit_reason, KVM_EXIT_IO);
			CHECK_EQ(run->io.port, GUEST_POISON);
			__atomic_add_fetch(&v->shared->poisoned, 1, __ATOMIC_RELAXED);
		}
	}
}

static _Noreturn void vmm_main(int window, int cpus, struct shared *shared)
{
	struct vmm v = { .cpus = cpus, .shared = shared };
	struct kvm_userspace_memory_region slot = { .memory_size = GUEST_WINDOW };
	struct cpu cpu[MAX_CPUS];
	pthread_t thread[MAX_CPUS];
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	v.kvm = open("/dev/kvm", O_RDWR);
	CHECK(v.kvm >= 0);
	v.vm = ioctl(v.kvm, KVM_CREATE_VM, 0);
	CHECK(v.vm >= 0);
	v.ram = mmap(NULL, GUEST_WINDOW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(v.ram != MAP_FAILED);
	memcpy((char *)v.ram + GUEST_CODE, guest_start, guest_end - guest_start);
	slot.userspace_addr = (uintptr_t)v.ram;
	CHECK(!ioctl(v.vm, KVM_SET_USER_MEMORY_REGION, &slot));
	v.view = window_view(window, 0, SIZE, PROT_READ | PROT_WRITE);
	close(window);
	slot = (struct kvm_userspace_memory_region){
		.slot = 1,
		.guest_phys_addr = GUEST_WINDOW,
		.memory_size = SIZE,
		.userspace_addr = (uintptr_t)v.view,
	};
	CHECK(!ioctl(v.vm, KVM_SET_USER_MEMORY_REGION, &slot));
	for (i = 0; i < cpus; i++) {
		cpu[i] = (struct cpu){ &v, i };
		CHECK(!pthread_create(&thread[i], NULL, cpu_thread, &cpu[i]));
	}
	for (;;) {
		for (i = 0; i < cpus; i++)
			shared->counts[i] = *word(v.ram, GUEST_COUNTS + 8 * i);
		if (__atomic_load_n(&shared->stop, __ATOMIC_SEQ_CST))
			break;
		for (i = 0; i < cpus && shared->counts[i]; i++)
			;
		shared->running = i == cpus;
		usleep(1000);
	}
	*((volatile char *)v.ram + GUEST_STOP) = 1;
	for (i = 0; i < cpus; i++)
		CHECK(!pthread_join(thread[i], NULL));
	_exit(0);
}

static struct shared *vmm_start(int window, int cpus, pid_t *pid)
{
	struct shared *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(shared != MAP_FAILED);
	if (access("/dev/kvm", R_OK | W_OK))
		test_skip("no /dev/kvm");
	*pid = fork();
	CHECK(*pid >= 0);
	if (!*pid)
		vmm_main(window, cpus, shared);
	while (!__atomic_load_n(&shared->running, __ATOMIC_SEQ_CST))
		usleep(1000);
	return shared;
}

/* the guest still runs: waits until each processor has touched all pages once more */
static void vmm_progress(const struct shared *s, int cpus)
{
	time_t start = time(NULL);
	uint64_t before[MAX_CPUS];
	int i;

	memcpy(before, s->counts, sizeof(before));
	for (i = 0; i < cpus; i++) {
		while ((uint32_t)(*(volatile uint64_t *)&s->counts[i] - before[i]) < 3 * PAGES) {
			CHECK(time(NULL) - start < 60);
			usleep(1000);
		}
	}
}

static void vmm_stop(struct shared *s, pid_t pid)
{
	__atomic_store_n(&s->stop, 1, __ATOMIC_SEQ_CST);
	CHECK_EQ(child_wait(pid), 0);
	CHECK_EQ(s->failures, 0);
	CHECK_EQ(s->poisoned, 0);
}

/* ---- the tests ---- */

static int window_of_pages(void)
{
	int window = window_create(SIZE);

	CHECK(window >= 0);
	return window;
}

static void guest_reads_and_writes(void)
{
	int window = window_of_pages();
	void *anon = memory_anon(4, 1), *pfnmap = memory_pfnmap(4, 1);
	struct shared *s;
	pid_t pid;
	size_t i;

	CHECK(!window_map(window, 0, anon, 4 * PAGE, 0));
	s = vmm_start(window, 1, &pid);
	CHECK(!window_map(window, 8 * PAGE, pfnmap, 4 * PAGE, 0));
	vmm_progress(s, 1);
	for (i = 0; i < 4; i++) {		/* the guest writes the page's offset */
		CHECK_EQ(*word(anon, i * PAGE + 16) & 0xffff, i * PAGE);
		CHECK_EQ(*word(pfnmap, i * PAGE + 16) & 0xffff, (8 + i) * PAGE);
	}
	*word(pfnmap, 3 * PAGE) = POISON;	/* and this is how the tests see what it reads */
	while (!*(volatile unsigned long *)&s->poisoned)
		usleep(1000);
	*word(pfnmap, 3 * PAGE) = 0;
	vmm_progress(s, 1);
	s->poisoned = 0;
	CHECK_EQ(s->emulated, 0);
	vmm_stop(s, pid);
}

static void guest_uses_registers(void)
{
	int window = window_of_pages();
	void *bar = memory_ivshmem("resource2", PAGES * PAGE);
	struct shared *s;
	pid_t pid;

	if (!bar)
		test_skip("no ivshmem device");
	memory_set(bar, PAGES, 0);
	s = vmm_start(window, 1, &pid);
	CHECK(!window_map(window, 0, bar, PAGES * PAGE, 0));
	vmm_progress(s, 1);
	CHECK_EQ(*word(bar, 5 * PAGE + 16) & 0xffff, 5 * PAGE);
	CHECK_EQ(s->emulated, 0);
	vmm_stop(s, pid);
}

/* switches pieces of several lengths; a page is poisoned as soon as UNMAP has returned */
static void switching(int cpus)
{
	int window = window_of_pages(), i;
	void *memory[2] = { memory_anon(PAGES, 0), memory_pfnmap(PAGES, 0) };
	time_t start = time(NULL);
	size_t first, pages;
	struct shared *s;
	pid_t pid;

	s = vmm_start(window, cpus, &pid);
	for (i = 0; race_goes_on(start); i++) {
		first = i % 5;
		pages = 1 + i % (PAGES - first);
		memory_set(memory[i % 2], pages, i % 100);
		CHECK(!window_map(window, first * PAGE, memory[i % 2], pages * PAGE, 0));
		CHECK(!window_unmap(window, first * PAGE, pages * PAGE));
		memory_set(memory[i % 2], pages, POISON);
	}
	vmm_progress(s, cpus);
	printf("# %d switches, %lu failures, %lu poisoned, %lu emulated, %lu page faults\n", i,
	       s->failures, s->poisoned, s->emulated, (unsigned long)window_info(window).faults);
	CHECK_EQ(s->emulated, 0);
	vmm_stop(s, pid);
	CHECK_EQ(window_info(window).pinned, 0);
}

static void switching_1_cpu(void)
{
	switching(1);
}

static void switching_2_cpus(void)
{
	switching(2);
}

/* the creator unmaps its memory without HYV_WINDOW_UNMAP; it lives on in a memfd, poisoned */
static void revoking(int cpus)
{
	int window = window_of_pages(), memfd = memfd_create("revoke", 0), i;
	time_t start = time(NULL);
	void *keep, *source;
	struct shared *s;
	pid_t pid;

	CHECK(memfd >= 0 && !ftruncate(memfd, 4 * PAGE));
	keep = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	CHECK(keep != MAP_FAILED);
	s = vmm_start(window, cpus, &pid);
	for (i = 0; race_goes_on(start); i++) {
		memory_set(keep, 4, i % 100);
		source = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
		CHECK(source != MAP_FAILED);
		CHECK(!window_map(window, i % 13 * PAGE, source, 4 * PAGE, 0));
		CHECK(!munmap(source, 4 * PAGE));
		memory_set(keep, 4, POISON);
		CHECK(!window_unmap(window, i % 13 * PAGE, 4 * PAGE));
	}
	vmm_progress(s, cpus);
	printf("# %d revocations, %lu failures, %lu poisoned\n", i, s->failures, s->poisoned);
	CHECK_EQ(window_info(window).revoked, i);
	vmm_stop(s, pid);
}

static void revoking_1_cpu(void)
{
	revoking(1);
}

static void revoking_2_cpus(void)
{
	revoking(2);
}

/* a guest's store to a read-only piece must neither get through nor stop the machine */
static void read_only(void)
{
	int window = window_of_pages();
	void *memory = memory_memfd(4, 1);
	struct shared *s;
	uint64_t holes;
	pid_t pid;
	size_t i;

	s = vmm_start(window, 2, &pid);
	vmm_progress(s, 2);
	holes = window_info(window).hole_faults;
	CHECK(!window_map(window, 0, memory, 4 * PAGE, HYV_WINDOW_MAP_RO));
	vmm_progress(s, 2);
	for (i = 0; i < 4; i++)
		CHECK_EQ(*word(memory, i * PAGE + 16), 0);
	CHECK(window_info(window).hole_faults > holes);		/* it is scratch now */
	vmm_stop(s, pid);
}

/* the creator is killed while the guest runs; the guest goes on, with scratch */
static void creator_killed(void)
{
	void *memory = memory_memfd(PAGES / 2, 1);
	time_t start = time(NULL);
	int window, fds[2], i;
	struct shared *s;
	pid_t pid, creator;

	CHECK(!pipe(fds));
	for (i = 0; race_goes_on(start); i++) {
		memory_set(memory, PAGES / 2, 1);
		creator = fork();
		if (!creator) {
			window = window_of_pages();
			CHECK(!window_map(window, 0, memory, PAGES / 2 * PAGE, 0));
			CHECK(!window_map(window, SIZE / 2, memory_pfnmap(4, 1), 4 * PAGE, 0));
			CHECK(write(fds[1], &window, sizeof(window)) == sizeof(window));
			pause();
			_exit(1);
		}
		CHECK(read(fds[0], &window, sizeof(window)) == sizeof(window));
		window = window_take(creator, window);
		s = vmm_start(window, 2, &pid);
		CHECK(!kill(creator, SIGKILL));
		CHECK_EQ(child_wait(creator), 128 + SIGKILL);
		memory_set(memory, PAGES / 2, POISON);
		vmm_progress(s, 2);
		CHECK_EQ(window_info(window).pinned, 0);
		vmm_stop(s, pid);
		close(window);
	}
	printf("# %d creators\n", i);
}

static const struct test tests[] = {
	{ "guest_reads_and_writes", guest_reads_and_writes },
	{ "guest_uses_registers", guest_uses_registers },
	{ "switching_1_cpu", switching_1_cpu },
	{ "switching_2_cpus", switching_2_cpus },
	{ "revoking_1_cpu", revoking_1_cpu },
	{ "revoking_2_cpus", revoking_2_cpus },
	{ "read_only", read_only },
	{ "creator_killed", creator_killed },
	{ }
};

int main(int argc, char **argv)
{
	return test_main(tests, argc, argv);
}
