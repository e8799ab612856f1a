#include "netfilter/log.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"

static const struct {
    const char *name;
    enum log_level level;
} levels[] = {
    {"panic", LOG_ERROR},  {"fatal", LOG_ERROR}, {"off", LOG_ERROR},   {"error", LOG_ERROR}, {"warn", LOG_WARN},
    {"warning", LOG_WARN}, {"info", LOG_INFO},   {"debug", LOG_DEBUG}, {"trace", LOG_DEBUG},
};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

int log_level_parse(const char *name, enum log_level *ret_level)
{
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (slice_eq_nocase(slice_str(name), slice_str(levels[i].name))) {
            *ret_level = levels[i].level;
            return 0;
        }
    return -EINVAL;
}

int log_format_parse(const char *name, bool *ret_json)
{
    if (strcmp(name, "plain") != 0 && strcmp(name, "json") != 0)
        return -EINVAL;
    *ret_json = name[0] == 'j';
    return 0;
}

static void write_line(const struct log *log, enum log_level level, struct slice text)
{
    struct buffer line;
    char when[32] = "";
    time_t now = time(NULL);
    struct tm tm;

    if (gmtime_r(&now, &tm))
        strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    buffer_init(&line, 8 * (text.len + 64));
    buffer_printf(&line, log->json ? "{\"level\":\"%s\",\"msg\":" : "time=\"%s\" level=%s msg=",
                  log->json ? level_names[level] : when, level_names[level]);
    buffer_add_json(&line, text);
    if (log->json)
        buffer_printf(&line, ",\"time\":\"%s\"}", when);
    buffer_add_byte(&line, '\n');
    if (buffer_error(&line) == 0) {
        fwrite(line.data, 1, line.len, log->to);
        fflush(log->to);
    }
    buffer_release(&line);
}

void log_line(const struct log *log, enum log_level level, const char *format, ...)
{
    struct buffer text;
    va_list args;

    if (level > log->level)
        return;
    buffer_init(&text, 64 * 1024);
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    write_line(log, level, buffer_error(&text) ? SLICE_LIT("(a message too long to print)") : buffer_slice(&text));
    buffer_release(&text);
}
