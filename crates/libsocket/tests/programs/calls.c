/* Calls as a C program makes them: signals, SA_RESTART, vfork, descriptor games, fortified names, errno.
 * Each failed statement prints its line and ends the program. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(x) do { if (!(x)) { fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #x, errno); exit(1); } } while (0)
#define FAILS(x, e) do { errno = 0; CHECK((x) == -1 && errno == (e)); } while (0)

static struct sockaddr_in local(int fd)
{
	struct sockaddr_in a;
	socklen_t n = sizeof a;
	CHECK(getsockname(fd, (struct sockaddr *)&a, &n) == 0 && n == sizeof a);
	return a;
}

static int listener(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 8) == 0);
	return fd;
}

static void pair(int out[2])
{
	int l = listener();
	struct sockaddr_in a = local(l);
	out[0] = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(connect(out[0], (struct sockaddr *)&a, sizeof a) == 0);
	CHECK((out[1] = accept(l, NULL, NULL)) >= 0);
	CHECK(close(l) == 0);
}

static volatile int alarms;
static void on_alarm(int signal) { (void)signal; alarms++; }

static void alarm_in(int ms, int flags)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = flags };
	struct itimerval t = { .it_value.tv_usec = ms * 1000 };
	alarms = 0;
	CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &t, NULL) == 0);
}

static int slow_connect(int fd)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(9999), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	return connect(fd, (struct sockaddr *)&a, sizeof a);
}

static int slow_listener(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(9999), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
	CHECK(bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 8) == 0);
	return fd;
}

static void signals(void)
{
	int p[2], l = slow_listener(), fd;
	char c;
	pair(p);
	alarm_in(50, 0);
	FAILS(recv(p[0], &c, 1, 0), EINTR);
	CHECK(alarms == 1);
	alarm_in(50, SA_RESTART);
	struct timeval t = { .tv_usec = 200000 };
	CHECK(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) == 0);
	if (fork() == 0) {
		usleep(120000);
		_exit(write(p[1], "x", 1) != 1);
	}
	t.tv_usec = 0;
	CHECK(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) == 0);
	CHECK(recv(p[0], &c, 1, 0) == 1 && alarms == 1);
	wait(NULL);

	/* A connect that a signal interrupts goes on by itself; asking again tells how it is. */
	fd = socket(AF_INET, SOCK_STREAM, 0);
	alarm_in(50, 0);
	FAILS(slow_connect(fd), EINTR);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	FAILS(slow_connect(fd), EALREADY);
	FAILS(send(fd, "x", 1, 0), EAGAIN);
	fcntl(fd, F_SETFL, 0);
	CHECK(send(fd, "xyz", 3, 0) == 3);
	CHECK(slow_connect(fd) == 0 || errno == EISCONN);
	int other = accept(l, NULL, NULL);
	char text[4] = "";
	CHECK(recv(other, text, 4, 0) == 3 && strcmp(text, "xyz") == 0);
	close(other);
	close(fd);
	/* With SA_RESTART it is not seen at all. */
	fd = socket(AF_INET, SOCK_STREAM, 0);
	alarm_in(50, SA_RESTART);
	CHECK(slow_connect(fd) == 0 && alarms == 1);
	close(fd);
	/* SO_SNDTIMEO bounds it. */
	fd = socket(AF_INET, SOCK_STREAM, 0);
	t.tv_usec = 50000;
	CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) == 0);
	FAILS(slow_connect(fd), EINPROGRESS);
	close(fd);
	close(l);

	/* SIGPIPE kills, unless MSG_NOSIGNAL says no. */
	pid_t child = fork();
	if (child == 0) {
		signal(SIGPIPE, SIG_DFL);
		shutdown(p[0], SHUT_WR);
		if (send(p[0], "x", 1, MSG_NOSIGNAL) != -1 || errno != EPIPE)
			_exit(9);
		(void)!write(p[0], "x", 1);
		_exit(8);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
	close(p[0]);
	close(p[1]);
}

