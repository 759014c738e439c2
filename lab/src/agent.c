// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs commands in another machine of the lab, with their input, output, exit code and, when asked, a terminal.
 *
 * DOC: the protocol, over any byte stream
 *
 * The client sends a magic with a nonce, then frames; the server answers with the same magic and nonce, then frames. A virtio-serial
 * port keeps what an earlier, killed client left in it, so the client skips all bytes before its own nonce, and a server that meets a
 * new magic where a frame should start gives up the old session. A session is one command. When the connection goes, the command's
 * process group is killed; when the command ends, its exit code ends the session, and what it left in the background stays.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define MAGIC		0x4c564859u	/* "YHVL" */
#define MAX_PAYLOAD	(64u << 10)
#define VSOCK_PORT	1024
#define HEARTBEAT_MSEC	10000
#define UNIX_PORTS	4

/* Both directions start with this. */
struct hello {
	uint32_t magic;
	uint32_t unused;
	uint64_t nonce;
};

enum frame_type {
	FRAME_RUN = 1,		/* client: struct winsize, a byte (want a terminal), then the arguments, each with its NUL */
	FRAME_INPUT,		/* client: bytes of standard input, none at its end */
	FRAME_WINSIZE,		/* client: struct winsize */
	FRAME_HEARTBEAT,	/* client: nothing; a machine that has reset itself closes the connection when it hears from us */
	FRAME_STDOUT,		/* server: bytes */
	FRAME_STDERR,		/* server: bytes */
	FRAME_EXIT,		/* server: uint32_t exit code, as a shell would tell it */
};

struct frame {
	uint32_t type;
	uint32_t len;
	char data[MAX_PAYLOAD + 1];
};

#define FRAME_HEAD offsetof(struct frame, data)

/* Returns 0, or -1 at the end of the stream or an error. */
static int read_all(int fd, void *buf, size_t len)
{
	while (len) {
		ssize_t n = read(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		buf = (char *)buf + n;
		len -= n;
	}
	return 0;
}

static int write_all(int fd, const void *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		buf = (const char *)buf + n;
		len -= n;
	}
	return 0;
}

static int send_frame(int fd, struct frame *f, uint32_t type, uint32_t len)
{
	f->type = type;
	f->len = len;
	return write_all(fd, f, FRAME_HEAD + len);
}

/* Returns 0, 1 when a new client's hello came instead (its nonce is then in *nonce), or -1. */
static int recv_frame(int fd, struct frame *f, uint64_t *nonce)
{
	if (read_all(fd, f, FRAME_HEAD))
		return -1;
	if (f->type == MAGIC)
		return read_all(fd, nonce, sizeof(*nonce)) ? -1 : 1;
	if (f->len > MAX_PAYLOAD || read_all(fd, f->data, f->len))
		return -1;
	f->data[f->len] = 0;
	return 0;
}

/* ---- server ---- */

