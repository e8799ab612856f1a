/* Cuts a stream of YAML into documents, without parsing them. */
#include "codec/yaml/yaml.h"

/* A marker stands at the beginning of a line, with space or the end of the line behind it. */
static bool is_marker(struct slice line, struct slice marker)
{
    struct slice behind = slice_skip(line, marker.len);

    return slice_starts(line, marker) && (!behind.len || strchr(" \t\r", behind.ptr[0]));
}

static bool is_blank(struct slice line)
{
    size_t i = 0;

    while (i < line.len && strchr(" \t\r", line.ptr[i]))
        i++;
    return i == line.len || line.ptr[i] == '#';
}

static struct slice first_line(struct slice text)
{
    return slice_take(text, slice_find(text, '\n'));
}

/*
 * One document: an optional head of comments, directives and the `---` that belongs to it, then lines up to the next
 * `---` or behind the next `...`. Says whether there is anything in it.
 */
static bool take_document(struct slice *rest, int *line, struct yaml_document *ret_document)
{
    const char *start = rest->ptr;
    bool begun = false, holds_something = false, ended = false;

    ret_document->line = *line;
    while (rest->len && !ended) {
        struct slice text = first_line(*rest);
        bool begins = is_marker(text, SLICE_LIT("---"));

        if (begins && (begun || holds_something))
            break;
        ended = is_marker(text, SLICE_LIT("..."));
        if (begins) {
            begun = true;
            holds_something |= !is_blank(slice_skip(text, 3));
        } else if (!ended && !is_blank(text) && (begun || text.ptr[0] != '%')) {
            holds_something = true;
        }
        *rest = slice_skip(*rest, text.len + 1);
        *line += 1;
    }
    ret_document->text = slice_of(start, (size_t)(rest->ptr - start));
    return holds_something;
}

bool yaml_next_document(struct slice *rest, int *line, struct yaml_document *ret_document)
{
    if (*line == 1 && slice_starts(*rest, SLICE_LIT("\xef\xbb\xbf")))
        *rest = slice_skip(*rest, 3);
    while (rest->len)
        if (take_document(rest, line, ret_document))
            return true;
    return false;
}
