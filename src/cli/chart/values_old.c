#include "cli/chart/values_old.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/chart/values.h"

enum { PATH = 512, DEPTH = 16 };

static const char VERSION[] = "of Linkerd 2.8";

/* `from` as it is without `global.`, or stands at the top; to NULL: no successor. A name stands for all below it. */
static const struct {
    const char *from, *to;
} renamed[] = {
    {"cniPluginImage", "image.name"},
    {"cniPluginVersion", "image.version"},
    {"controlPlaneTracing", "controller.tracing.enabled"},
    {"noInitContainer", "cniEnabled"},
    {"proxy.trace.collectorSvcAddr", "proxy.tracing.collector.endpoint"},
    {"proxy.trace.collectorSvcAccount", "proxy.tracing.collector.meshIdentity.serviceAccountName"},
    {"cniResourceLabel", NULL},
    {"configs", NULL},
    {"createdByAnnotation", NULL},
    {"dashboard", NULL},
    {"enforcedHostRegexp", NULL},
    {"fullnameOverride", NULL},
    {"grafana", NULL},
    {"identity.issuer.crtExpiry", NULL},
    {"identity.issuer.crtExpiryAnnotation", NULL},
    {"nameOverride", NULL},
    {"namespace", NULL},
    {"omitWebhookSideEffects", NULL},
    {"prometheus", NULL},
    {"prometheusAlertmanagers", NULL},
    {"prometheusExtraArgs", NULL},
    {"prometheusImage", NULL},
    {"prometheusLogLevel", NULL},
    {"prometheusResources", NULL},
    {"prometheusRuleConfigMapMounts", NULL},
    {"proxyInjectAnnotation", NULL},
    {"proxyInjectDisabled", NULL},
    {"publicAPIResources", NULL},
    {"restrictDashboardPrivileges", NULL},
    {"smiMetrics", NULL},
    {"tap", NULL},
    {"tapResources", NULL},
    {"tracing", NULL},
    {"webImage", NULL},
    {"webResources", NULL},
};

enum { RENAMED = sizeof(renamed) / sizeof(renamed[0]) };

static const json_t *resolve(const json_t *root, const json_t *schema)
{
    const char *ref = json_string_value(json_object_get(schema, "$ref"));
    const char *name = ref ? strrchr(ref, '/') : NULL;

    return name ? json_object_get(json_object_get(root, "definitions"), name + 1) : schema;
}

/* The schema knows the path; what may hold any name knows all below it. */
static bool knows(const json_t *root, const char *path)
{
    struct slice rest = slice_str(path), name;
    const json_t *at = root;

    while (slice_split(&rest, '.', &name)) {
        const json_t *properties = json_object_get(at, "properties");

        if (!properties)
            return !json_is_false(json_object_get(at, "additionalProperties")) && at != root;
        at = resolve(root, json_object_getn(properties, name.ptr, name.len));
        if (!at)
            return false;
    }
    return true;
}

static const char *new_name(const json_t *schema, const char *old)
{
    for (size_t i = 0; i < RENAMED; i++)
        if (renamed[i].to && strcmp(renamed[i].from, old) == 0)
            return renamed[i].to;
    return knows(schema, old) ? old : NULL;
}

static int move(json_t *values, const json_t *schema, const char *path, json_t *value, struct buffer *notes)
{
    const char *to = new_name(schema, path);

    if (!to) {
        buffer_printf(notes, "the value global.%s %s has no successor and no effect\n", path, VERSION);
        return 0;
    }
    buffer_printf(notes, "the value global.%s %s is now %s\n", path, VERSION, to);
    return values_at(values, to) ? 0 : values_put(values, to, json_incref(value));
}

/* Every leaf below global; `path` is what leads to the map. */
static int move_all(json_t *values, const json_t *schema, json_t *map, const char *path, unsigned depth, struct buffer *notes)
{
    const char *key;
    json_t *value;
    int r = 0;

    json_object_foreach (map, key, value) {
        char below[PATH];

        if (r < 0 || snprintf(below, sizeof(below), "%s%s%s", path, *path ? "." : "", key) >= (int)sizeof(below))
            break;
        if (json_is_object(value) && json_object_size(value) && depth < DEPTH)
            r = move_all(values, schema, value, below, depth + 1, notes);
        else
            r = move(values, schema, below, value, notes);
    }
    return r;
}

/* One that does not stand under global, and is none of the chart's; to NULL: no successor. */
static int replace(json_t *values, const char *from, const char *to, struct buffer *notes)
{
    const char *dot = strrchr(from, '.');
    char above[PATH] = "";
    json_t *map, *value;
    int r = 0;

    if (dot)
        snprintf(above, sizeof(above), "%.*s", (int)(dot - from), from);
    map = dot ? values_at(values, above) : values;
    value = json_object_get(map, dot ? dot + 1 : from);
    if (!value)
        return 0;
    if (to)
        buffer_printf(notes, "the value %s %s is now %s\n", from, VERSION, to);
    else
        buffer_printf(notes, "the value %s %s has no successor and no effect\n", from, VERSION);
    if (to && !values_at(values, to))
        r = values_put(values, to, json_incref(value));
    json_object_del(map, dot ? dot + 1 : from);
    return r;
}

int values_old(json_t *values, const json_t *schema, struct buffer *ret_notes)
{
    json_t *global = json_incref(json_object_get(values, "global"));
    int r = 0;

    if (json_is_object(global)) {
        json_object_del(values, "global");
        r = move_all(values, schema, global, "", 0, ret_notes);
    }
    json_decref(global);
    for (size_t i = 0; i < RENAMED && r == 0; i++)
        if (!knows(schema, renamed[i].from) && (!renamed[i].to || knows(schema, renamed[i].to)))
            r = replace(values, renamed[i].from, renamed[i].to, ret_notes);
    return r < 0 ? r : buffer_error(ret_notes);
}
