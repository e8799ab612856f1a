#include "cli/chart/chart.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "cli/chart/values.h"
#include "codec/yaml/yaml.h"
#include "template/schema.h"
#include "template/template.h"

enum { PATH = 256, OBJECTS = 1024 };

struct slice chart_file(const char *chart, const char *name)
{
    size_t len = strlen(chart);

    for (size_t i = 0; i < chart_files_count; i++) {
        const struct chart_file *file = &chart_files[i];

        if (strncmp(file->name, chart, len) == 0 && file->name[len] == '/' && strcmp(file->name + len + 1, name) == 0)
            return slice_of(file->text, file->len);
    }
    return SLICE_NULL;
}

static bool is_template_of(const struct chart_file *file, const char *chart)
{
    char prefix[PATH];

    snprintf(prefix, sizeof(prefix), "%s/templates/", chart);
    return strncmp(file->name, prefix, strlen(prefix)) == 0;
}

static bool is_partial(const struct chart_file *file)
{
    return strrchr(file->name, '/')[1] == '_';
}

static int read_templates(const char *chart, struct errmsg *msg, struct template_set **ret_set)
{
    int r = template_set_new(ret_set);

    for (size_t i = 0; r == 0 && i < chart_files_count; i++)
        if (is_template_of(&chart_files[i], chart))
            r = template_set_add(*ret_set, slice_str(chart_files[i].name), slice_of(chart_files[i].text, chart_files[i].len), msg);
    return r;
}

/* --- data --- */

static int complete(const char *chart, json_t *values, struct errmsg *msg)
{
    json_t *defaults = NULL;
    int r = values_read(chart_file(chart, "values.yaml"), "values.yaml", NUMBERS_AS_REALS, msg, &defaults);

    if (r == 0)
        r = values_complete(values, defaults);
    json_decref(defaults);
    return r;
}

static int check_schema(const char *chart, json_t *values, struct errmsg *msg, struct buffer *ret_problems)
{
    struct slice text = chart_file(chart, "values.schema.json");
    json_t *schema = json_loadb(text.ptr, text.len, 0, NULL);
    int r = schema ? schema_check(schema, values, msg, ret_problems) : errmsg_set(msg, -EINVAL, "values.schema.json cannot be read");

    json_decref(schema);
    return r;
}

/* What Helm calls `.`: the values, the release, and Chart.yaml with the names of its fields. */
static int make_data(const struct chart_release *release, json_t *values, struct errmsg *msg, json_t **ret_data)
{
    json_t *chart = NULL;
    int r = values_read(chart_file(release->chart, "Chart.yaml"), "Chart.yaml", NUMBERS_AS_REALS, msg, &chart);

    if (r < 0)
        return r;
    *ret_data = json_pack("{s:O, s:{s:s, s:s, s:s, s:b, s:b, s:i}, s:{s:O*, s:O*, s:O*}}", "Values", values, "Release", "Name",
                          release->name, "Namespace", release->namespace_, "Service", "Helm", "IsInstall", 1, "IsUpgrade", 0, "Revision", 1,
                          "Chart", "Name", json_object_get(chart, "name"), "Version", json_object_get(chart, "version"),
                          "AppVersion", json_object_get(chart, "appVersion"));
    json_decref(chart);
    if (*ret_data && (!release->objects || json_object_set(*ret_data, TEMPLATE_OBJECTS, release->objects) == 0))
        return 0;
    json_decref(*ret_data);
    *ret_data = NULL;
    return errmsg_set(msg, -ENOMEM, "out of memory");
}

/* --- objects --- */

struct object {
    struct slice text;
    unsigned rank;
    size_t index; /* keeps the order within a rank */
};

/* What must be there before what uses it; kinds that are not named come last. */
static unsigned rank_of(struct slice kind)
{
    static const char *const order[] = {
        "Namespace", "PodDisruptionBudget", "ServiceAccount", "Secret", "ConfigMap", "CustomResourceDefinition", "ClusterRole",
        "ClusterRoleBinding", "Role", "RoleBinding", "Service", "DaemonSet", "Deployment", "CronJob",
        "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
    };
    unsigned rank = 0;

    while (rank < sizeof(order) / sizeof(order[0]) && !slice_eq(kind, slice_str(order[rank])))
        rank++;
    return rank;
}

