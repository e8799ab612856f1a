#include "inject/patch.h"

#include <errno.h>

#include "base/buffer.h"

enum { POINTER_MAX = 1024 };

void patch_init(struct patch *patch, const char *prefix)
{
    *patch = (struct patch){.operations = json_array(), .prefix = prefix};
    if (!patch->operations)
        patch->error = -ENOMEM;
}

void patch_release(struct patch *patch)
{
    json_decref(patch->operations);
    patch->operations = NULL;
}

/* RFC 6901 section 3: ~ and / of a step are ~0 and ~1. */
static void add_step(struct buffer *pointer, const char *step)
{
    buffer_add_byte(pointer, '/');
    for (; *step; step++) {
        if (*step == '~')
            buffer_add_lit(pointer, "~0");
        else if (*step == '/')
            buffer_add_lit(pointer, "~1");
        else
            buffer_add_byte(pointer, *step);
    }
}

void patch_add(struct patch *patch, const char *path, const char *key, json_t *value)
{
    struct buffer pointer;
    json_t *operation = NULL;

    buffer_init(&pointer, POINTER_MAX);
    buffer_printf(&pointer, "%s%s", patch->prefix, path);
    if (key)
        add_step(&pointer, key);
    if (!patch->error && value && buffer_error(&pointer) == 0)
        operation = json_pack("{s:s, s:s#, s:O}", "op", "add", "path", pointer.data, (int)pointer.len, "value", value);
    if (!operation || json_array_append_new(patch->operations, operation) < 0)
        patch->error = -ENOMEM;
    buffer_release(&pointer);
    json_decref(value);
}

void patch_ensure_object(struct patch *patch, const char *path, const json_t *there)
{
    if (!json_is_object(there))
        patch_add(patch, path, NULL, json_object());
}

void patch_ensure_list(struct patch *patch, const char *path, const json_t *there)
{
    if (!json_is_array(there))
        patch_add(patch, path, NULL, json_array());
}
