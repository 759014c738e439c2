// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hyvd, the host daemon of one VM: start-up, the event loop, the end. What runs when is decided
 * here alone: the loop serves QEMU, the rings and events; between its rounds it looks at the
 * doorbells as long as they are awake. What wakes them is waited for beside the loop, since a post
 * waits for each system call that comes before.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched/types.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <sysexits.h>
#include <unistd.h>
#include "cm.h"
#include "control.h"
#include "dispatch.h"
#include "gidwatch.h"
#include "hotplug.h"
#include "log.h"
#include "options.h"
#include "sandbox.h"
#include "session.h"
#include "vm.h"

#define POOL_THREADS 8
#define LINEAR_MAP   ((void *)0x200000000000ull) /* see lay_out_anew() */
#define CONTROL_MODE 0600 /* the owner may; QEMU, which may be in the group, must not */
#define SLICE_NS     100000 /* the least that Linux grants */

/* @mode: who may connect, or 0 for the umask's. Return: a socket, or a negative errno after a message */
static int listen_on(const char *path, mode_t mode)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		log_err("socket path '%s' is longer than %zu bytes", path,
			sizeof(addr.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		log_err("another process already serves '%s': give each VM a socket of its own",
			path);
		close(fd);
		return -EADDRINUSE;
	}
	if (errno == ECONNREFUSED)
		unlink(path); /* left by a daemon that is dead */
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || (mode && chmod(path, mode)) ||
	    listen(fd, 1)) {
		ret = -errno;
		log_err("cannot listen on '%s': %s: does its directory exist, and may hyvd write there?",
			path, strerror(-ret));
		close(fd);
		return ret;
	}
	return fd;
}

/* root may raise them; the user that hyvd becomes may not, and has no CAP_IPC_LOCK, which would go without */
static void raise_limits(bool sandbox)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit); /* three files per context of the guest */
	}
	/* the VM's limit of registered pages is the limit */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	if ((geteuid() || sandbox) && !getrlimit(RLIMIT_MEMLOCK, &limit) &&
	    limit.rlim_cur != RLIM_INFINITY)
		log_warn(
			"only %llu bytes may be locked: larger memory regions of the guest will fail; set LimitMEMLOCK=infinity",
			(unsigned long long)limit.rlim_cur);
}

static bool is_ending;

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	(void)source;
	(void)arg;
	log_info("ending on signal %u", info->ssi_signo);
	is_ending = true;
	return 0;
}

static void on_kick(void *arg, unsigned int queue)
{
	struct vm *vm = arg;

	if (queue == HYV_VQ_CONTROL)
		dispatch_kick(vm->dispatch);
	else if (queue == HYV_VQ_EVENT)
		event_kick(vm->event);
	else
		doorbell_wake(vm->doorbell);
}

static void on_stop(void *arg)
{
	session_end(arg);
}

static void on_window_live(void *arg, int error)
{
	session_window_live(arg, error);
}

static void on_disconnect(void *arg)
{
	(void)arg;
	log_info("QEMU is gone");
	is_ending = true;
}

static const struct vu_dev_ops vu_ops = {
	.kick = on_kick,
	.stop = on_stop,
	.window_live = on_window_live,
	.disconnect = on_disconnect,
};

static const int signals[] = { SIGINT, SIGTERM };

