/* The load: keep-alive connections that send one prepared request after another.

   load PORT COUNT CONNECTIONS FIRST CORE RATE < REQUEST

   Every "@@@@@@@@@@" in the request is replaced by the request's number, counted from FIRST. RATE 0:
   each connection sends its next request when it has its answer. RATE r: r requests a second are due,
   whether or not earlier ones are answered, and a request's time counts from when it was due.
   Prints JSON: rate in requests a second, p50 and p99 in seconds, failed (not answered 200). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MARK "@@@@@@@@@@"
#define MARK_LENGTH 10
#define MOST_CONNECTIONS 1024
#define ANSWER_BYTES 4096

typedef struct {
    int fd;
    double begun;
    size_t sent, got;
    char answer[ANSWER_BYTES];
    char *request;
} connection;

static size_t request_length, marks[4096], mark_count;
static char *request;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void read_request(void) {
    size_t room = 1 << 24;
    request = malloc(room);
    request_length = fread(request, 1, room, stdin);
    for (char *p = request; (p = memmem(p, request + request_length - p, MARK, MARK_LENGTH));
         p += MARK_LENGTH)
        marks[mark_count++] = p - request;
}

static void open_connection(connection *c, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->request = malloc(request_length);
    memcpy(c->request, request, request_length);
}

static void start(connection *c, long number, double due) {
    char digits[MARK_LENGTH + 1];
    snprintf(digits, sizeof digits, "%010ld", number);
    for (size_t i = 0; i < mark_count; i++) memcpy(c->request + marks[i], digits, MARK_LENGTH);
    c->begun = due;
    c->sent = c->got = 0;
    while (c->sent < request_length) {
        ssize_t n = send(c->fd, c->request + c->sent, request_length - c->sent, MSG_NOSIGNAL);
        if (n < 0) die("send");
        c->sent += n;
    }
}

/* Reads what is there; 1 if the answer (with a Content-Length) is complete. */
static int take(connection *c) {
    ssize_t n = recv(c->fd, c->answer + c->got, ANSWER_BYTES - 1 - c->got, 0);
    if (n <= 0) die("the server closed a connection");
    c->got += n;
    c->answer[c->got] = 0;
    char *body = strstr(c->answer, "\r\n\r\n");
    char *length = body ? strcasestr(c->answer, "content-length:") : NULL;
    return length && c->got >= (size_t)(body + 4 - c->answer) + atol(length + 15);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 7) return 2;
    int port = atoi(argv[1]), connections = atoi(argv[3]), core = atoi(argv[5]);
    long count = atol(argv[2]), first = atol(argv[4]), sent = 0, answered = 0, failed = 0;
    double rate = atof(argv[6]);
    if (connections > MOST_CONNECTIONS || count < 1) return 2;
    if (core >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(core, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    read_request();
    connection *all = calloc(connections, sizeof *all), *idle[MOST_CONNECTIONS];
    double *times = malloc(count * sizeof *times);
    struct epoll_event events[MOST_CONNECTIONS];
    int poll = epoll_create1(0), idle_count = 0;
    for (int i = 0; i < connections; i++) {
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = &all[i]};
        open_connection(&all[i], port);
        epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &wanted);
        idle[idle_count++] = &all[i];
    }
    double began = now();
    while (answered < count) {
        while (idle_count && sent < count) {
            double due = rate > 0 ? began + sent / rate : now();
            if (rate > 0 && due > now()) break;
            start(idle[--idle_count], first + sent++, due);
        }
        int ready = epoll_wait(poll, events, connections, rate > 0 ? 0 : 10000);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        if (ready == 0 && rate <= 0) die("no answer for 10 s");
        for (int i = 0; i < ready; i++) {
            connection *c = events[i].data.ptr;
            if (!take(c)) continue;
            times[answered++] = now() - c->begun;
            failed += strncmp(c->answer, "HTTP/1.1 200", 12) != 0;
            idle[idle_count++] = c;
        }
    }
    double seconds = now() - began;
    qsort(times, count, sizeof *times, ascending);
    printf("{\"rate\":%.3f,\"p50\":%.9f,\"p99\":%.9f,\"failed\":%ld}\n", count / seconds,
           times[count / 2], times[count * 99 / 100], failed);
    return 0;
}
