#include "netfilter/journal.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"

static const struct {
    const char *name;
    enum journal_level level;
} levels[] = {
    {"panic", JOURNAL_ERROR},  {"fatal", JOURNAL_ERROR}, {"off", JOURNAL_ERROR},   {"error", JOURNAL_ERROR}, {"warn", JOURNAL_WARN},
    {"warning", JOURNAL_WARN}, {"info", JOURNAL_INFO},   {"debug", JOURNAL_DEBUG}, {"trace", JOURNAL_DEBUG},
};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

int journal_level_parse(const char *name, enum journal_level *ret_level)
{
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (slice_eq_nocase(slice_str(name), slice_str(levels[i].name))) {
            *ret_level = levels[i].level;
            return 0;
        }
    return -EINVAL;
}

int journal_format_parse(const char *name, bool *ret_json)
{
    if (strcmp(name, "plain") != 0 && strcmp(name, "json") != 0)
        return -EINVAL;
    *ret_json = name[0] == 'j';
    return 0;
}

static void write_line(const struct journal *log, enum journal_level level, struct slice text)
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

void journal_line(const struct journal *log, enum journal_level level, const char *format, ...)
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
