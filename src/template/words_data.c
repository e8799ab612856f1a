/* Words for lists, maps and numbers. */
#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "template/copy.h"
#include "template/value.h"
#include "template/words.h"

json_t *word_list(struct render *x, json_t *const *args, size_t count)
{
    json_t *list = json_array();
    bool failed = !list;

    for (size_t i = 0; i < count && !failed; i++)
        failed = json_array_append(list, args[i]) < 0;
    if (!failed)
        return render_keep(x, list);
    json_decref(list);
    return render_keep(x, NULL);
}

json_t *word_dict(struct render *x, json_t *const *args, size_t count)
{
    json_t *map = json_object();

    for (size_t i = 0; map && i + 1 < count; i += 2) {
        if (!json_is_string(args[i]) || json_object_set_nocheck(map, json_string_value(args[i]), args[i + 1]) < 0) {
            json_decref(map);
            return render_fail(x, "a key is %s: expected a text", value_kind(args[i]));
        }
    }
    if (count % 2) {
        json_decref(map);
        return render_fail(x, "%zu arguments: expected keys and values in turn", count);
    }
    return render_keep(x, map);
}

/* A copy of the map without these keys. */
json_t *word_omit(struct render *x, json_t *const *args, size_t count)
{
    json_t *map;

    if (!json_is_object(args[0]))
        return render_fail(x, "got %s: expected a map", value_kind(args[0]));
    map = render_keep(x, copy_shallow(args[0]));
    for (size_t i = 1; map && i < count; i++) {
        if (!json_is_string(args[i]))
            return render_fail(x, "a key is %s: expected a text", value_kind(args[i]));
        json_object_del(map, json_string_value(args[i]));
    }
    return map;
}

json_t *word_last(struct render *x, json_t *const *args, size_t count)
{
    if (!json_is_array(args[0]) || json_array_size(args[0]) == 0)
        return render_fail(x, "got %s: expected a list that is not empty", value_kind(args[0]));
    return json_array_get(args[0], json_array_size(args[0]) - 1);
}

/* What `from` has and `into` lacks, or has empty; maps in both are merged. As Sprig's, it leaves nulls of `from` behind. */
static int merge_into(json_t *into, json_t *from, unsigned depth)
{
    const char *key;
    json_t *value;
    int r = depth > LIMIT_TEMPLATE_DEPTH ? -1 : 0;

    json_object_foreach (from, key, value) {
        json_t *mine = json_object_get(into, key);

        if (r < 0)
            break;
        if (json_is_null(value))
            continue;
        if (json_is_object(mine) && json_is_object(value))
            r = merge_into(mine, value, depth + 1);
        else if (!mine || !value_is_true(mine))
            r = json_object_set_new_nocheck(into, key, copy_deep(value));
    }
    return r;
}

/* Unlike Sprig's, it leaves the first map as it is: nothing that a template is given changes. */
json_t *word_merge(struct render *x, json_t *const *args, size_t count)
{
    json_t *merged;

    for (size_t i = 0; i < count; i++)
        if (!json_is_object(args[i]))
            return render_fail(x, "argument %zu is %s: expected a map", i + 1, value_kind(args[i]));
    merged = copy_deep(args[0]);
    for (size_t i = 1; i < count; i++)
        if (!merged || merge_into(merged, args[i], 0) < 0) {
            json_decref(merged);
            return render_keep(x, NULL);
        }
    return render_keep(x, merged);
}

json_t *word_len(struct render *x, json_t *const *args, size_t count)
{
    if (json_is_string(args[0]))
        return render_keep(x, json_integer((json_int_t)json_string_length(args[0])));
    if (json_is_array(args[0]))
        return render_keep(x, json_integer((json_int_t)json_array_size(args[0])));
    if (json_is_object(args[0]))
        return render_keep(x, json_integer((json_int_t)json_object_size(args[0])));
    return render_fail(x, "got %s: expected a text, a list or a map", value_kind(args[0]));
}

static bool is_text(json_t *value, json_t *wanted)
{
    return json_is_string(value) ? json_equal(value, wanted) : !value && json_string_length(wanted) == 0;
}

/* As Helm: API version, kind, namespace ("" for kinds without one) and name; an empty map where there is no such object. */
json_t *word_lookup(struct render *x, json_t *const *args, size_t count)
{
    json_t *objects = render_objects(x), *object;
    size_t i;

    for (i = 0; i < count; i++)
        if (!json_is_string(args[i]))
            return render_fail(x, "argument %zu is %s: expected a text", i + 1, value_kind(args[i]));
    if (!json_string_length(args[3]))
        return render_fail(x, "the name is empty: lists are not looked up");
    json_array_foreach (objects, i, object) {
        json_t *metadata = json_object_get(object, "metadata");

        if (json_equal(json_object_get(object, "apiVersion"), args[0]) && json_equal(json_object_get(object, "kind"), args[1]) &&
            is_text(json_object_get(metadata, "namespace"), args[2]) && json_equal(json_object_get(metadata, "name"), args[3]))
            return object;
    }
    return render_keep(x, json_object());
}

/* As Sprig: what is no number is 0. */
json_t *word_int(struct render *x, json_t *const *args, size_t count)
{
    long long value = 0;
    char *end;

    if (json_is_integer(args[0]))
        return args[0];
    if (json_is_true(args[0]))
        value = 1;
    if (json_is_real(args[0]) && json_real_value(args[0]) > -9.2e18 && json_real_value(args[0]) < 9.2e18)
        value = (long long)json_real_value(args[0]);
    if (json_is_string(args[0])) {
        errno = 0;
        value = strtoll(json_string_value(args[0]), &end, 0);
        value = *end || errno ? 0 : value;
    }
    return render_keep(x, json_integer(value));
}

json_t *word_to_yaml(struct render *x, json_t *const *args, size_t count)
{
    struct buffer text;

    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    value_to_yaml(args[0], &text);
    return render_text(x, &text);
}

json_t *word_to_json(struct render *x, json_t *const *args, size_t count)
{
    struct buffer text;

    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    value_to_json(args[0], &text);
    return render_text(x, &text);
}