/* early: as the first process of a PID namespace it would never see those that come before they are waited for */
static void block_signals(void)
{
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int add_signals(struct vm *vm)
{
	size_t i;
	int ret;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		ret = sd_event_add_signal(vm->loop, NULL, signals[i], on_signal, vm);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* all parts that need neither a host device nor threads. Return: 0 or a negative errno */
static int vm_init(struct vm *vm)
{
	int ret;

	limit_init(&vm->limits);
	ret = sd_event_new(&vm->loop);
	if (ret < 0)
		return ret;
	while (!vm->life)
		if (getrandom(&vm->life, sizeof(vm->life), 0) < 0)
			return -errno;
	ret = add_signals(vm);
	if (ret)
		return ret;
	vm->gmem = gmem_create(LINEAR_MAP);
	if (!vm->gmem)
		return -errno;
	vm->limits.gmem = vm->gmem;
	vm->objtab = objtab_create();
	if (!vm->objtab)
		return -ENOMEM;
	ret = event_create(&vm->event, vm);
	if (!ret)
		ret = dispatch_create(&vm->dispatch, vm);
	if (!ret)
		ret = hotplug_create(&vm->hotplug, vm);
	return ret ? ret : gidwatch_create(&vm->gidwatch, vm);
}

/* Return: 0 or a negative errno */
static int vm_control(struct vm *vm, const struct options *opt)
{
	int fd, ret;

	if (!opt->control[0])
		return 0;
	fd = listen_on(opt->control, CONTROL_MODE);
	if (fd < 0)
		return fd;
	ret = control_create(&vm->control, vm, fd);
	if (ret)
		close(fd);
	return ret;
}

/* what the host must have for the VM. Return: 0, or a negative errno after a message for each that it has not */
static int vm_equip(struct vm *vm, const struct options *opt)
{
	int ret = hotplug_begin(vm, opt), err = cm_create(&vm->cm, vm, opt->num_addresses);

	/* a trial: the one that stays is opened in vm_connect(), by whom hyvd becomes */
	if (vm->cm) {
		cm_stop(vm->cm);
		cm_destroy(vm->cm);
		vm->cm = NULL;
	}
	return ret ? ret : err;
}

/* Return: 0 or a negative errno */
static int vm_connect(struct vm *vm, const struct options *opt)
{
	struct hyv_config config = { .magic = htole32(HYV_MAGIC),
				     .version = htole32(HYV_WIRE_VERSION) };
	struct vu_dev_setup setup = {
		.num_queues = HYV_NUM_VQS,
		.polled_queues = 1u << HYV_VQ_DOORBELL,
		.config = &config,
		.config_len = sizeof(config),
		.window_size = opt->window_size,
	};
	unsigned int i;
	int ret, err;

	vm->window_size = opt->window_size;
	ret = doorbell_create(&vm->doorbell, vm, (unsigned int)opt->poll_us);
	if (!ret)
		ret = window_create(&vm->window, opt->window_size, doorbell_memory(vm->doorbell),
				    HYV_DOORBELLS_SIZE, &vm->limits);
	if (!ret)
		ret = vm_control(vm, opt);
	if (ret)
		return ret;
	setup.listen_fd = listen_on(opt->socket, 0);
	if (setup.listen_fd < 0)
		return setup.listen_fd;
	ret = opt->sandbox ? sandbox_drop() : 0;
	if (ret) {
		log_err("cannot become a user of its own, with no rights: %s: start it as one that is not root; --no-sandbox goes without",
			strerror(-ret));
		return ret;
	}
	for (i = 0; i < opt->num_devices; i++) {
		log_at(opt->config, opt->devices[i].line);
		err = device_check(vm->devices[i]);
		ret = ret ? ret : err;
	}
	log_at(NULL, 0);
	if (ret)
		return ret;
	vm->pool = pool_create(POOL_THREADS);
	if (!vm->pool)
		return -errno;
	ret = cm_create(&vm->cm, vm, opt->num_addresses);
	if (ret)
		return ret;
	return vu_dev_create(&vm->vu, vm->loop, &setup, vm->gmem, &vu_ops, vm);
}

/* in the opposite order; parts that were not made are NULL */
static void vm_exit(struct vm *vm)
{
	if (vm->control)
		control_destroy(vm->control);
	if (vm->vu)
		vu_dev_destroy(vm->vu);
	if (vm->cm)
		cm_stop(vm->cm);
	if (vm->pool)
		pool_destroy(vm->pool); /* the guest's last contexts are closed here */
	vm->pool = NULL;
	if (vm->cm)
		cm_destroy(vm->cm);
	if (vm->gidwatch)
		gidwatch_destroy(vm->gidwatch);
	if (vm->hotplug)
		hotplug_destroy(vm->hotplug); /* and the devices here */
	if (vm->window)
		window_destroy(vm->window);
	if (vm->doorbell)
		doorbell_destroy(vm->doorbell);
	if (vm->dispatch)
		dispatch_destroy(vm->dispatch);
	if (vm->event)
		event_destroy(vm->event);
	if (vm->objtab)
		objtab_destroy(vm->objtab);
	if (vm->gmem)
		gmem_destroy(vm->gmem);
	sd_event_unref(vm->loop);
}

/* Wait, if @may_sleep, and do what there is to be done. Return: not negative, or an errno */
static int serve(struct vm *vm, bool may_sleep)
{
	struct pollfd files[] = {
		{ .fd = vu_dev_kick_fd(vm->vu, HYV_VQ_DOORBELL), .events = POLLIN },
		{ .fd = sd_event_get_fd(vm->loop), .events = POLLIN },
	};
	int ret = 0, num_ready;

	if (sd_event_get_state(vm->loop) != SD_EVENT_ARMED)
		ret = sd_event_prepare(vm->loop);
	if (ret < 0)
		return ret;
	/* if the loop has something to do, that does not go before what has been waited for */
	num_ready = poll(files, ret ? 1 : 2, ret || !may_sleep ? 0 : -1);
	if (num_ready < 0 && errno != EINTR)
		return -errno;
	if (num_ready > 0 && files[0].revents) {
		doorbell_wake(vm->doorbell);
		doorbell_poll(vm->doorbell);
		/*
		 * What is read here has been heard, so it can wait. A notification that came
		 * meanwhile is lost by that, but on_kick() wakes once more.
		 */
		vu_dev_kicked(vm->vu, HYV_VQ_DOORBELL);
	}
	if (num_ready > 0 && files[1].revents)
		ret = sd_event_wait(vm->loop, 0);
	return ret > 0 ? sd_event_dispatch(vm->loop) : ret;
}

static int run(struct vm *vm)
{
	bool awake;
	int ret = 0;

	while (!is_ending && ret >= 0) {
		awake = !doorbell_asleep(vm->doorbell) && doorbell_poll_round(vm->doorbell);
		ret = serve(vm, !awake);
	}
	return ret < 0 ? ret : 0;
}

/*
 * A post waits for this thread to be let run, which it needs for a moment only. Where processors are
 * busy, a kernel since 6.12 prefers who asks for less than they at once; an older one ignores it.
 */
static void ask_for_short_slices(void)
{
	struct sched_attr attr = { .size = sizeof(attr) };

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) ||
	    attr.sched_policy != SCHED_OTHER)
		return;
	attr.sched_runtime = SLICE_NS;
	if (syscall(SYS_sched_setattr, 0, &attr, 0))
		log_debug("no short time slices: %s", strerror(errno));
}