static void descriptors(void)
{
	int p[2], fd, type;
	socklen_t n = sizeof type;
	char c;
	pair(p);
	/* What a vfork child does to its own descriptors is not the parent's affair. */
	pid_t child = vfork();
	if (child == 0) {
		dup2(p[1], p[0]);
		close(p[1]);
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	CHECK(waitpid(child, NULL, 0) == child);
	CHECK(getsockopt(p[0], SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM);
	CHECK(getsockopt(p[1], SOL_SOCKET, SO_PROTOCOL, &type, &n) == 0 && type == IPPROTO_TCP);
	CHECK(write(p[0], "v", 1) == 1 && read(p[1], &c, 1) == 1 && c == 'v');

	/* fclose and stdio. */
	fd = dup(p[0]);
	FILE *f = fdopen(fd, "r+");
	fprintf(f, "stdio\n");
	CHECK(fflush(f) == 0);
	char text[16] = "";
	CHECK(read(p[1], text, sizeof text) == 6 && strcmp(text, "stdio\n") == 0);
	CHECK(write(p[1], "line\n", 5) == 5 && fgets(text, sizeof text, f) && strcmp(text, "line\n") == 0);
	CHECK(fclose(f) == 0);
	int file = open("/dev/null", O_RDWR);
	CHECK(file == fd);
	FAILS(getsockopt(file, SOL_SOCKET, SO_TYPE, &type, &n), ENOTSOCK);
	close(file);
	/* A number that was closed behind our back. */
	fd = fcntl(p[0], F_DUPFD_CLOEXEC, 30);
	CHECK(fd == 30 && syscall(3, fd) == 0);
	file = fcntl(open("/dev/null", O_RDWR), F_DUPFD, 30);
	FAILS(getsockopt(file, SOL_SOCKET, SO_TYPE, &type, &n), ENOTSOCK);
	FAILS(bind(file, NULL, 0), ENOTSOCK);

	CHECK(dup3(p[0], 31, O_CLOEXEC) == 31 && fcntl(31, F_GETFD) == FD_CLOEXEC && dup2(31, 31) == 31);
	FAILS(dup3(31, 31, 0), EINVAL);
	FAILS(dup2(999, 31), EBADF);
	CHECK(getsockopt(31, SOL_SOCKET, SO_TYPE, &type, &n) == 0);
	CHECK(close_range(31, 40000, 0) == 0);
	FAILS(fcntl(31, F_GETFD), EBADF);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
	CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && (fcntl(fd, F_GETFL) & O_NONBLOCK));
	closefrom(3);
	FAILS(fcntl(fd, F_GETFD), EBADF);
	CHECK((fd = socket(AF_INET, SOCK_STREAM, 0)) == 3);
	close(fd);
}

static void many_messages(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, from;
	int s = socket(AF_INET, SOCK_DGRAM, 0), r = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(bind(r, (struct sockaddr *)&a, sizeof a) == 0);
	a = local(r);
	struct mmsghdr m[3] = { 0 };
	struct iovec iov[3];
	char text[3][8] = { "a", "bb", "ccc" };
	for (int i = 0; i < 3; i++) {
		iov[i] = (struct iovec) { text[i], strlen(text[i]) };
		m[i].msg_hdr = (struct msghdr) { .msg_iov = &iov[i], .msg_iovlen = 1, .msg_name = &a, .msg_namelen = sizeof a };
	}
	CHECK(sendmmsg(s, m, 3, 0) == 3 && m[2].msg_len == 3);
	usleep(100000);
	for (int i = 0; i < 3; i++) {
		iov[i] = (struct iovec) { text[i], sizeof text[i] };
		m[i].msg_hdr.msg_name = &from;
		m[i].msg_hdr.msg_namelen = sizeof from;
	}
	CHECK(recvmmsg(r, m, 3, MSG_WAITFORONE, NULL) == 3 && m[1].msg_len == 2 && from.sin_port == local(s).sin_port);
	FAILS(recvmmsg(r, m, 3, MSG_DONTWAIT, NULL), EAGAIN);
	int queued = 9;
	CHECK(ioctl(r, FIONREAD, &queued) == 0 && queued == 0);
	close(s);
	close(r);
}

static void interfaces(void)
{
	struct ifaddrs *list, *i;
	int v4 = 0, v6 = 0, link = 0;
	CHECK(getifaddrs(&list) == 0);
	for (i = list; i; i = i->ifa_next) {
		if (strcmp(i->ifa_name, "en0"))
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			v4 += ((struct sockaddr_in *)i->ifa_netmask)->sin_addr.s_addr == htonl(0xffffff00);
		if (i->ifa_addr->sa_family == AF_INET6)
			v6 += ((struct sockaddr_in6 *)i->ifa_addr)->sin6_scope_id == 2;
		link += i->ifa_addr->sa_family == AF_PACKET;
	}
	freeifaddrs(list);
	CHECK(v4 == 1 && v6 == 1 && link == 1);
	struct ifreq room[8];
	struct ifconf conf = { .ifc_len = sizeof room, .ifc_req = room };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(ioctl(fd, SIOCGIFCONF, &conf) == 0 && conf.ifc_len == 2 * sizeof room[0]);
	CHECK(strcmp(room[1].ifr_name, "en0") == 0);
	close(fd);
}

static void *connecting(void *fd)
{
	return (void *)(long)slow_connect(*(int *)fd);
}

static int open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void *cancelled(void *fd)
{
	char c;
	return (void *)(long)read(*(int *)fd, &c, 1);
}

static void threads(void)
{
	/* read(2) on a pipe is a point of cancellation still. */
	int p[2];
	pthread_t t;
	void *result;
	CHECK(pipe(p) == 0 && pthread_create(&t, NULL, cancelled, &p[0]) == 0);
	usleep(50000);
	CHECK(pthread_cancel(t) == 0 && pthread_join(t, &result) == 0 && result == PTHREAD_CANCELED);
	close(p[0]);
	close(p[1]);
	int q[2];
	pair(q);
	CHECK(pthread_create(&t, NULL, cancelled, &q[0]) == 0);
	usleep(50000);
	CHECK(pthread_cancel(t) == 0 && pthread_join(t, &result) == 0 && result == PTHREAD_CANCELED);
	close(q[0]);
	close(q[1]);
	/* A thread that waits for a handshake leaves nothing behind, and others go on meanwhile. */
	for (int round = 0, before = 0; round < 4; round++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(pthread_create(&t, NULL, connecting, &fd) == 0);
		usleep(50000);
		pair(q);
		CHECK(pthread_cancel(t) == 0 && pthread_join(t, &result) == 0 && result == PTHREAD_CANCELED);
		close(q[0]);
		close(q[1]);
		close(fd);
		if (round == 1)
			before = open_descriptors();
		CHECK(round < 2 || open_descriptors() <= before);
	}
}

/* Who connects again and again gets sockets in advance; what the program sees of them is what socket(2) says. */
static void many_connects(void)
{
	int p[2], lowest = dup(0);
	close(lowest);
	for (int i = 0; i < 10; i++) {
		pair(p);
		CHECK(p[0] >= lowest && p[0] < lowest + 3);
		close(p[0]);
		close(p[1]);
	}
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), other = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(fd == lowest && other == lowest + 1);
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && (fcntl(fd, F_GETFL) & O_NONBLOCK));
	CHECK(fcntl(other, F_GETFD) == 0 && !(fcntl(other, F_GETFL) & O_NONBLOCK));
	close(fd);
	close(other);

	/* A child has a stock of its own. */
	pair(p);
	pid_t child = fork();
	if (child == 0) {
		for (int i = 0; i < 8; i++)
			pair(p);
		_exit(0);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child && status == 0);

	/* Closed behind the library's back, and the numbers given to others. */
	for (int n = 900; n < 1024; n++) {
		FILE *f = fdopen(n, "r");
		if (f)
			fclose(f);
		fcntl(0, F_DUPFD, n);
	}
	pair(p);
	pair(p);
	/* And before its eyes. */
	pair(p);
	for (int n = 900; n < 1024; n++)
		CHECK(dup2(0, n) == n);
	pair(p);
	CHECK(close_range(900, 1023, 0) == 0);
	pair(p);
}

int main(int argc, char **argv)
{
	(void)argc, (void)argv;
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 1024;
	setrlimit(RLIMIT_NOFILE, &limit);
	errno = 77;
	int p[2];
	pair(p);
	CHECK(errno == 77);
	close(p[0]);
	close(p[1]);
	alarm(60);
	descriptors();
	many_messages();
	interfaces();
	signals();
	if (!getenv("NO_CANCEL"))
		threads();
	many_connects();
	return 0;
}
