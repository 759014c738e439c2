// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Three corrections of QEMU's emulation of x86 processors, preloaded into the QEMU that emulates the lab's host VM. All concern AMD SVM, in
 * QEMU 7.2 (the third: 11.1) to 11.1 at least. Each changes nothing unless the machine code is what it knows, and says so then. To be deleted with the first
 * QEMU that has them mended.
 *
 * The flags of the first processor. cpu_clear_ignne() (target/i386/tcg/system/fpu_helper.c), which every FXRSTOR, XRSTOR and FLDENV of every
 * processor calls, clears a bit in env->hflags2 of the first one, by an AND that is not atomic. If that processor changes its own flags at
 * that very moment, its change is undone: nested paging is off although VMRUN has switched it on, so that the nested guest runs in the memory
 * of the hypervisor, with its page tables taken for the hypervisor's; or interrupts are on that VMEXIT has switched off, or the reverse, for
 * good. Guests reset themselves, the host VM panics ("corrupted stack end detected"), resets itself or hangs. Here the function returns at once:
 * the bit is one for FPU errors as MS-DOS handled them, and is never set.
 *
 * An interrupt delivered twice. When a hypervisor enters its guest with an interrupt to inject, helper_vmrun() (svm_helper.c) writes the
 * vector to cpu->exception_index, delivers the interrupt itself, and leaves the vector there. If the emulated processor is then asked to
 * leave its loop before the next exit or exception, the main loop takes what it finds for an exception still to be delivered: the nested
 * guest gets the same vector again, interrupts off or not, where its kernel never expects one. It hangs or triple-faults: two guests that ran
 * nothing special did so within 30 s while the host VM was paused and resumed 50 times a second, and lived through 5154 such pauses with this.
 * Here a function in the place of do_interrupt_x86_hardirq() does the same and then forgets the vector, as its other caller does.
 *
 * A nested guest's task priority. helper_write_crN() (misc_helper.c) calls cpu_interrupt() for its own processor when a nested guest writes CR8
 * while a virtual interrupt waits, without the lock which that asserts: QEMU aborts. Linux does not use CR8, UEFI firmware does. Here
 * cpu_interrupt() does without the lock: a processor's request to itself is one atomic OR. Who calls it for another has the lock.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void (*do_interrupt_all)(void *cpu, int intno, int is_int, int error_code, uint64_t next_eip, int is_hw);
static uint32_t env_in_cpu, exception_index_in_cpu; /* offsets */

static void do_interrupt_x86_hardirq(uint8_t *env, int intno, int is_hw)
{
	uint8_t *cpu = env - env_in_cpu;

	do_interrupt_all(cpu, intno, 0, 0, 0, is_hw);
	*(int32_t *)(cpu + exception_index_in_cpu) = -1;
}

/* the bytes of @code from @at on are @want, with the number at @number in between */
static bool is_code(const uint8_t *code, size_t at, const char *want, size_t len, size_t number, uint32_t *value)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (i >= number && i < number + 4)
			continue;
		if (code[at + i] != (uint8_t)want[i])
			return false;
	}
	memcpy(value, code + at + number, sizeof(*value));
	return true;
}

/* Return: whether @len bytes of @code can be written */
static bool unlock(const void *code, size_t len, int protection)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)code & -page;

	return !mprotect((void *)from, (uintptr_t)code + len - from, protection);
}

static bool forget_vector(void)
{
	static const char sub_rdi[] = "\x48\x81\xef....";			  /* sub $cpu.env, %rdi */
	static const char forget[] = "\xc7\x87....\xff\xff\xff\xff";		  /* movl $-1, cpu.exception_index(%rdi) */
	uint8_t jump[] = "\x48\xb8........\xff\xe0";				  /* mov $function, %rax; jmp *%rax */
	void (*function)(uint8_t *env, int intno, int is_hw) = do_interrupt_x86_hardirq;
	uint8_t *hardirq = dlsym(RTLD_DEFAULT, "do_interrupt_x86_hardirq");
	const uint8_t *noexc = dlsym(RTLD_DEFAULT, "cpu_loop_exit_noexc");

	memcpy(jump + 2, &function, sizeof(function));
	if (!hardirq || !noexc || !is_code(hardirq, 7, sub_rdi, 7, 3, &env_in_cpu) ||
	    !is_code(noexc, 10, forget, 10, 2, &exception_index_in_cpu) ||
	    !unlock(hardirq, sizeof(jump) - 1, PROT_READ | PROT_WRITE | PROT_EXEC))
		return false;
	memcpy(hardirq, jump, sizeof(jump) - 1);
	return unlock(hardirq, sizeof(jump) - 1, PROT_READ | PROT_EXEC);
}

static bool clear_no_ignne(void)
{
	static const char and[] = "\x81\xa0....\x7f\xff\xff\xff";		  /* andl $~0x80, hflags2(%rax) */
	uint8_t *clear = dlsym(RTLD_DEFAULT, "cpu_clear_ignne");
	const size_t at = 4; /* behind endbr64 */
	uint32_t hflags2;

	if (!clear || !is_code(clear, 46, and, sizeof(and) - 1, 2, &hflags2) || !unlock(clear + at, 1, PROT_READ | PROT_WRITE | PROT_EXEC))
		return false;
	clear[at] = 0xc3; /* ret */
	return unlock(clear + at, 1, PROT_READ | PROT_EXEC);
}

static bool interrupt_unlocked(void)
{
	static const char assert[] = "\xe8....\x84\xc0\x74\x14";		  /* call bql_locked; test %al, %al; je to the failure */
	uint8_t *interrupt = dlsym(RTLD_DEFAULT, "cpu_interrupt");
	const size_t at = 8, je = 15;
	uint32_t distance;

	if (!interrupt || !is_code(interrupt, at, assert, sizeof(assert) - 1, 1, &distance) ||
	    !unlock(interrupt + je, 2, PROT_READ | PROT_WRITE | PROT_EXEC))
		return false;
	memset(interrupt + je, 0x90, 2); /* nop */
	return unlock(interrupt + je, 2, PROT_READ | PROT_EXEC);
}

__attribute__((constructor)) static void mend(void)
{
	do_interrupt_all = dlsym(RTLD_DEFAULT, "do_interrupt_all");
	if (!do_interrupt_all)
		return; /* it emulates no x86 processor */
	if (forget_vector() && clear_no_ignne() && interrupt_unlocked())
		fputs("qemu_fix: the emulation of SVM is corrected\n", stderr);
	else
		fputs("qemu_fix: this QEMU's code is not known here, guests and host may reset themselves\n", stderr);
}
