/*
 * The server of every benchmark, in one thread: serve ADDRESS ECHO_PORT SINK_PORT ONCE_PORT
 * echo sends back what it gets; sink reads to the end and answers with one byte; once answers one byte and closes.
 * Prints "ready" when it listens.
 */
#include "bench.h"

enum kind { LISTEN_ECHO, LISTEN_SINK, LISTEN_ONCE, ECHO, SINK, ONCE };

static char buffer[256 * 1024];
static int epoll;

static void watch(int fd, enum kind kind)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = (uint64_t)kind << 32 | (uint32_t)fd };
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		fail("epoll_ctl");
}

static void listen_on(const char *address, const char *port, enum kind kind)
{
	struct sockaddr_in at = address_of(address, port);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4096) < 0)
		fail("listen");
	watch(fd, kind);
}

static void accept_all(int listener, enum kind kind)
{
	int fd;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		no_delay(fd);
		watch(fd, kind - LISTEN_ECHO + ECHO);
	}
}

/* Messages are far smaller than a socket buffer: a short write means that the peer has stopped reading. */
static void echo(int fd)
{
	ssize_t length = read(fd, buffer, sizeof(buffer));
	if (length < 0 && errno == EAGAIN)
		return;
	if (length <= 0 || write(fd, buffer, (size_t)length) != length)
		close(fd);
}

/* A few reads for each wake-up, so that the server is never what a bulk transfer waits for. */
static void sink(int fd)
{
	for (int turn = 0; turn < 8; turn++) {
		ssize_t length = read(fd, buffer, sizeof(buffer));
		if (length > 0)
			continue;
		if (length < 0 && errno == EAGAIN)
			return;
		if (length == 0 && write(fd, "", 1) != 1)
			perror("sink");
		close(fd);
		return;
	}
}

static void once(int fd)
{
	ssize_t length = read(fd, buffer, 64);
	if (length < 0 && errno == EAGAIN)
		return;
	if (length > 0 && write(fd, buffer, 1) != 1)
		perror("once");
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: serve ADDRESS ECHO_PORT SINK_PORT ONCE_PORT\n");
		return 2;
	}
	raise_file_limit();
	epoll = epoll_create1(EPOLL_CLOEXEC);
	for (int kind = LISTEN_ECHO; kind <= LISTEN_ONCE; kind++)
		listen_on(argv[1], argv[2 + kind], (enum kind)kind);
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct epoll_event events[256];
		int count = epoll_wait(epoll, events, 256, -1);
		for (int i = 0; i < count; i++) {
			int fd = (int)(uint32_t)events[i].data.u64;
			enum kind kind = (enum kind)(events[i].data.u64 >> 32);
			if (kind <= LISTEN_ONCE)
				accept_all(fd, kind);
			else if (kind == ECHO)
				echo(fd);
			else if (kind == SINK)
				sink(fd);
			else
				once(fd);
		}
	}
}