/* The command of a session, and the ends of its streams that the server holds; -1 where there is none. */
struct command {
	pid_t pid;
	int pidfd;
	int in;
	int out;
	int err;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void exec_command(char *args, const char *end)
{
	char *argv[512];
	int n = 0;

	for (char *p = args; p < end && n < 511; p += strlen(p) + 1)
		argv[n++] = p;
	argv[n] = NULL;
	signal(SIGPIPE, SIG_DFL);
	if (n)
		execvp(argv[0], argv);
	fprintf(stderr, "%s: %s\n", n ? argv[0] : "no command", strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static int start_command(struct command *c, struct frame *f)
{
	struct winsize ws;
	char *args = f->data + sizeof(ws) + 1;
	const char *end = f->data + f->len;
	int in[2], out[2], err[2];

	if (f->len < sizeof(ws) + 1)
		return -1;
	memcpy(&ws, f->data, sizeof(ws));
	c->err = -1;
	if (args[-1]) {
		c->pid = forkpty(&c->out, NULL, NULL, &ws);
		if (!c->pid)
			exec_command(args, end);
		c->in = dup(c->out);
	} else {
		if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
			return -1;
		c->pid = fork();
		if (!c->pid) {
			setsid();
			dup2(in[0], 0);
			dup2(out[1], 1);
			dup2(err[1], 2);
			exec_command(args, end);
		}
		close(in[0]);
		close(out[1]);
		close(err[1]);
		c->in = in[1];
		c->out = out[0];
		c->err = err[0];
		fcntl(c->err, F_SETFL, O_NONBLOCK);
	}
	if (c->pid < 0)
		return -1;
	fcntl(c->in, F_SETFL, O_NONBLOCK);
	fcntl(c->out, F_SETFL, O_NONBLOCK);
	c->pidfd = pidfd_open(c->pid, 0);
	return 0;
}

/* Sends what *from has; closes it at its end. Returns 1 if there may be more, 0 if not, -1 when the connection is gone. */
static int forward(int conn, int *from, uint32_t type, struct frame *f)
{
	ssize_t n = *from < 0 ? 0 : read(*from, f->data, MAX_PAYLOAD);

	if (n > 0)
		return send_frame(conn, f, type, n) ? -1 : 1;
	if (!n || (errno != EAGAIN && errno != EINTR))
		close_fd(from);
	return 0;
}

static int exit_code(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return 255;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Serves one command. Returns 1 when a new client's hello cut it short (its nonce is in *nonce), else 0 or -1. */
static int serve_session(int conn, uint64_t *nonce)
{
	static struct frame f, input;
	struct hello hello = { .magic = MAGIC, .nonce = *nonce };
	struct command c;
	uint32_t pending = 0, sent = 0, code;
	int ret = -1;

	if (write_all(conn, &hello, sizeof(hello)))
		return -1;
	ret = recv_frame(conn, &f, nonce);
	if (ret)
		return ret;
	if (f.type != FRAME_RUN || start_command(&c, &f))
		return -1;
	for (;;) {
		struct pollfd p[] = {
			{ .fd = conn, .events = pending ? 0 : POLLIN },
			{ .fd = c.pidfd, .events = POLLIN },
			{ .fd = c.out, .events = POLLIN },
			{ .fd = c.err, .events = POLLIN },
			{ .fd = pending ? c.in : -1, .events = POLLOUT },
		};

		if (poll(p, 5, -1) < 0 && errno != EINTR)
			break;
		if (p[0].revents & POLLIN) {
			ret = recv_frame(conn, &input, nonce);
			if (ret)
				break;
			if (input.type == FRAME_WINSIZE && input.len == sizeof(struct winsize)) {
				ioctl(c.out, TIOCSWINSZ, input.data);
			} else if (input.type == FRAME_INPUT) {
				pending = c.in < 0 ? 0 : input.len;
				sent = 0;
				if (!input.len)
					close_fd(&c.in);
			}
		} else if (p[0].revents) {
			ret = -1;
			break;
		}
		if (p[4].revents) {
			ssize_t n = write(c.in, input.data + sent, pending);

			if (n < 0 && errno != EAGAIN && errno != EINTR) {
				close_fd(&c.in);
				pending = 0;
			} else if (n > 0) {
				sent += n;
				pending -= n;
			}
		}
		ret = -1;
		if (p[2].revents && forward(conn, &c.out, FRAME_STDOUT, &f) < 0)
			break;
		if (p[3].revents && forward(conn, &c.err, FRAME_STDERR, &f) < 0)
			break;
		if (!p[1].revents)
			continue;
		while ((ret = forward(conn, &c.out, FRAME_STDOUT, &f)) > 0)
			;
		while (!ret && (ret = forward(conn, &c.err, FRAME_STDERR, &f)) > 0)
			ret = 0;
		code = exit_code(c.pid);
		c.pid = 0;
		memcpy(f.data, &code, sizeof(code));
		ret = send_frame(conn, &f, FRAME_EXIT, sizeof(code));
		break;
	}
	if (c.pid) {
		kill(-c.pid, SIGKILL);
		exit_code(c.pid);
	}
	close_fd(&c.pidfd);
	close_fd(&c.in);
	close_fd(&c.out);
	close_fd(&c.err);
	return ret;
}

/* Serves one client, after whatever an earlier one left in front of the hello. Returns false when there was no client. */
static bool serve_connection(int conn)
{
	struct hello hello = { 0 };
	int ret = 1;

	if (read_all(conn, &hello, FRAME_HEAD))
		return false;
	while (hello.magic != MAGIC) {
		memmove(&hello, (char *)&hello + 1, FRAME_HEAD - 1);
		if (read_all(conn, (char *)&hello + FRAME_HEAD - 1, 1))
			return false;
	}
	if (read_all(conn, &hello.nonce, sizeof(hello.nonce)))
		return false;
	while (ret == 1)
		ret = serve_session(conn, &hello.nonce);
	return true;
}

static void reap(int sig)
{
	int saved = errno;

	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	errno = saved;
}

/* May be the machine's first process, and then reaps every orphan too. */
static int serve_vsock(void)
{
	struct sockaddr_vm a = { .svm_family = AF_VSOCK, .svm_port = VSOCK_PORT, .svm_cid = VMADDR_CID_ANY };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 64)) {
		perror("vsock");
		return 1;
	}
	signal(SIGCHLD, reap);
	for (;;) {
		int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (conn < 0)
			continue;
		if (!fork()) {
			signal(SIGCHLD, SIG_DFL);
			close(fd);
			serve_connection(conn);
			_exit(0);
		}
		close(conn);
	}
}

/*
 * One client at a time. While no client is there the port is readable, and empty, and offers no way to wait for one; looking seldom
 * matters, since each look costs an emulated machine milliseconds.
 */
static int serve_port(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		perror(path);
		return 1;
	}
	for (;;)
		usleep(serve_connection(fd) ? 5000 : 200000);
}

/* ---- client ---- */

static volatile sig_atomic_t winsize_changed;
static struct termios saved_termios;

static void on_winch(int sig)
{
	(void)sig;
	winsize_changed = 1;
}

static void restore_terminal(void)
{
	tcsetattr(0, TCSADRAIN, &saved_termios);
}

static void raw_terminal(void)
{
	struct termios t;

	if (tcgetattr(0, &saved_termios))
		return;
	t = saved_termios;
	cfmakeraw(&t);
	tcsetattr(0, TCSADRAIN, &t);
	atexit(restore_terminal);
	sigaction(SIGWINCH, &(struct sigaction){ .sa_handler = on_winch }, NULL);
}

static int connect_vsock(unsigned int cid)
{
	struct sockaddr_vm a = { .svm_family = AF_VSOCK, .svm_port = VSOCK_PORT, .svm_cid = cid };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof(a)) ? fd : -1;
}

