// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A guest that takes hyvd over should gain nothing but its own VM: hyvd becomes a user that nobody
 * else is, keeps no capability but one, cannot get others, and may make only the system calls below.
 * What it opened remains: the device, the window, the sockets, the guest's memory.
 *
 * First what only root may open, then user and capabilities, then threads and rdma_cm, then system
 * calls: rdma_cm accepts commands only with the very credentials that opened it, and rights are
 * dropped for one thread alone.
 *
 * When a new feature is killed (SIGSYS; the kernel's log has the system call's number), add what it
 * needs here; 'strace -f hyvd --no-sandbox ...' shows it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <hyv/window.h>
#include <rdma/rdma_user_ioctl.h>
#include "sandbox.h"

/* nobody's: no system user, and beyond what is given to domains' users, containers and systemd's own */
#define FIRST_ID 0x7f000000
#define NUM_IDS	 65536
#define RUN_DIR	 "/run/hyv"
#define IDS_DIR	 RUN_DIR "/ids" /* a file for each, which is locked by the hyvd that has it */

/* what of the guest may listen below port 1024; nothing else needs any */
#define KEPT_CAPABILITIES (1u << CAP_NET_BIND_SERVICE)

/* What verbs need. A line for each is what clang-format would make of it. */
/* clang-format off */
static const char *const allowed[] = {
	/* the rings, QEMU, hyvctl, the device's events */
	"read", "write", "readv", "writev", "recvfrom", "recvmsg", "sendto", "sendmsg", "shutdown",
	"accept", "accept4", "getsockopt", "setsockopt", "getsockname", "eventfd2", "signalfd4",
	"poll", "ppoll", "epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl",
	"timerfd_create", "timerfd_settime",
	/* netlink */
	"bind",
	/* uverbs files of the guest's processes, sysfs */
	"fstat", "fstatfs", "newfstatat", "statx", "lseek", "pread64",
	"dup", "unlink", "unlinkat",
	/* guest memory, malloc */
	"munmap", "mremap", "madvise", "brk", "memfd_create", "ftruncate", "fallocate",
	/* threads, time, the end */
	"futex", "sched_yield", "sched_getaffinity", "nanosleep", "clock_nanosleep", "clock_gettime",
	"gettimeofday", "getrandom", "getpid", "gettid", "getuid", "geteuid", "getgid", "getegid",
	"uname", "sysinfo", "getrlimit", "rseq", "set_robust_list", "rt_sigaction",
	"rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "exit", "exit_group",
};
/* clang-format on */

/** struct rule - a system call that is allowed with one argument, and its third, masked and compared */
struct rule {
	const char *name;
	unsigned int arg;
	uint64_t mask;
	uint64_t value;
	uint64_t third_mask;
	uint64_t third;
};

#define ONE_ARG(name, arg, mask, value) { name, arg, mask, value, 0, 0 }
#define SOCKET(family, protocol_mask, protocol) \
	{ "socket", 0, UINT32_MAX, family, protocol_mask, protocol }

static const struct rule rules[] = {
	ONE_ARG("ioctl", 1, UINT32_MAX, RDMA_VERBS_IOCTL),
	ONE_ARG("ioctl", 1, UINT32_MAX, HYV_WINDOW_MAP),
	ONE_ARG("ioctl", 1, UINT32_MAX, HYV_WINDOW_UNMAP),
	ONE_ARG("ioctl", 1, UINT32_MAX, SIOCOUTQ), /* vu_window.c's, of QEMU's socket */
	ONE_ARG("openat", 2, O_CREAT | (O_TMPFILE & ~O_DIRECTORY), 0), /* no new files */
	ONE_ARG("fcntl", 1, UINT32_MAX, F_GETFD), /* no locks, no signals to others */
	ONE_ARG("fcntl", 1, UINT32_MAX, F_SETFD),
	ONE_ARG("fcntl", 1, UINT32_MAX, F_GETFL),
	ONE_ARG("fcntl", 1, UINT32_MAX, F_SETFL),
	ONE_ARG("fcntl", 1, UINT32_MAX, F_DUPFD_CLOEXEC),
	ONE_ARG("fcntl", 1, UINT32_MAX, F_ADD_SEALS), /* the journal's, for long lines */
	ONE_ARG("prctl", 0, UINT32_MAX, PR_GET_NAME), /* its too */
	ONE_ARG("prlimit64", 0, UINT32_MAX, 0), /* its own */
	ONE_ARG("mmap", 2, PROT_EXEC, 0),
	ONE_ARG("mprotect", 2, PROT_EXEC, 0),
	SOCKET(AF_UNIX, 0, 0), /* the journal's */
	SOCKET(AF_NETLINK, UINT32_MAX, NETLINK_RDMA), /* netlink.c's, for a device to attach */
	SOCKET(AF_NETLINK, UINT32_MAX, NETLINK_ROUTE), /* and for its addresses */
};

