/*
 * Log lines of a program, written by a thread of their own: a slow or blocked
 * standard output delays nobody, it loses lines, which are counted and reported
 * when writing goes on. Library folders do not log; programs do, once, where the
 * error is handled.
 *
 * A line has a level, a target (the part of the program: "destination",
 * "inbound") and a message. The filter is a list of directives as Linkerd's
 * proxy has them: "warn,linkerd=info,hickory=error,inbound=debug": a level for
 * all, or for one target; the longest target wins, `linkerd` means all of ours;
 * unknown targets are kept and match nothing. It can be changed while running.
 *
 * Plain lines: "2026-11-23T12:00:00.000001Z  WARN destination: message".
 * JSON lines:  {"timestamp":"...","level":"WARN","target":"destination","fields":{"message":"..."}}
 *
 * Any thread may log; the lock is held to copy a line.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "event/sys.h"

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };
enum log_format { LOG_PLAIN, LOG_JSON };

enum { LOG_LINE_MAX = 2048, LOG_QUEUE_BYTES = 256 * 1024 };

struct log;

/* Lines go to descriptor `fd`, which stays the caller's. -EINVAL when the filter cannot be read, -ENOMEM. */
int log_new(struct sys *sys, int fd, enum log_format format, struct slice filter, struct log **ret_log);
/* Writes what is queued, for a bounded time, and ends the thread. NULL is allowed. */
void log_free(struct log *log);
/* -EINVAL: the filter is not readable, the old one stays in force. */
int log_set_filter(struct log *log, struct slice filter);
/* The filter in force as text. */
void log_filter(struct log *log, struct buffer *ret_text);

bool log_enabled(const struct log *log, enum log_level level, const char *target);
void log_line(struct log *log, enum log_level level, const char *target, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same, at most once a second for each level and target: for what may happen at every connection. */
void log_limited(struct log *log, enum log_level level, const char *target, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A whole line as it is, with a newline added (access logs). */
void log_raw(struct log *log, struct slice line);
/* Lines lost so far. */
uint64_t log_dropped(const struct log *log);

const char *log_level_name(enum log_level level); /* "WARN" */
