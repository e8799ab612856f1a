#include "cli/install/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/chart/values.h"
#include "codec/yaml/yaml.h"
#include "template/from_yaml.h"

static int add(json_t *objects, json_t *object)
{
    json_t *items = json_object_get(object, "items"), *item;
    size_t index;

    if (!json_is_array(items))
        return json_array_append(objects, object) < 0 ? -ENOMEM : 0;
    json_array_foreach (items, index, item)
        if (json_is_object(item) && json_array_append(objects, item) < 0)
            return -ENOMEM;
    return 0;
}

int manifest_read(struct slice text, const char *name, struct errmsg *msg, json_t **ret_objects)
{
    json_t *objects = json_array();
    struct yaml_document document;
    int line = 1, r = objects ? 0 : -ENOMEM;

    while (r == 0 && yaml_next_document(&text, &line, &document)) {
        json_t *object = NULL;

        r = from_yaml(document.text, name, false, msg, &object);
        if (r == 0 && json_is_object(object))
            r = add(objects, object);
        else if (r == 0 && !json_is_null(object))
            r = errmsg_set(msg, -EINVAL, "%s:%d: expected an object of Kubernetes", name, document.line);
        json_decref(object);
    }
    if (r < 0) {
        json_decref(objects);
        return r == -ENOMEM ? errmsg_set(msg, r, "%s: out of memory", name) : r;
    }
    *ret_objects = objects;
    return 0;
}

static bool is_text(json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

json_t *manifest_find(json_t *objects, const char *kind, const char *namespace_, const char *name)
{
    json_t *object;
    size_t index;

    json_array_foreach (objects, index, object)
        if (is_text(json_object_get(object, "kind"), kind) && is_text(values_at(object, "metadata.name"), name) &&
            (!namespace_ || is_text(values_at(object, "metadata.namespace"), namespace_)))
            return object;
    return NULL;
}

void manifest_key(const char *kind, const char *namespace_, const char *name, char *out, size_t size)
{
    snprintf(out, size, "%s %s%s%s", kind, namespace_ ? namespace_ : "", namespace_ && *namespace_ ? "/" : "", name);
}