/* The value of the line `kind: X` that stands at the left. */
static struct slice kind_of(struct slice text)
{
    struct slice line;

    while (slice_split(&text, '\n', &line))
        if (slice_starts(line, SLICE_LIT("kind:")))
            return slice_trim(slice_skip(line, 5));
    return SLICE_NULL;
}

static int compare_objects(const void *a, const void *b)
{
    const struct object *left = a, *right = b;

    if (left->rank != right->rank)
        return left->rank < right->rank ? -1 : 1;
    return left->index < right->index ? -1 : left->index > right->index;
}

/* The objects of a rendered text; documents that hold nothing are none. */
static int split(struct slice text, struct object *objects, size_t *count)
{
    struct yaml_document document;
    int line = 1;

    while (yaml_next_document(&text, &line, &document)) {
        struct slice kind = kind_of(document.text);

        if (kind.len == 0)
            continue;
        if (*count == OBJECTS)
            return -ENOBUFS;
        objects[*count] = (struct object){document.text, rank_of(kind), *count};
        (*count)++;
    }
    return 0;
}

/* Without the line of the separator, and with one newline at its end. */
static void print_object(struct slice text, struct buffer *out)
{
    if (slice_starts(text, SLICE_LIT("---")))
        text = slice_skip(text, slice_find(text, '\n') + 1);
    while (text.len && strchr(" \n", text.ptr[text.len - 1]))
        text.len--;
    while (text.len && *text.ptr == '\n')
        text = slice_skip(text, 1);
    buffer_add_lit(out, "---\n");
    buffer_add(out, text);
    buffer_add_byte(out, '\n');
}

static int sort_objects(struct slice text, struct errmsg *msg, struct buffer *ret_text)
{
    struct object *objects = calloc(OBJECTS, sizeof(*objects));
    size_t count = 0;
    int r = objects ? split(text, objects, &count) : -ENOMEM;

    if (r == 0) {
        qsort(objects, count, sizeof(*objects), compare_objects);
        for (size_t i = 0; i < count; i++)
            print_object(objects[i].text, ret_text);
        r = buffer_error(ret_text);
    }
    free(objects);
    return r < 0 ? errmsg_set(msg, r, "the chart renders to too much") : 0;
}

static int render(const struct chart_release *release, const struct template_set *set, json_t *data, struct errmsg *msg, struct buffer *out)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < chart_files_count; i++) {
        if (!is_template_of(&chart_files[i], release->chart) || is_partial(&chart_files[i]))
            continue;
        buffer_add_lit(out, "\n---\n");
        r = template_render(set, slice_str(chart_files[i].name), data, msg, out);
    }
    return r;
}

int chart_render(const struct chart_release *release, json_t *values, struct errmsg *msg, struct buffer *ret_problems,
                 struct buffer *ret_text)
{
    struct template_set *set = NULL;
    json_t *data = NULL;
    struct buffer text;
    int r = complete(release->chart, values, msg);

    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    if (r == 0)
        r = check_schema(release->chart, values, msg, ret_problems);
    if (r == 0)
        r = make_data(release, values, msg, &data);
    if (r == 0)
        r = read_templates(release->chart, msg, &set);
    if (r == 0)
        r = render(release, set, data, msg, &text);
    if (r == 0)
        r = sort_objects(buffer_slice(&text), msg, ret_text);
    buffer_release(&text);
    template_set_free(set);
    json_decref(data);
    return r;
}

int chart_text_to_json(struct slice text, struct errmsg *msg, struct buffer *ret_json)
{
    struct yaml_document document;
    int line = 1, r = 0;

    while (r == 0 && yaml_next_document(&text, &line, &document)) {
        json_t *object = NULL;
        char *json;

        r = values_read(document.text, "manifest", NUMBERS_AS_WRITTEN, msg, &object);
        json = r == 0 ? json_dumps(object, JSON_INDENT(2)) : NULL;
        json_decref(object);
        if (r == 0 && !json)
            r = errmsg_set(msg, -ENOMEM, "out of memory");
        if (json)
            buffer_printf(ret_json, "%s\n", json);
        free(json);
    }
    return r < 0 ? r : buffer_error(ret_json);
}
