// SPDX-License-Identifier: GPL-2.0-or-later
/* sandbox.c: what a process in it can do, and what ends it. Each case is a process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <cmocka.h>
#include "netlink.h"
#include "sandbox.h"

/* Return: the wait status of a process that runs @act, whose result is its exit code */
static int in_process(int (*act)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(act());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int (*inner_act)(void);

static int enter_and_act(void)
{
	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	return sandbox_drop() || sandbox_enter() ? 99 : inner_act();
}

/* the same in the sandbox */
static int in_sandbox(int (*act)(void))
{
	inner_act = act;
	return in_process(enter_and_act);
}

static void ends(int (*act)(void))
{
	int status = in_sandbox(act);

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
		fail_msg("wait status %#x, expected the end by SIGSYS", (unsigned int)status);
}

static int socket_pair(void)
{
	int fds[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
}

static int harmless(void)
{
	char *big = malloc(64 << 20), name[16];
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (!big || fd < 0)
		return 1;
	memset(big, 1, 64 << 20);
	free(big);
	close(fd);
	signal(SIGUSR1, SIG_IGN);
	if (pthread_kill(pthread_self(), SIGUSR1))
		return 2;
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || close(fd) || !close(-1))
		return 4;
	if (prctl(PR_GET_NAME, name))
		return 5;
	fd = fcntl(1, F_DUPFD_CLOEXEC, 0);
	if (fd < 0 || fcntl(fd, F_SETFD, fcntl(fd, F_GETFD)) ||
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL)))
		return 3;
	return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

/* what an attach asks the kernel; there need not be any device */
static int ask_netlink(void)
{
	static const uint8_t nobody[4] = { 192, 0, 2, 1 };
	struct netlink_rdma_device found;
	char known[64];

	netlink_find("nosuch0", &found, known, sizeof(known));
	return netlink_prefix_len(1, nobody, sizeof(nobody)) != -EADDRNOTAVAIL;
}

static int other_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM);
}

static int run_program(void)
{
	char *args[] = { "true", NULL };

	return execv("/bin/true", args);
}

static int internet(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int trace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int new_process(void)
{
	return fork();
}

static int new_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED;
}

static int data_to_code(void)
{
	static char page[8192];

	return mprotect((void *)(((uintptr_t)page + 4095) & ~4095ul), 4096, PROT_READ | PROT_EXEC);
}

static int terminal(void)
{
	return ioctl(0, TIOCSTI, "x");
}

static int signal_others(void)
{
	return (int)syscall(SYS_tgkill, 1, 1, 0);
}

static int lock(void)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(0, F_SETLK, &all);
}

static int let_files_signal_others(void)
{
	return fcntl(0, F_SETOWN, 1);
}

static int new_file(void)
{
	return open("/dev/shm/hyv-test", O_CREAT | O_WRONLY, 0600);
}

static int file_without_a_name(void)
{
	return open("/dev/shm", O_TMPFILE | O_WRONLY, 0600);
}

/* with the one that makes its id its own */
static int close_all(void)
{
	int fd;

	for (fd = 3; fd < 1024; fd++)
		close(fd);
	return 0;
}

static int limit_others(void)
{
	return (int)syscall(SYS_prlimit64, 1, RLIMIT_CPU, NULL, NULL);
}

static void what_hyvd_does_is_allowed(void **state)
{
	int status = in_sandbox(harmless);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(in_sandbox(ask_netlink), 0);
}

static void a_forbidden_system_call_ends_it(void **state)
{
	(void)state;
	ends(socket_pair);
	ends(run_program);
	ends(internet);
	ends(other_netlink);
	ends(trace);
	ends(new_process);
	ends(new_code);
	ends(data_to_code);
	ends(terminal);
	ends(signal_others);
	ends(lock);
	ends(let_files_signal_others);
	ends(limit_others);
	ends(new_file);
	ends(file_without_a_name);
	if (!geteuid())
		ends(close_all);
}

static int go_pipe[2];

static void *forbidden_in_thread(void *arg)
{
	char c;

	if (read(go_pipe[0], &c, 1) == 1)
		syscall(SYS_ptrace, PTRACE_TRACEME, 0, NULL, NULL);
	return arg;
}

