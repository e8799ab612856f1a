/*
 * Log lines of a short-lived program, on one stream: logfmt as people know it
 * from proxy-init, or one JSON object to a line. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

enum journal_level { JOURNAL_ERROR, JOURNAL_WARN, JOURNAL_INFO, JOURNAL_DEBUG };

struct journal {
    FILE *to;
    enum journal_level level; /* the most talkative that is written */
    bool json;
};

/* "error", "warn" or "warning", "info", "debug"; Linkerd's other levels count as the nearest. 0 or -EINVAL. */
int journal_level_parse(const char *name, enum journal_level *ret_level);
/* "plain" or "json". 0 or -EINVAL. */
int journal_format_parse(const char *name, bool *ret_json);
/* One line, its text quoted so that nothing in it can look like another line. */
void journal_line(const struct journal *log, enum journal_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
