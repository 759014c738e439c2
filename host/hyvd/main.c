// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hyvd, the host daemon of one VM: start-up, the event loop, the end. What runs when is decided
 * here alone: the loop serves QEMU, the rings and events; between its rounds it looks at the
 * doorbells as long as they are awake.
 */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "cm.h"
#include "dispatch.h"
#include "log.h"
#include "session.h"
#include "vm.h"

#define POOL_THREADS	8
#define POLLS_PER_ROUND 256 /* looks at the doorbells between two looks at everything else */

const char *argp_program_version = "hyvd 0.1";

/** struct options - the command line */
struct options {
	const char *socket;
	const char *name;
	const char *devices[HYV_MAX_DEVICES];
	unsigned int num_devices;
	const char *addresses[VM_MAX_ADDRESSES];
	unsigned int num_addresses;
	uint64_t window_size;
	unsigned int poll_us;
	bool verbose;
};

enum { OPT_WINDOW_SIZE = 256, OPT_POLL_US };

static const struct argp_option option_table[] = {
	{ "socket", 's', "PATH", 0, "UNIX socket to make for QEMU (required)", 0 },
	{ "device", 'd', "NAME", 0,
	  "RDMA device of the host that the VM may use, as 'rdma link' shows it; may be given several times (required)",
	  0 },
	{ "address", 'a', "IP", 0,
	  "address on a device's netdev that the VM may use, and nobody else does; may be given several times (default: none, and no connections by rdma_cm)",
	  0 },
	{ "name", 'n', "NAME", 0, "name of the VM in messages (default: the socket's file name)",
	  0 },
	{ "window-size", OPT_WINDOW_SIZE, "SIZE", 0,
	  "shared memory for the queues of the VM's applications, a power of two with suffix M or G (default 1G)",
	  0 },
	{ "poll-us", OPT_POLL_US, "N", 0,
	  "microseconds to go on looking for doorbells after the last one, 0 to 1000000 (default 50)",
	  0 },
	{ "verbose", 'v', NULL, 0, "log every verb", 0 },
	{ 0 }
};

/* Return: 0 or -EINVAL */
static int parse_number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	if (errno || end == text || *text == '-')
		return -EINVAL;
	if (*end == 'M' || *end == 'G') {
		unsigned int shift = *end == 'M' ? 20 : 30;

		if (*out > UINT64_MAX >> shift)
			return -EINVAL;
		*out <<= shift;
		end++;
	}
	return *end || *out > max ? -EINVAL : 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *opt = state->input;
	uint64_t number;

	switch (key) {
	case 's':
		opt->socket = arg;
		break;
	case 'd':
		if (opt->num_devices == HYV_MAX_DEVICES)
			argp_error(state, "more than %u devices", HYV_MAX_DEVICES);
		opt->devices[opt->num_devices++] = arg;
		break;
	case 'a':
		if (opt->num_addresses == VM_MAX_ADDRESSES)
			argp_error(state, "more than %u addresses", VM_MAX_ADDRESSES);
		opt->addresses[opt->num_addresses++] = arg;
		break;
	case 'n':
		opt->name = arg;
		break;
	case OPT_WINDOW_SIZE:
		if (parse_number(arg, 1ull << 40, &opt->window_size) ||
		    opt->window_size < 1 << 20 || opt->window_size & (opt->window_size - 1))
			argp_error(state,
				   "--window-size '%s' is not a power of two from 1M to 1024G",
				   arg);
		break;
	case OPT_POLL_US:
		if (parse_number(arg, 1000000, &number))
			argp_error(state, "--poll-us '%s' is not a number from 0 to 1000000", arg);
		opt->poll_us = (unsigned int)number;
		break;
	case 'v':
		opt->verbose = true;
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not an option", arg);
		break;
	case ARGP_KEY_END:
		if (!opt->socket)
			argp_error(state, "--socket is missing");
		if (!opt->num_devices)
			argp_error(state, "--device is missing: 'rdma link' lists the host's");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp parser = {
	.options = option_table,
	.parser = parse_option,
	.doc = "Give one virtual machine RDMA on devices of this host.\v"
	       "Start it before QEMU, with QEMU's options\n"
	       "  -object memory-backend-memfd,id=m,size=SIZE,share=on -machine q35,memory-backend=m\n"
	       "  -chardev socket,id=hyv,path=PATH\n"
	       "  -device vhost-user-test-device-pci,virtio-id=38,num_vqs=3,vq_size=256,config_size=8,chardev=hyv\n"
	       "It ends when QEMU does.",
};

/* Return: a listening socket, or a negative errno after a message */
static int listen_on(const char *path)
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
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1)) {
		ret = -errno;
		log_err("cannot listen on '%s': %s: does its directory exist, and may hyvd write there?",
			path, strerror(-ret));
		close(fd);
		return ret;
	}
	return fd;
}

