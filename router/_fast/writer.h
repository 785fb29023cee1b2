/* A thread that writes and syncs without ever asking for the interpreter: its lock is what a thread
   of Python's would fight for with the loop, twice a system call. */
#ifndef ROUTER_WRITER_H
#define ROUTER_WRITER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define WRITER_IOV 1024

enum { WRITER_IDLE, WRITER_BUSY, WRITER_DONE, WRITER_STOP };

typedef struct {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int state;
    int notify;           /* an eventfd, written when a job is done */
    int fd;
    int64_t position;
    struct iovec *parts;
    size_t count;
    int failure;          /* errno of the last job, 0 if it is durable */
    double seconds;
} writer;

static int writer_write(writer *w) {
    struct iovec *part = w->parts;
    size_t left = w->count;
    off_t position = w->position;
    while (left) {
        ssize_t done = pwritev(w->fd, part, left < WRITER_IOV ? (int)left : WRITER_IOV, position);
        if (done < 0) {
            if (errno == EINTR) continue;
            return errno;
        }
        if (done == 0) return ENOSPC;
        position += done;
        while (left && (size_t)done >= part->iov_len) {
            done -= part->iov_len;
            part++;
            left--;
        }
        if (done) {
            part->iov_base = (char *)part->iov_base + done;
            part->iov_len -= done;
        }
    }
    while (fdatasync(w->fd) != 0)
        if (errno != EINTR) return errno;
    return 0;
}

static double writer_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static void *writer_run(void *argument) {
    writer *w = argument;
    uint64_t one = 1;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (w->state != WRITER_BUSY && w->state != WRITER_STOP)
            pthread_cond_wait(&w->wake, &w->lock);
        if (w->state == WRITER_STOP) break;
        pthread_mutex_unlock(&w->lock);
        double started = writer_clock();
        int failure = writer_write(w);
        double seconds = writer_clock() - started;
        pthread_mutex_lock(&w->lock);
        w->failure = failure;
        w->seconds = seconds;
        if (w->state == WRITER_BUSY) w->state = WRITER_DONE;
        while (write(w->notify, &one, sizeof one) < 0 && errno == EINTR) {}
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static writer *writer_start(int notify) {
    writer *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->notify = notify;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    if (pthread_create(&w->thread, NULL, writer_run, w) != 0) {
        free(w);
        return NULL;
    }
    return w;
}

/* Takes over `parts`. Only while no job is under way. */
static void writer_submit(writer *w, int fd, int64_t position, struct iovec *parts, size_t count) {
    pthread_mutex_lock(&w->lock);
    free(w->parts);
    w->fd = fd;
    w->position = position;
    w->parts = parts;
    w->count = count;
    w->state = WRITER_BUSY;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

static int writer_take(writer *w, int *failure, double *seconds) {
    pthread_mutex_lock(&w->lock);
    int done = w->state == WRITER_DONE;
    if (done) {
        w->state = WRITER_IDLE;
        *failure = w->failure;
        *seconds = w->seconds;
    }
    pthread_mutex_unlock(&w->lock);
    return done;
}

static void writer_stop(writer *w) {
    pthread_mutex_lock(&w->lock);
    w->state = WRITER_STOP;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    free(w->parts);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    free(w);
}

#endif
