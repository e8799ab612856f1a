#include "inject/notes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/slice.h"

void notes_init(struct notes *notes)
{
    *notes = (struct notes){.texts = json_array()};
    if (!notes->texts)
        notes->error = -ENOMEM;
}

void notes_release(struct notes *notes)
{
    json_decref(notes->texts);
    notes->texts = NULL;
}

/* The length without a character that snprintf cut in two. */
static size_t whole_characters(const char *text, size_t len)
{
    while (len && !slice_is_utf8(slice_of(text, len)))
        len--;
    return len;
}

void notes_add(struct notes *notes, const char *format, ...)
{
    char text[LIMIT_INJECT_WARNING + 1];
    va_list args;

    if (notes->error)
        return;
    if (json_array_size(notes->texts) == LIMIT_INJECT_WARNINGS) {
        notes->dropped++;
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (json_array_append_new(notes->texts, json_stringn_nocheck(text, whole_characters(text, strlen(text)))) < 0)
        notes->error = -ENOMEM;
}