static void raise_limits(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit); /* three files per context of the guest */
	}
	if (geteuid() && !getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur != RLIM_INFINITY)
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

static int add_signals(struct vm *vm)
{
	static const int signals[] = { SIGINT, SIGTERM };
	sigset_t set;
	size_t i;
	int ret;

	sigemptyset(&set);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		ret = sd_event_add_signal(vm->loop, NULL, signals[i], on_signal, vm);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* all parts that need no host device. Return: 0 or a negative errno */
static int vm_init(struct vm *vm)
{
	int ret;

	ret = sd_event_new(&vm->loop);
	if (ret < 0)
		return ret;
	while (!vm->life)
		if (getrandom(&vm->life, sizeof(vm->life), 0) < 0)
			return -errno;
	ret = add_signals(vm);
	if (ret)
		return ret;
	vm->pool = pool_create(POOL_THREADS);
	vm->gmem = vm->pool ? gmem_create() : NULL;
	if (!vm->gmem)
		return -errno;
	vm->objtab = objtab_create();
	if (!vm->objtab)
		return -ENOMEM;
	ret = event_create(&vm->event, vm);
	return ret ? ret : dispatch_create(&vm->dispatch, vm);
}

/* Return: 0 or a negative errno */
static int vm_connect(struct vm *vm, const struct options *opt)
{
	struct hyv_config config = { .magic = htole32(HYV_MAGIC),
				     .version = htole32(HYV_WIRE_VERSION) };
	struct vu_dev_setup setup = {
		.num_queues = HYV_NUM_VQS,
		.config = &config,
		.config_len = sizeof(config),
		.window_size = opt->window_size,
	};
	unsigned int i;
	int ret;

	for (i = 0; i < opt->num_devices; i++) {
		ret = device_open(vm, opt->devices[i]);
		if (ret)
			return ret;
	}
	for (i = 0; i < opt->num_addresses; i++) {
		ret = gid_add_address(vm, opt->addresses[i]);
		if (ret)
			return ret;
	}
	if (opt->num_addresses) {
		ret = cm_create(&vm->cm, vm);
		if (ret)
			return ret;
	}
	vm->window_size = opt->window_size;
	ret = doorbell_create(&vm->doorbell, vm, opt->poll_us);
	if (!ret)
		ret = window_create(&vm->window, opt->window_size, doorbell_memory(vm->doorbell),
				    HYV_DOORBELLS_SIZE);
	if (ret)
		return ret;
	setup.listen_fd = listen_on(opt->socket);
	if (setup.listen_fd < 0)
		return setup.listen_fd;
	return vu_dev_create(&vm->vu, vm->loop, &setup, vm->gmem, &vu_ops, vm);
}

/* in the opposite order; parts that were not made are NULL */
static void vm_exit(struct vm *vm)
{
	unsigned int i;

	if (vm->vu)
		vu_dev_destroy(vm->vu);
	for (i = 0; i < vm->num_devices; i++)
		device_close(vm, vm->devices[i]);
	if (vm->pool)
		pool_destroy(vm->pool); /* the last contexts are closed here */
	if (vm->cm)
		cm_destroy(vm->cm);
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

static int run(struct vm *vm)
{
	unsigned int i;
	bool awake;
	int ret = 0;

	while (!is_ending && ret >= 0) {
		awake = !doorbell_asleep(vm->doorbell);
		for (i = 0; awake && i < POLLS_PER_ROUND; i++)
			awake = doorbell_poll(vm->doorbell);
		ret = sd_event_run(vm->loop, awake ? 0 : UINT64_MAX);
	}
	return ret < 0 ? ret : 0;
}

int main(int argc, char **argv)
{
	struct options opt = { .window_size = 1ull << 30, .poll_us = 50 };
	struct vm vm = { 0 };
	int ret;

	argp_parse(&parser, argc, argv, 0, NULL, &opt);
	log_init(opt.name ? opt.name : basename(opt.socket), opt.verbose);
	raise_limits();
	ret = vm_init(&vm);
	if (ret)
		log_err("cannot start: %s", strerror(-ret));
	else
		ret = vm_connect(&vm, &opt);
	if (!ret) {
		log_info("waiting for QEMU on %s", opt.socket);
		ret = run(&vm);
		session_end(&vm);
		unlink(opt.socket);
	}
	vm_exit(&vm);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
