/*
 * Templates: whatever the bytes are, reading and rendering end, within their limits, and change no data. Before a NUL byte stands
 * the template, behind it the values as JSON.
 */
#include <assert.h>

#include "base/limits.h"
#include "template/template.h"

static void run(struct slice text, json_t *data)
{
    struct template_set *set;
    struct errmsg msg = {""};
    struct buffer out;
    json_t *before = json_deep_copy(data);
    int r = template_set_new(&set);

    if (r < 0 || !before)
        __builtin_trap();
    buffer_init(&out, LIMIT_TEMPLATE_OUTPUT);
    r = template_set_add(set, SLICE_LIT("f"), text, &msg);
    if (r == 0 && template_set_check(set, &msg) == 0)
        r = template_render(set, SLICE_LIT("f"), data, &msg, &out);
    assert(r == 0 || msg.text[0]);
    assert(json_equal(before, data));
    buffer_release(&out);
    template_set_free(set);
    json_decref(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of(data, size);
    size_t end = slice_find(all, '\0');
    struct slice json = slice_skip(all, end + 1);
    json_t *values = json_loadb(json.len ? json.ptr : "{}", json.len ? json.len : 2, 0, NULL);

    if (!values)
        values = json_object();
    run(slice_take(all, end), values);
    json_decref(values);
    return 0;
}
