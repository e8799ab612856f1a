/* In the place of src/event/log.c: lines are part of the world's trace, and there is no thread that writes them. */
#include "event/log.h"

#include "sim/world.h"

struct log {
    struct process *process;
};

int log_new(struct sys *sys, int fd, enum log_format format, struct slice filter, struct log **ret_log)
{
    struct log *log = calloc(1, sizeof(*log));

    if (!log)
        return -1;
    log->process = process_of(sys);
    *ret_log = log;
    return 0;
}

void log_free(struct log *log)
{
    free(log);
}

int log_set_filter(struct log *log, struct slice filter)
{
    return 0;
}

void log_filter(struct log *log, struct buffer *ret_text)
{
    buffer_add_lit(ret_text, "info");
}

bool log_enabled(const struct log *log, enum log_level level, const char *target)
{
    return level <= LOG_INFO;
}

static void write_line(struct log *log, enum log_level level, const char *target, const char *format, va_list args)
{
    char text[LOG_LINE_MAX];

    if (!log_enabled(log, level, target))
        return;
    vsnprintf(text, sizeof(text), format, args);
    world_note(log->process->host->world, "log %s/%s %s %s: %s", log->process->host->name, log->process->name,
               log_level_name(level), target, text);
}

void log_line(struct log *log, enum log_level level, const char *target, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(log, level, target, format, args);
    va_end(args);
}

void log_limited(struct log *log, enum log_level level, const char *target, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(log, level, target, format, args);
    va_end(args);
}

void log_raw(struct log *log, struct slice line)
{
    world_note(log->process->host->world, "log %s/%s %.*s", log->process->host->name, log->process->name, SLICE_ARGS(line));
}

uint64_t log_dropped(const struct log *log)
{
    return 0;
}

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {"OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"};

    return names[level];
}