/* The threads of the pool are there before the filter is. */
static void threads_that_were_there_before_are_in_it(void **state)
{
	pthread_t thread;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(go_pipe), 0);
	pid = fork();
	if (!pid) {
		if (sandbox_drop() || pthread_create(&thread, NULL, forbidden_in_thread, NULL) ||
		    sandbox_enter() || write(go_pipe[1], "x", 1) != 1)
			_exit(99);
		pthread_join(thread, NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	close(go_pipe[0]);
	close(go_pipe[1]);
}

static bool was_root;

/* Return: the exit code of a process that dropped its rights and then looks at them */
static int look(void)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];
	uint32_t kept = 1u << CAP_NET_BIND_SERVICE;

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 1;
	if (syscall(SYS_capget, &hdr, caps))
		return 2;
	if ((caps[0].effective | caps[0].permitted) & ~kept || caps[1].effective ||
	    caps[1].permitted)
		return 3;
	if (caps[0].inheritable || caps[1].inheritable)
		return 4;
	if (prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 1 && was_root)
		return 5;
	if (was_root && caps[0].effective != kept)
		return 6;
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 7;
	return 0;
}

static int drop_and_look(void)
{
	was_root = !geteuid();
	return sandbox_drop() ? 99 : look();
}

static void capabilities_are_gone(void **state)
{
	(void)state;
	assert_int_equal(in_process(drop_and_look), 0);
}

/** struct other - a process that has dropped its rights, and waits for an end of file */
struct other {
	pid_t pid;
	uid_t ids[6]; /* of users and groups: real, effective, saved */
	int num_groups;
	int end_fd;
};

static struct other start_other(void)
{
	struct other other;
	int told[2], end[2];
	char none;

	assert_int_equal(pipe(told), 0);
	assert_int_equal(pipe(end), 0);
	other.pid = fork();
	if (!other.pid) {
		if (sandbox_drop() || getresuid(&other.ids[0], &other.ids[1], &other.ids[2]) ||
		    getresgid(&other.ids[3], &other.ids[4], &other.ids[5]))
			_exit(99);
		other.num_groups = getgroups(0, NULL);
		other.pid = getpid();
		close(end[1]);
		_exit(write(told[1], &other, sizeof(other)) != sizeof(other) ||
		      read(end[0], &none, 1));
	}
	close(told[1]);
	close(end[0]);
	assert_int_equal(read(told[0], &other, sizeof(other)), sizeof(other));
	close(told[0]);
	other.end_fd = end[1];
	return other;
}

static void end_other(const struct other *other)
{
	int status;

	close(other->end_fd);
	assert_int_equal(waitpid(other->pid, &status, 0), other->pid);
	assert_int_equal(status, 0);
}

static pid_t victim;
static uid_t victims_id;

static int opens(const char *format)
{
	char path[64];

	snprintf(path, sizeof(path), format, victim);
	return open(path, O_RDONLY) >= 0 || errno != EACCES;
}

/* Return: 0 when nothing of @victim or root can be read */
static int spy(void)
{
	return opens("/proc/%d/mem") || opens("/proc/%d/maps") || opens("/proc/%d/environ") ||
	       opens("/run/hyv/ids") || opens("/etc/shadow");
}

/* the same by one that has its id, but that only */
static int twin(void)
{
	if (setgroups(0, NULL) || setresgid(victims_id, victims_id, victims_id) ||
	    setresuid(victims_id, victims_id, victims_id))
		return 98;
	return opens("/proc/%d/mem") || opens("/proc/%d/maps") || opens("/proc/%d/environ");
}

static void root_becomes_a_user_that_no_other_is(void **state)
{
	struct other a, b;
	int i;

	(void)state;
	if (geteuid())
		skip();
	a = start_other();
	b = start_other();
	assert_int_not_equal(a.ids[0], b.ids[0]);
	for (i = 0; i < 6; i++) {
		assert_in_range(a.ids[i], 0x7f000000, 0x7f00ffff);
		assert_int_equal(a.ids[i], a.ids[0]);
		assert_int_equal(b.ids[i], b.ids[0]);
	}
	assert_int_equal(a.num_groups, 0);
	victim = a.pid;
	victims_id = a.ids[0];
	assert_int_equal(in_sandbox(spy), 0);
	assert_int_equal(in_process(twin), 0);
	victim = getpid();
	assert_int_equal(in_sandbox(spy), 0);
	end_other(&b); /* which has inherited what a waits for the end of */
	end_other(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_hyvd_does_is_allowed),
		cmocka_unit_test(a_forbidden_system_call_ends_it),
		cmocka_unit_test(threads_that_were_there_before_are_in_it),
		cmocka_unit_test(capabilities_are_gone),
		cmocka_unit_test(root_becomes_a_user_that_no_other_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
