// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device against a real QEMU (11.1 or later, $HYV_QEMU or qemu-system-x86_64), without a guest:
 * qtest lets the test be the driver, register by register. What matters here is QEMU's behaviour
 * that vu_window.c is built around, above all that no reset at any moment crashes it.
 *
 * Skipped where QEMU has no vhost-user-test-device-pci.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "frontend.h"
#include "log.h"
#include "random.h"

/* Where the test puts the device's BARs: QEMU's layout of the virtio structures, the window. */
#define PCI_ADDR      0x80002800u /* bus 0, device 5 */
#define COMMON	      0xd0000000u
#define DEVICE_CONFIG (COMMON + 0x2000)
#define NOTIFY	      (COMMON + 0x3000)
#define WINDOW	      0xe0000000u

/* Where the rings are in the guest's memory. */
#define RING(i)	   (0x100000u + (i)*0x10000u)
#define RING_AVAIL 0x4000u
#define RING_USED  0x8000u

/**
 * struct machine - a QEMU that does not run a guest, and the device in front of it
 * @qtest, @monitor: its sockets
 * @line: what has come of the current line of qtest
 * @answers: lines of qtest that began with OK
 * @value: what the last of them said
 */
struct machine {
	sd_event *loop;
	struct gmem *gm;
	struct vu_dev *dev;
	char dir[64];
	int listen_fd;
	int window_fd;
	pid_t pid;
	int qtest;
	int monitor;
	char line[4096];
	size_t line_len;
	unsigned long answers;
	unsigned long asked;
	uint64_t value;
	unsigned int lives, stops, maps, chains;
	bool map_asked;
	bool disconnected;
};

static const char *qemu(void)
{
	const char *env = getenv("HYV_QEMU");

	return env ? env : "qemu-system-x86_64";
}

/* ---- the owner of the device ---- */

static void op_kick(void *arg, unsigned int queue)
{
	struct machine *m = arg;
	struct vring *vr = vu_dev_vring(m->dev, queue);
	struct vring_chain chain;

	if (!m->map_asked) {
		m->map_asked = true;
		m->maps++;
		assert_int_equal(vu_dev_map_window(m->dev, m->window_fd), 0);
	}
	while (vring_pop(vr, &chain) == 1) {
		m->chains++;
		vring_push(vr, &chain, 0);
	}
	vring_signal(vr);
}

static void op_stop(void *arg)
{
	struct machine *m = arg;

	m->map_asked = false;
	m->stops++;
}

static void op_live(void *arg, int error)
{
	struct machine *m = arg;

	assert_int_equal(error, 0);
	m->lives++;
}

static void op_disconnect(void *arg)
{
	((struct machine *)arg)->disconnected = true;
}

static const struct vu_dev_ops ops = {
	.kick = op_kick,
	.stop = op_stop,
	.window_live = op_live,
	.disconnect = op_disconnect,
};

/* ---- QEMU ---- */