/*
 * The kernel maps what a process asks for below its stack, ours and that of a guest's processes
 * alike. Begin anew with all that far below, and the linear map of guest memory where nobody has
 * anything, so that gmem_assemble_at() finds their addresses free.
 */
static void lay_out_anew(char **argv)
{
	int persona = personality(0xffffffff);
	char path[PATH_MAX] = "";

	/* not /proc/self/exe itself: it would become our name */
	if (persona >= 0 && !(persona & ADDR_COMPAT_LAYOUT) &&
	    personality((unsigned long)persona | ADDR_COMPAT_LAYOUT) >= 0 &&
	    readlink("/proc/self/exe", path, sizeof(path) - 1) > 0)
		execv(path, argv);
}

/* an address that the host has not is an error in the configuration, as a device is */
static int exit_code(int err)
{
	return !err ? EXIT_SUCCESS : err == -EADDRNOTAVAIL ? EX_CONFIG : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static struct options opt;
	static struct vm vm;
	unsigned int i;
	bool is_wrong;
	int fd, ret;

	block_signals();
	do /* these are there, or what is written to them went into another file */
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	close_range(STDERR_FILENO + 1, ~0u,
		    0); /* nothing of who started it for who takes it over */
	is_wrong = options_parse(&opt, argc, argv);
	if (!is_wrong && !opt.check)
		lay_out_anew(argv);
	vm.name = opt.name;
	vm.socket = opt.socket;
	vm.ud = opt.ud;
	raise_limits(opt.sandbox);
	ret = vm_init(&vm);
	for (i = 0; i < LIMIT_COUNT; i++)
		vm.limits.max[i] = opt.limits[i];
	if (ret)
		log_err("cannot start: %s", strerror(-ret));
	else
		ret = vm_equip(&vm, &opt);
	if (is_wrong || opt.check) {
		vm_exit(&vm);
		if (!is_wrong && !ret)
			printf("%s: no errors\n", opt.config);
		return is_wrong ? EX_CONFIG : exit_code(ret);
	}
	if (!ret)
		ret = vm_connect(&vm, &opt);
	ask_for_short_slices(); /* not for the threads that there are by now */
	if (!ret && opt.sandbox) {
		ret = sandbox_enter();
		if (ret)
			log_err("cannot forbid system calls: %s: --no-sandbox goes without",
				strerror(-ret));
	}
	if (!ret) {
		log_info("waiting for QEMU on %s", opt.socket);
		sd_notify(0, "READY=1");
		ret = run(&vm);
		session_end(&vm);
		unlink(opt.socket); /* a hyvd that was root may not; the next one replaces it */
	}
	if (vm.control)
		unlink(opt.control);
	vm_exit(&vm);
	return exit_code(ret);
}
