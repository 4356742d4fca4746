/*
 * The load of every benchmark, in one thread, one line of JSON as its result:
 *   load rr      ADDRESS PORT CONNECTIONS BYTES SECONDS   messages to and fro on open connections
 *   load bulk    ADDRESS PORT BYTES                       one transfer to a sink, until the sink has it all
 *   load connect ADDRESS PORT CONCURRENCY SECONDS         connect, a byte there, a byte back, the server closes
 *   load hold    ADDRESS PORT CONNECTIONS                 opens and prints {"open":N}; then waits until all are closed,
 *                                                         or its input ends, and tells when they closed
 */
#include "bench.h"

#define MAX_MICROSECONDS 200000

static char buffer[256 * 1024];
static uint32_t histogram[MAX_MICROSECONDS + 1];
static struct sockaddr_in target;

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;
	return (difference > 0) - (difference < 0);
}

static int connect_blocking(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&target, sizeof(target)) < 0)
		fail("connect");
	no_delay(fd);
	return fd;
}

static void round_trip(int fd)
{
	if (write(fd, "x", 1) != 1 || read(fd, buffer, 1) != 1)
		fail("first byte of a new connection");
}

static void set_non_blocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void watch(int epoll, int fd, uint32_t events, uint32_t index)
{
	struct epoll_event event = { .events = events, .data.u32 = index };
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		fail("epoll_ctl");
}

static void count(uint64_t nanoseconds)
{
	uint64_t microseconds = nanoseconds / 1000;
	histogram[microseconds < MAX_MICROSECONDS ? microseconds : MAX_MICROSECONDS]++;
}

static uint32_t percentile(uint64_t total, double share)
{
	uint64_t seen = 0, wanted = (uint64_t)(share * (double)total);
	for (uint32_t value = 0; value <= MAX_MICROSECONDS; value++)
		if ((seen += histogram[value]) > wanted)
			return value;
	return MAX_MICROSECONDS;
}

/* When the measurement began, and how busy the machine had been until then. */
static uint64_t started;
static double busy_before;

static void start_clocks(void)
{
	busy_before = machine_seconds();
	started = now_ns(CLOCK_MONOTONIC);
}

static void print_clocks(void)
{
	double seconds = (double)(now_ns(CLOCK_MONOTONIC) - started) / 1e9;
	printf("\"seconds\":%.6f,\"machineSeconds\":%.2f}\n", seconds, machine_seconds() - busy_before);
}

static void print_operations(uint64_t operations, uint64_t errors)
{
	printf("{\"operations\":%lu,\"errors\":%lu,\"p50Us\":%u,\"p99Us\":%u,", operations, errors,
	       percentile(operations, 0.5), percentile(operations, 0.99));
	print_clocks();
}

struct exchange {
	int fd;
	size_t missing;
	uint64_t sent_ns;
};

static void send_message(struct exchange *exchange, size_t size)
{
	exchange->missing = size;
	exchange->sent_ns = now_ns(CLOCK_MONOTONIC);
	if (write(exchange->fd, buffer, size) != (ssize_t)size)
		fail("write");
}

static void request_response(int connections, size_t size, double seconds)
{
	struct exchange *exchanges = calloc((size_t)connections, sizeof(*exchanges));
	int epoll = epoll_create1(0);
	for (int i = 0; i < connections; i++) {
		exchanges[i].fd = connect_blocking();
		round_trip(exchanges[i].fd);
		set_non_blocking(exchanges[i].fd);
		watch(epoll, exchanges[i].fd, EPOLLIN, (uint32_t)i);
	}
	start_clocks();
	uint64_t operations = 0, end = started + (uint64_t)(seconds * 1e9);
	for (int i = 0; i < connections; i++)
		send_message(&exchanges[i], size);
	while (now_ns(CLOCK_MONOTONIC) < end) {
		struct epoll_event events[256];
		int ready = epoll_wait(epoll, events, 256, 1000);
		for (int i = 0; i < ready; i++) {
			struct exchange *exchange = &exchanges[events[i].data.u32];
			ssize_t length = read(exchange->fd, buffer, exchange->missing);
			if (length < 0 && errno == EAGAIN)
				continue;
			if (length <= 0)
				fail("read");
			if ((exchange->missing -= (size_t)length) > 0)
				continue;
			count(now_ns(CLOCK_MONOTONIC) - exchange->sent_ns);
			operations++;
			send_message(exchange, size);
		}
	}
	print_operations(operations, 0);
}

static void bulk(uint64_t bytes)
{
	int fd = connect_blocking();
	start_clocks();
	for (uint64_t left = bytes; left > 0;) {
		ssize_t length = write(fd, buffer, left < sizeof(buffer) ? left : sizeof(buffer));
		if (length <= 0)
			fail("write");
		left -= (uint64_t)length;
	}
	shutdown(fd, SHUT_WR);
	if (read(fd, buffer, 1) != 1)
		fail("the sink's answer");
	printf("{\"bytes\":%lu,", bytes);
	print_clocks();
}