static int listen_at(const char *dir, const char *name)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", dir, name);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void exec_qemu(const char *dir)
{
	char dev[160], qtest[128], monitor[128];
	int null = open("/dev/null", O_RDWR);

	snprintf(dev, sizeof(dev), "socket,id=c,path=%s/vu", dir);
	snprintf(qtest, sizeof(qtest), "unix:%s/qtest", dir);
	snprintf(monitor, sizeof(monitor), "unix:%s/monitor", dir);
	dup2(null, 0);
	dup2(null, 1);
	if (!getenv("HYV_QEMU_STDERR"))
		dup2(null, 2);
	execlp(qemu(), qemu(), "-accel", "qtest", "-qtest", qtest, "-qtest-log", "/dev/null",
	       "-display", "none", "-nodefaults", "-machine", "q35,memory-backend=m", "-m", "64M",
	       "-object", "memory-backend-memfd,id=m,size=64M,share=on", "-chardev", dev, "-device",
	       "vhost-user-test-device-pci,chardev=c,virtio-id=38,num_vqs=3,vq_size=64,"
	       "config_size=64,addr=5",
	       "-monitor", monitor, NULL);
	_exit(127);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Take in what qtest and the monitor say. */
static void listen_to_qemu(struct machine *m)
{
	char buf[4096];
	ssize_t i, n;

	while (m->monitor >= 0 && recv(m->monitor, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	if (m->qtest < 0)
		return;
	while ((n = recv(m->qtest, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		for (i = 0; i < n; i++) {
			if (buf[i] != '\n') {
				assert_true(m->line_len < sizeof(m->line) - 1);
				m->line[m->line_len++] = buf[i];
				continue;
			}
			m->line[m->line_len] = 0;
			m->line_len = 0;
			if (!strncmp(m->line, "OK", 2)) {
				m->answers++;
				m->value = strtoull(m->line + 2, NULL, 16);
			}
		}
	}
}

/* Let the device work until the count is reached. */
#define wait_for(m, condition) \
	do { \
		double end_ = now() + 20; \
		while (!(condition)) { \
			listen_to_qemu(m); \
			assert_true(sd_event_run((m)->loop, 1000) >= 0); \
			assert_int_equal(waitpid((m)->pid, NULL, WNOHANG), 0); \
			assert_true(now() < end_); \
		} \
	} while (0)

/* Send a command to qtest without waiting for the answer. */
__attribute__((format(printf, 2, 3))) static void tell(struct machine *m, const char *fmt, ...)
{
	char cmd[256];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(cmd, sizeof(cmd) - 1, fmt, ap);
	va_end(ap);
	cmd[len++] = '\n';
	while (send(m->qtest, cmd, len, MSG_NOSIGNAL | MSG_DONTWAIT) != len) {
		assert_int_equal(errno, EAGAIN);
		listen_to_qemu(m);
		assert_true(sd_event_run(m->loop, 1000) >= 0);
	}
	m->asked++;
}

static uint64_t get(struct machine *m, const char *size, uint32_t addr)
{
	tell(m, "read%s 0x%x", size, addr);
	wait_for(m, m->answers == m->asked);
	return m->value;
}

static void put(struct machine *m, const char *size, uint32_t addr, uint32_t value)
{
	tell(m, "write%s 0x%x 0x%x", size, addr, value);
}

static void put_pci(struct machine *m, unsigned int reg, uint32_t value)
{
	tell(m, "outl 0xcf8 0x%x", PCI_ADDR | reg);
	tell(m, "outl 0xcfc 0x%x", value);
}

static int setup(void **state)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct vu_dev_setup s = {
		.num_queues = 3,
		.config = CONFIG_TEXT,
		.config_len = sizeof(CONFIG_TEXT),
		.window_size = WINDOW_SIZE,
	};
	char cmd[256];
	int lq, lm;

	*state = m;
	m->qtest = -1;
	m->monitor = -1;
	snprintf(cmd, sizeof(cmd), "%s -device vhost-user-test-device-pci,help >/dev/null 2>&1",
		 qemu());
	if (system(cmd))
		return 0;
	strcpy(m->dir, "/tmp/hyv-test-XXXXXX");
	assert_non_null(mkdtemp(m->dir));
	m->window_fd = memfd_create("window", MFD_CLOEXEC);
	assert_int_equal(ftruncate(m->window_fd, WINDOW_SIZE), 0);
	assert_int_equal(pwrite(m->window_fd, "\x78\x56\x34\x12", 4, 64), 4);
	assert_true(sd_event_new(&m->loop) >= 0);
	m->gm = gmem_create(NULL);
	m->listen_fd = listen_at(m->dir, "vu");
	s.listen_fd = m->listen_fd;
	assert_int_equal(vu_dev_create(&m->dev, m->loop, &s, m->gm, &ops, m), 0);
	lq = listen_at(m->dir, "qtest");
	lm = listen_at(m->dir, "monitor");
	fcntl(lq, F_SETFL, O_NONBLOCK);
	fcntl(lm, F_SETFL, O_NONBLOCK);
	m->pid = fork();
	if (!m->pid)
		exec_qemu(m->dir);
	wait_for(m, m->monitor >= 0 || (m->monitor = accept4(lm, NULL, NULL, SOCK_CLOEXEC)) >= 0);
	wait_for(m, m->qtest >= 0 || (m->qtest = accept4(lq, NULL, NULL, SOCK_CLOEXEC)) >= 0);
	close(lq);
	close(lm);
	put_pci(m, 0x18, COMMON);
	put_pci(m, 0x1c, 0);
	put_pci(m, 0x20, WINDOW);
	put_pci(m, 0x24, 0);
	put_pci(m, 0x04, 7);
	return 0;
}

static int teardown(void **state)
{
	struct machine *m = *state;
	double end = now() + 10;
	char path[128];
	const char *names[] = { "vu", "qtest", "monitor" };
	int i;

	if (m->pid) {
		kill(m->pid, SIGTERM);
		while (!m->disconnected && now() < end)
			sd_event_run(m->loop, 10000);
		assert_true(m->disconnected);
		waitpid(m->pid, NULL, 0);
		vu_dev_destroy(m->dev);
		gmem_destroy(m->gm);
		sd_event_unref(m->loop);
		close(m->listen_fd);
		close(m->window_fd);
		close(m->qtest);
		close(m->monitor);
		for (i = 0; i < 3; i++) {
			snprintf(path, sizeof(path), "%s/%s", m->dir, names[i]);
			unlink(path);
		}
		rmdir(m->dir);
	}
	free(m);
	return 0;
}

/* ---- the driver ---- */

static void reset(struct machine *m)
{
	put(m, "b", COMMON + 20, 0);
}

/* From reset to DRIVER_OK, as a driver does; nothing is waited for. */
static void start(struct machine *m)
{
	unsigned int i;

	put(m, "b", COMMON + 20, 1);
	put(m, "b", COMMON + 20, 3);
	put(m, "l", COMMON + 8, 1); /* VIRTIO_F_VERSION_1 alone */
	put(m, "l", COMMON + 12, 1);
	put(m, "b", COMMON + 20, 11);
	for (i = 0; i < 3; i++) {
		/* Nothing available, nothing used; descriptor 0 is good for a chain. */
		tell(m, "write 0x%x 0x4 0x00000000", RING(i) + RING_AVAIL);
		tell(m, "write 0x%x 0x4 0x00000000", RING(i) + RING_USED);
		tell(m, "write 0x%x 0x10 0x00000f00000000000800000000000000", RING(i));
		put(m, "w", COMMON + 22, i);
		put(m, "l", COMMON + 32, RING(i));
		put(m, "l", COMMON + 36, 0);
		put(m, "l", COMMON + 40, RING(i) + RING_AVAIL);
		put(m, "l", COMMON + 44, 0);
		put(m, "l", COMMON + 48, RING(i) + RING_USED);
		put(m, "l", COMMON + 52, 0);
		put(m, "w", COMMON + 28, 1);
	}
	put(m, "b", COMMON + 20, 15);
}

/* Offer the chain of descriptor 0 for the @n-th time and wait for it to come back. */
static void round_trip(struct machine *m, unsigned int n)
{
	unsigned int before = m->chains;

	put(m, "w", RING(0) + RING_AVAIL + 4 + 2 * (n % 64), 0);
	put(m, "w", RING(0) + RING_AVAIL + 2, n + 1);
	put(m, "w", NOTIFY, 0);
	wait_for(m, m->chains > before);
	assert_int_equal(get(m, "w", RING(0) + RING_USED + 2), n + 1);
}

static void expect_window(struct machine *m)
{
	assert_int_equal(get(m, "l", WINDOW + 64), 0x12345678);
}

#define skip_without(m) \
	do { \
		if (!(m)->pid) \
			skip(); \
	} while (0)

static void test_live(void **state)
{
	struct machine *m = *state;

	skip_without(m);
	/* Nothing is mapped yet: reads of the region give 0. */
	assert_int_equal(get(m, "l", WINDOW + 64), 0);
	start(m);
	wait_for(m, m->lives == 1);
	expect_window(m);
	round_trip(m, 0);
	round_trip(m, 1);
	assert_int_equal(get(m, "l", DEVICE_CONFIG), 'c' | 'o' << 8 | 'n' << 16 | 'f' << 24);
	assert_in_range(gmem_total(m->gm), 63 << 20, 65 << 20);
}

static void test_reset(void **state)
{
	struct machine *m = *state;
	unsigned int i;

	skip_without(m);
	for (i = 0; i < 5; i++) {
		start(m);
		wait_for(m, m->lives == i + 1);
		expect_window(m);
		round_trip(m, 0);
		reset(m);
		wait_for(m, m->stops == i + 1);
		/* The mapping is gone with the reset. */
		assert_int_equal(get(m, "l", WINDOW + 64), 0);
	}
}

static void test_pause(void **state)
{
	struct machine *m = *state;
	unsigned int i;

	skip_without(m);
	start(m);
	wait_for(m, m->lives == 1);
	for (i = 0; i < 5; i++) {
		round_trip(m, i);
		assert_int_equal(send(m->monitor, "stop\ncont\n", 10, 0), 10);
		wait_for(m, m->lives == i + 2);
		assert_int_equal(m->stops, i + 1);
		expect_window(m);
	}
	round_trip(m, i);
}

static void test_system_reset(void **state)
{
	struct machine *m = *state;

	skip_without(m);
	start(m);
	wait_for(m, m->lives == 1);
	assert_int_equal(send(m->monitor, "system_reset\n", 13, 0), 13);
	wait_for(m, m->stops == 1);
}

/*
 * The driver resets the device right after it started it, again and again, and QEMU sees both in
 * one go: the request to map comes when the device is stopped. Sent in one piece, it crashes QEMU
 * within a few of these.
 */
static void test_storm(void **state)
{
	struct machine *m = *state;
	struct timespec pause = { 0 };
	unsigned int i;
	struct rnd r;

	skip_without(m);
	rnd_init(&r, __func__);
	for (i = 0; i < 150; i++) {
		start(m);
		if (!rnd(&r, 3)) {
			pause.tv_nsec = rnd(&r, 1000000);
			nanosleep(&pause, NULL);
		}
		reset(m);
		if (!rnd(&r, 3))
			assert_true(sd_event_run(m->loop, rnd(&r, 1000)) >= 0);
	}
	wait_for(m, m->answers == m->asked);
	printf("%u maps begun, %u ended, %u stops\n", m->maps, m->lives, m->stops);
	assert_true(m->maps - m->lives > 10); /* or the test has missed its aim */
	i = m->lives;
	start(m);
	wait_for(m, m->lives == i + 1);
	expect_window(m);
	round_trip(m, 0);
}

#define qemu_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		qemu_test(test_live),	      qemu_test(test_reset), qemu_test(test_pause),
		qemu_test(test_system_reset), qemu_test(test_storm),
	};

	log_init("test_real_qemu", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