static int id_fd = INT_MAX; /* own_id()'s file, if there is one */

/* Return: an id that no other hyvd of this host has until this one ends, or a negative errno */
static int own_id(void)
{
	char path[sizeof(IDS_DIR) + 12];
	int id, fd, ret;

	if ((mkdir(RUN_DIR, 0755) && errno != EEXIST) || (mkdir(IDS_DIR, 0700) && errno != EEXIST))
		return -errno;
	for (id = FIRST_ID; id < FIRST_ID + NUM_IDS; id++) {
		snprintf(path, sizeof(path), IDS_DIR "/%d", id);
		fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return -errno;
		if (!flock(fd, LOCK_EX | LOCK_NB)) {
			id_fd = fd;
			return id;
		}
		ret = -errno;
		close(fd);
		if (ret != -EWOULDBLOCK)
			return ret;
	}
	return -EUSERS;
}

/* from root to a user and group that own nothing. Return: 0 or a negative errno */
static int leave_root(void)
{
	int id = own_id();

	if (id < 0)
		return id;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setgroups(0, NULL) ||
	    setresgid((gid_t)id, (gid_t)id, (gid_t)id) ||
	    setresuid((uid_t)id, (uid_t)id, (uid_t)id))
		return -errno;
	return 0;
}

int sandbox_drop(void)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
	unsigned int i;
	int ret;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	for (i = 0; i < 64; i++)
		if (!(KEPT_CAPABILITIES >> (i % 32) & (i < 32)))
			prctl(PR_CAPBSET_DROP, i, 0, 0,
			      0); /* root's alone, others have none to lose */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	ret = geteuid() ? 0 : leave_root();
	if (ret)
		return ret;
	/* no tracing, /proc or core dumps by the same user's processes, which a hyvd not started as root has */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || syscall(SYS_capget, &hdr, caps))
		return -errno;
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		caps[i].permitted &= i ? 0 : KEPT_CAPABILITIES;
		caps[i].effective = caps[i].permitted;
		caps[i].inheritable = 0;
	}
	return syscall(SYS_capset, &hdr, caps) ? -errno : 0;
}

static int add_rules(scmp_filter_ctx filter)
{
	uint64_t bit;
	size_t i;
	int nr, ret = 0;

	for (i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && !ret; i++) {
		nr = seccomp_syscall_resolve_name(allowed[i]);
		if (nr != __NR_SCMP_ERROR)
			ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, nr, 0);
	}
	for (i = 0; i < sizeof(rules) / sizeof(rules[0]) && !ret; i++)
		ret = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(rules[i].name),
			rules[i].third_mask ? 2 : 1,
			SCMP_CMP(rules[i].arg, SCMP_CMP_MASKED_EQ, rules[i].mask, rules[i].value),
			SCMP_A2(SCMP_CMP_MASKED_EQ, rules[i].third_mask, rules[i].third));
	/* any file but own_id()'s: one whose number has another bit somewhere */
	for (bit = 1; bit <= UINT32_MAX && !ret; bit <<= 1)
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(close), 1,
				       SCMP_A0(SCMP_CMP_MASKED_EQ, bit, ~(uint64_t)id_fd & bit));
	/* abort(), and cm_connect.c's pthread_kill() */
	return ret ? ret :
		     seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				      SCMP_A0(SCMP_CMP_EQ, (uint64_t)getpid()));
}

int sandbox_enter(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int ret;

	if (!filter)
		return -ENOMEM;
	ret = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!ret)
		ret = add_rules(filter);
	if (!ret)
		ret = seccomp_load(filter);
	seccomp_release(filter);
	return ret;
}