enum phase { CONNECTING, SENT, CLOSING };
struct attempt {
	int fd;
	enum phase phase;
	uint64_t started_ns;
};

static void begin(int epoll, struct attempt *attempt, uint32_t index)
{
	attempt->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	attempt->phase = CONNECTING;
	attempt->started_ns = now_ns(CLOCK_MONOTONIC);
	if (connect(attempt->fd, (struct sockaddr *)&target, sizeof(target)) < 0 && errno != EINPROGRESS)
		fail("connect");
	watch(epoll, attempt->fd, EPOLLOUT, index);
}

/* True when the attempt is over; `failed` tells how. */
static int advance(int epoll, struct attempt *attempt, uint32_t index, int *failed)
{
	if (attempt->phase == CONNECTING) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = index };
		no_delay(attempt->fd);
		*failed = write(attempt->fd, "x", 1) != 1;
		attempt->phase = SENT;
		epoll_ctl(epoll, EPOLL_CTL_MOD, attempt->fd, &event);
		return *failed;
	}
	ssize_t length = read(attempt->fd, buffer, 64);
	if (length < 0 && errno == EAGAIN)
		return 0;
	if (length > 0 && attempt->phase == SENT) {
		attempt->phase = CLOSING;
		return 0;
	}
	*failed = length != 0 || attempt->phase != CLOSING;
	return 1;
}

static void connects(int concurrency, double seconds)
{
	struct attempt *attempts = calloc((size_t)concurrency, sizeof(*attempts));
	int epoll = epoll_create1(0);
	start_clocks();
	uint64_t operations = 0, errors = 0, end = started + (uint64_t)(seconds * 1e9);
	for (int i = 0; i < concurrency; i++)
		begin(epoll, &attempts[i], (uint32_t)i);
	while (now_ns(CLOCK_MONOTONIC) < end) {
		struct epoll_event events[256];
		int ready = epoll_wait(epoll, events, 256, 1000);
		for (int i = 0; i < ready; i++) {
			uint32_t index = events[i].data.u32;
			struct attempt *attempt = &attempts[index];
			int failed = 0;
			if (!advance(epoll, attempt, index, &failed))
				continue;
			if (failed) {
				errors++;
			} else {
				operations++;
				count(now_ns(CLOCK_MONOTONIC) - attempt->started_ns);
			}
			close(attempt->fd);
			begin(epoll, attempt, index);
		}
	}
	print_operations(operations, errors);
}

/* When each connection ended, in milliseconds since 1970, so that it can be set against a change made elsewhere. */
static void hold(int connections)
{
	double *closed_ms = calloc((size_t)connections, sizeof(*closed_ms));
	int *fds = calloc((size_t)connections, sizeof(*fds));
	int epoll = epoll_create1(0), closed = 0, waiting = 1;
	for (int i = 0; i < connections; i++) {
		fds[i] = connect_blocking();
		round_trip(fds[i]);
		watch(epoll, fds[i], EPOLLIN | EPOLLRDHUP, (uint32_t)i);
	}
	watch(epoll, STDIN_FILENO, EPOLLIN, UINT32_MAX);
	printf("{\"open\":%d}\n", connections);
	fflush(stdout);
	while (waiting && closed < connections) {
		struct epoll_event events[1024];
		int ready = epoll_wait(epoll, events, 1024, -1);
		double at = (double)now_ns(CLOCK_REALTIME) / 1e6;
		for (int i = 0; i < ready; i++) {
			uint32_t index = events[i].data.u32;
			if (index == UINT32_MAX) {
				waiting = read(STDIN_FILENO, buffer, sizeof(buffer)) > 0;
				continue;
			}
			closed_ms[closed++] = at;
			close(fds[index]);
		}
	}
	qsort(closed_ms, (size_t)closed, sizeof(*closed_ms), compare);
	if (closed == 0)
		printf("{\"closed\":0,\"p50Ms\":0,\"p99Ms\":0,\"lastMs\":0}\n");
	else
		printf("{\"closed\":%d,\"p50Ms\":%.3f,\"p99Ms\":%.3f,\"lastMs\":%.3f}\n", closed, closed_ms[closed / 2],
		       closed_ms[closed * 99 / 100], closed_ms[closed - 1]);
}

int main(int argc, char **argv)
{
	if (argc < 5) {
		fprintf(stderr, "usage: load rr|bulk|connect|hold ADDRESS PORT ...\n");
		return 2;
	}
	raise_file_limit();
	target = address_of(argv[2], argv[3]);
	if (strcmp(argv[1], "rr") == 0 && argc == 7)
		request_response(atoi(argv[4]), (size_t)atoi(argv[5]), atof(argv[6]));
	else if (strcmp(argv[1], "bulk") == 0)
		bulk(strtoull(argv[4], NULL, 10));
	else if (strcmp(argv[1], "connect") == 0 && argc == 6)
		connects(atoi(argv[4]), atof(argv[5]));
	else if (strcmp(argv[1], "hold") == 0)
		hold(atoi(argv[4]));
	else
		return 2;
	return 0;
}
