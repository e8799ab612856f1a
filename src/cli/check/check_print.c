/* The rows of `linkerd check` in the three forms. */
#include <string.h>

#include "cli/check/check.h"
#include "cli/command.h"

static const char *const marks[] = {"√", "‼", "×"};
static const char *const colours[] = {"\033[32;1m", "\033[33;1m", "\033[31;1m"};
static const char *const names[] = {"success", "warning", "error"};

static void mark(const struct checks *checks, enum check_result result)
{
    if (checks->colour)
        fprintf(checks->out, "%s%s\033[0m", colours[result], marks[result]);
    else
        fputs(marks[result], checks->out);
}

static void title(struct checks *checks)
{
    fprintf(checks->out, "%s%s\n", checks->categories++ ? "\n" : "", checks->category);
    for (size_t i = strlen(checks->category); i; i--)
        fputc('-', checks->out);
    fputc('\n', checks->out);
}

static void text_row(struct checks *checks, const struct check_row *row)
{
    if (!checks->titled)
        title(checks);
    checks->titled = true;
    mark(checks, row->result);
    fprintf(checks->out, " %s\n", row->what.text);
    if (row->result != CHECK_OK)
        fprintf(checks->out, "    %s\n    see docs/checks.md#%s for hints\n", row->error.text, row->anchor);
}

static void json_text(FILE *out, const char *text)
{
    struct buffer json;

    buffer_init(&json, 65536);
    buffer_add_json(&json, slice_str(text));
    fwrite(json.data, 1, json.len, out);
    buffer_release(&json);
}

static void json_row(struct checks *checks, const struct check_row *row)
{
    if (!checks->titled) {
        fprintf(checks->out, "%s\n    {\n      \"categoryName\": \"%s\",\n      \"checks\": [",
                checks->categories++ ? "\n      ]\n    }," : "", checks->category);
        checks->rows = 0;
    }
    checks->titled = true;
    fprintf(checks->out, "%s\n        {\n          \"description\": ", checks->rows++ ? "," : "");
    json_text(checks->out, row->what.text);
    if (row->result != CHECK_OK) {
        fprintf(checks->out, ",\n          \"hint\": \"docs/checks.md#%s\",\n          \"error\": ", row->anchor);
        json_text(checks->out, row->error.text);
    }
    fprintf(checks->out, ",\n          \"result\": \"%s\"\n        }", names[row->result]);
}

void checks_begin(struct checks *checks, const char *category)
{
    checks->category = category;
    checks->titled = false;
}

void checks_add(struct checks *checks, const struct check_row *row)
{
    checks->failed |= row->result == CHECK_ERROR;
    if (checks->format == CHECK_JSON) {
        if (checks->categories == 0)
            fputs("{\n  \"categories\": [", checks->out);
        json_row(checks, row);
    } else if (checks->format == CHECK_TABLE || row->result != CHECK_OK) {
        text_row(checks, row);
    }
    fflush(checks->out); /* the next row may take a while */
}

int checks_end(struct checks *checks)
{
    if (checks->format == CHECK_JSON) {
        fprintf(checks->out, "\n      ]\n    }\n  ],\n  \"success\": %s\n}\n", checks->failed ? "false" : "true");
    } else {
        fprintf(checks->out, "%sStatus check results are ", checks->categories ? "\n" : "");
        mark(checks, checks->failed ? CHECK_ERROR : CHECK_OK);
        fputc('\n', checks->out);
    }
    return checks->failed ? STATUS_FAILED : STATUS_DONE;
}
