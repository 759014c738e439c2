// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * inject_syscall PID NUMBER [ARGUMENT [ARGUMENT]] - has a running process make a system call, as
 * somebody could who has taken it over. It has to be one that sleeps in the kernel now and then.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSCALL_INSTRUCTION 0x050f
#define TRIES		    10000

static unsigned long argument(char **argv, int argc, int i)
{
	return i < argc ? strtoul(argv[i], NULL, 0) : 0;
}

/* Return: whether @pid, which is stopped then, has just come from a system call */
static int stop(pid_t pid, struct user_regs_struct *regs)
{
	if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) || waitpid(pid, NULL, __WALL) != pid ||
	    ptrace(PTRACE_GETREGS, pid, NULL, regs))
		err(1, "tracing %d", pid);
	errno = 0;
	return (ptrace(PTRACE_PEEKTEXT, pid, regs->rip - 2, NULL) & 0xffff) ==
		       SYSCALL_INSTRUCTION &&
	       !errno;
}

int main(int argc, char **argv)
{
	struct user_regs_struct regs;
	pid_t pid;
	int i;

	if (argc < 3)
		errx(64, "usage: inject_syscall PID NUMBER [ARGUMENT [ARGUMENT]]");
	pid = atoi(argv[1]);
	for (i = 0; i < TRIES && !stop(pid, &regs); i++) {
		ptrace(PTRACE_DETACH, pid, NULL, NULL);
		usleep(1000);
	}
	if (i == TRIES)
		errx(1, "%d makes no system calls", pid);
	regs.rip -= 2;
	regs.orig_rax = -1; /* the one that it was in is not begun anew */
	regs.rax = argument(argv, argc, 2);
	regs.rdi = argument(argv, argc, 3);
	regs.rsi = argument(argv, argc, 4);
	regs.rdx = 0;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &regs) || ptrace(PTRACE_DETACH, pid, NULL, NULL))
		err(1, "changing %d", pid);
	return 0;
}