/* PREFIX.0 and so on are QEMU's ends of the virtio-serial ports; takes the first that nobody holds, as its lock file tells. */
static int connect_unix(const char *prefix)
{
	for (;; usleep(100000)) {
		for (int i = 0; i < UNIX_PORTS; i++) {
			struct sockaddr_un a = { .sun_family = AF_UNIX };
			char lock[sizeof(a.sun_path) + 8];
			int fd, lock_fd;

			snprintf(a.sun_path, sizeof(a.sun_path), "%s.%d", prefix, i);
			snprintf(lock, sizeof(lock), "%s.lock", a.sun_path);
			lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
			if (lock_fd < 0)
				return -1;
			if (flock(lock_fd, LOCK_EX | LOCK_NB)) {
				close(lock_fd);
				continue;
			}
			fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
			return !connect(fd, (struct sockaddr *)&a, sizeof(a)) ? fd : -1;
		}
	}
}

/* Sends the hello and reads until its echo, over whatever an earlier client left. */
static int say_hello(int conn)
{
	struct hello hello = { .magic = MAGIC }, answer = { 0 };
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	hello.nonce = (uint64_t)t.tv_nsec << 32 ^ (uint64_t)t.tv_sec << 20 ^ getpid();
	if (write_all(conn, &hello, sizeof(hello)))
		return -1;
	while (memcmp(&answer, &hello, sizeof(hello))) {
		memmove(&answer, (char *)&answer + 1, sizeof(answer) - 1);
		if (read_all(conn, (char *)&answer + sizeof(answer) - 1, 1))
			return -1;
	}
	return 0;
}

