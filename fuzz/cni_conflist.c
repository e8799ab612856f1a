/*
 * The network configuration of a node, which anybody who makes networks writes, and our entry in it: what is inserted and
 * removed leaves the bytes as they were, and what the list means is what it meant, and one plugin more.
 */
#include <assert.h>
#include <jansson.h>

#include "base/limits.h"
#include "cni/conflist.h"

#define ENTRY SLICE_LIT("{\"type\":\"linkerd-cni\",\"linkerd\":{\"proxy-uid\":2102}}")

static json_t *parse(const struct buffer *text)
{
    json_t *value = json_loadb(text->data, text->len, JSON_REJECT_DUPLICATES, NULL);

    assert(value);
    return value;
}

/* `after` is `before` and our entry behind its plugins. */
static void check_meaning(const struct buffer *before, const struct buffer *after)
{
    json_t *old = parse(before), *new = parse(after), *entry = json_loadb(ENTRY.ptr, ENTRY.len, 0, NULL);

    json_array_append_new(json_object_get(old, "plugins"), entry);
    assert(json_equal(old, new));
    json_decref(old);
    json_decref(new);
}

/* The text has none of ours any more; everything is exact from here on. */
static void check(struct slice text)
{
    struct buffer with, again, back;
    struct errmsg msg = {""};

    buffer_init(&with, 2 * LIMIT_CNI_CONFIG);
    buffer_init(&again, 2 * LIMIT_CNI_CONFIG);
    buffer_init(&back, 2 * LIMIT_CNI_CONFIG);
    if (conflist_insert(text, ENTRY, &with, &msg) < 0) {
        assert(msg.text[0]);
    } else if (with.len <= LIMIT_CNI_CONFIG) {
        assert(conflist_insert(buffer_slice(&with), ENTRY, &again, &msg) == 0);
        assert(slice_eq(buffer_slice(&with), buffer_slice(&again)));
        assert(conflist_remove(buffer_slice(&with), &back, &msg) == 0);
        assert(slice_eq(buffer_slice(&back), text));
        check_meaning(&back, &with);
    }
    buffer_release(&with);
    buffer_release(&again);
    buffer_release(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct errmsg msg = {""};
    struct buffer text;

    buffer_init(&text, 2 * LIMIT_CNI_CONFIG);
    if (conflist_remove(slice_of(data, size), &text, &msg) == 0)
        check(buffer_slice(&text));
    else
        assert(msg.text[0]);
    buffer_clear(&text);
    if (conflist_wrap(slice_of(data, size), &text, &msg) == 0 && text.len <= LIMIT_CNI_CONFIG)
        check(buffer_slice(&text));
    buffer_release(&text);
    return 0;
}
