// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A correction of QEMU's emulation of AMD SVM, preloaded into the QEMU that emulates the lab's host VM.
 *
 * When a hypervisor enters its guest with an interrupt to inject, QEMU (7.2 to 11.1 at least; helper_vmrun() in
 * target/i386/tcg/system/svm_helper.c) writes the vector to cpu->exception_index, delivers the interrupt itself, and leaves the vector
 * there. If the emulated processor is then asked to leave its loop before the next exit or exception, the main loop takes what it finds
 * for an exception still to be delivered: the nested guest gets the same vector again, interrupts off or not, where its kernel never
 * expects one. It hangs or triple-faults: two guests that ran nothing special did so within 30 s while the host VM was paused and resumed
 * 50 times a second, and lived through 5154 such pauses with this.
 *
 * This puts a function in the place of do_interrupt_x86_hardirq() that does the same and then forgets the vector, as its other caller
 * does. It changes nothing unless the machine code is what it knows, and says so then. To be deleted with the first QEMU that has it mended.
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

__attribute__((constructor)) static void mend(void)
{
	static const char sub_rdi[] = "\x48\x81\xef....";			  /* sub $cpu.env, %rdi */
	static const char forget[] = "\xc7\x87....\xff\xff\xff\xff";		  /* movl $-1, cpu.exception_index(%rdi) */
	uint8_t *hardirq = dlsym(RTLD_DEFAULT, "do_interrupt_x86_hardirq");
	const uint8_t *noexc = dlsym(RTLD_DEFAULT, "cpu_loop_exit_noexc");
	uint8_t jump[] = "\x48\xb8........\xff\xe0";				  /* mov $function, %rax; jmp *%rax */
	void (*function)(uint8_t *env, int intno, int is_hw) = do_interrupt_x86_hardirq;
	long page = sysconf(_SC_PAGESIZE);
	uint8_t *from;

	do_interrupt_all = dlsym(RTLD_DEFAULT, "do_interrupt_all");
	if (!hardirq || !noexc || !do_interrupt_all)
		return; /* it emulates no x86 processor */
	memcpy(jump + 2, &function, sizeof(function));
	from = (uint8_t *)((uintptr_t)hardirq & -(uintptr_t)page);
	if (!is_code(hardirq, 7, sub_rdi, 7, 3, &env_in_cpu) || !is_code(noexc, 10, forget, 10, 2, &exception_index_in_cpu) ||
	    mprotect(from, 2 * (size_t)page, PROT_READ | PROT_WRITE | PROT_EXEC)) {
		fputs("vmrun_fix: this QEMU's code is not known here, guests may reset themselves\n", stderr);
		return;
	}
	memcpy(hardirq, jump, sizeof(jump) - 1);
	mprotect(from, 2 * (size_t)page, PROT_READ | PROT_EXEC);
	fputs("vmrun_fix: the emulation of VMRUN is corrected\n", stderr);
}