static int run_client(int conn, bool tty, char **argv)
{
	static struct frame f;
	struct pollfd p[] = { { .fd = conn, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
	struct winsize ws = { .ws_row = 24, .ws_col = 80 };
	uint32_t len = sizeof(ws) + 1, code;
	uint64_t nonce;

	ioctl(0, TIOCGWINSZ, &ws);
	memcpy(f.data, &ws, sizeof(ws));
	f.data[sizeof(ws)] = tty;
	for (; *argv; argv++) {
		size_t n = strlen(*argv) + 1;

		if (len + n > MAX_PAYLOAD) {
			fprintf(stderr, "lab-agent: arguments too long\n");
			return 255;
		}
		memcpy(f.data + len, *argv, n);
		len += n;
	}
	if (say_hello(conn) || send_frame(conn, &f, FRAME_RUN, len))
		goto lost;
	if (tty)
		raw_terminal();
	for (;;) {
		int ready = poll(p, 2, HEARTBEAT_MSEC);

		if (ready < 0 && errno != EINTR)
			goto lost;
		if (!ready) {
			if (send_frame(conn, &f, FRAME_HEARTBEAT, 0))
				goto lost;
			continue;
		}
		if (winsize_changed && !ioctl(0, TIOCGWINSZ, f.data)) {
			winsize_changed = 0;
			if (send_frame(conn, &f, FRAME_WINSIZE, sizeof(ws)))
				goto lost;
			continue;
		}
		if (p[0].revents) {
			if (recv_frame(conn, &f, &nonce))
				goto lost;
			if (f.type == FRAME_EXIT) {
				memcpy(&code, f.data, sizeof(code));
				return code;
			}
			if (write_all(f.type == FRAME_STDERR ? 2 : 1, f.data, f.len))
				return 255;
		} else if (p[1].revents) {
			ssize_t n = read(0, f.data, MAX_PAYLOAD / 16);

			if (n <= 0)
				p[1].fd = -1;
			if (send_frame(conn, &f, FRAME_INPUT, n > 0 ? n : 0))
				p[1].fd = -1;
		}
	}
lost:
	fprintf(stderr, "lab-agent: the machine went away\n");
	return 255;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: lab-agent serve-vsock | serve-port DEVICE\n"
		"       lab-agent run [-t] vsock:CID|unix:PREFIX COMMAND [ARGUMENT...]\n"
		"The first form waits for commands, the second has one run and ends with its exit code, or with\n"
		"255 when the other machine cannot be reached or went away; -t gives the command a terminal.\n");
	return 255;
}

int main(int argc, char **argv)
{
	bool tty = argc > 2 && !strcmp(argv[2], "-t");
	const char *where = argc > 2 + tty ? argv[2 + tty] : NULL;
	int conn;

	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && !strcmp(argv[1], "run"))
		prctl(PR_SET_PDEATHSIG, SIGKILL);	/* a shell function in the background is a shell that waits for this process */
	if (argc == 2 && !strcmp(argv[1], "serve-vsock"))
		return serve_vsock();
	if (argc == 3 && !strcmp(argv[1], "serve-port"))
		return serve_port(argv[2]);
	if (argc < 4 + tty || strcmp(argv[1], "run"))
		return usage();
	if (!strncmp(where, "vsock:", 6))
		conn = connect_vsock(atoi(where + 6));
	else if (!strncmp(where, "unix:", 5))
		conn = connect_unix(where + 5);
	else
		return usage();
	if (conn < 0) {
		fprintf(stderr, "lab-agent: %s: %s\n", where, strerror(errno));
		return 255;
	}
	return run_client(conn, tty, argv + 3 + tty);
}
