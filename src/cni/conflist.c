#include "cni/conflist.h"

#include <errno.h>
#include <jansson.h>

#include "base/limits.h"
#include "cni/conf.h"

static const char OUR_TYPE[] = "linkerd-cni";

/* Bytes of the text, the last one excluded. */
struct span {
    size_t from, to;
};

/* A list that was read: what jansson says of it, and where its plugins stand in the text. */
struct conflist {
    struct slice text;
    json_t *root;
    size_t count, ours; /* plugins; those of our type */
    struct span plugins[LIMIT_CNI_PLUGINS];
};

/* --- where things stand in a text that is known to be JSON --- */

static bool is_one_of(struct slice text, size_t at, const char *set)
{
    return at < text.len && text.ptr[at] && strchr(set, text.ptr[at]) != NULL;
}

static size_t skip_space(struct slice text, size_t at)
{
    while (is_one_of(text, at, " \t\r\n"))
        at++;
    return at;
}

static size_t skip_string(struct slice text, size_t at)
{
    for (at++; at < text.len && text.ptr[at] != '"'; at++)
        if (text.ptr[at] == '\\')
            at++;
    return at + 1;
}

/* Brackets are counted, not matched: the text is JSON, so they do match. */
static size_t skip_value(struct slice text, size_t at)
{
    size_t depth = 0;

    do {
        if (is_one_of(text, at, "\"")) {
            at = skip_string(text, at);
            continue;
        }
        if (depth == 0 && !is_one_of(text, at, "{[")) { /* a number, or a word */
            while (at < text.len && !is_one_of(text, at, ",]} \t\r\n"))
                at++;
            return at;
        }
        if (is_one_of(text, at, "{["))
            depth++;
        else if (is_one_of(text, at, "}]"))
            depth--;
        at++;
    } while (depth && at < text.len);
    return at;
}

/* Escapes are read: "\u0070lugins" is the same key. */
static bool is_key(struct slice text, struct span quoted, const char *name)
{
    json_t *key = json_loadb(text.ptr + quoted.from, quoted.to - quoted.from, JSON_DECODE_ANY, NULL);
    bool same = json_is_string(key) && strcmp(json_string_value(key), name) == 0;

    json_decref(key);
    return same;
}

/* The start of the value of a key of the outermost object; text.len: there is none. */
static size_t find_member(struct slice text, const char *name)
{
    size_t at = skip_space(text, skip_space(text, 0) + 1);

    while (is_one_of(text, at, "\"")) {
        struct span key = {at, skip_string(text, at)};

        at = skip_space(text, skip_space(text, key.to) + 1); /* the colon */
        if (is_key(text, key, name))
            return at;
        at = skip_space(text, skip_value(text, at));
        if (is_one_of(text, at, ","))
            at = skip_space(text, at + 1);
    }
    return text.len;
}

static void find_plugins(struct conflist *list)
{
    size_t at = find_member(list->text, "plugins") + 1;

    for (size_t i = 0; i < list->count; i++) {
        at = skip_space(list->text, at);
        list->plugins[i] = (struct span){at, skip_value(list->text, at)};
        at = skip_space(list->text, list->plugins[i].to) + 1; /* the comma */
    }
}

/* --- reading --- */

static int parse(struct slice text, json_t **ret_root, struct errmsg *msg)
{
    json_error_t error;
    json_t *root;

    if (text.len > LIMIT_CNI_CONFIG)
        return errmsg_set(msg, -EINVAL, "it is larger than %d bytes", LIMIT_CNI_CONFIG);
    root = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return errmsg_set(msg, -EINVAL, "it is not JSON: line %d: %.160s", error.line, error.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return errmsg_set(msg, -EINVAL, "it is not a JSON object");
    }
    *ret_root = root;
    return 0;
}

static const char *type_of(const json_t *plugin)
{
    const char *type = json_string_value(json_object_get(plugin, "type"));

    return type ? type : "";
}

static bool is_ours(const struct conflist *list, size_t index)
{
    return strcmp(type_of(json_array_get(json_object_get(list->root, "plugins"), index)), OUR_TYPE) == 0;
}

static int check_plugins(struct conflist *list, struct errmsg *msg)
{
    const json_t *plugins = json_object_get(list->root, "plugins");

    if (!json_is_array(plugins))
        return errmsg_set(msg, -EINVAL, "it has no list \"plugins\"");
    list->count = json_array_size(plugins);
    if (list->count > LIMIT_CNI_PLUGINS)
        return errmsg_set(msg, -EINVAL, "its list \"plugins\" has more than %d entries", LIMIT_CNI_PLUGINS);
    for (size_t i = 0; i < list->count; i++) {
        if (!*type_of(json_array_get(plugins, i)))
            return errmsg_set(msg, -EINVAL, "entry %zu of \"plugins\" has no \"type\"", i + 1);
        list->ours += is_ours(list, i);
    }
    return 0;
}

static void release(struct conflist *list)
{
    json_decref(list->root);
}

static int read_list(struct slice text, struct conflist *ret_list, struct errmsg *msg)
{
    int r;

    *ret_list = (struct conflist){.text = text};
    r = parse(text, &ret_list->root, msg);
    if (r < 0)
        return r;
    r = check_plugins(ret_list, msg);
    if (r < 0)
        release(ret_list);
    else
        find_plugins(ret_list);
    return r;
}

static bool is_spoken(const json_t *version)
{
    int place;

    return json_is_string(version) && conf_version_find(json_string_value(version), &place) == 0;
}

/* Newer lists may name several versions in cniVersions; the runtime takes one of all that are named. */
static int check_version(const json_t *root, struct errmsg *msg)
{
    const json_t *one = json_object_get(root, "cniVersion"), *several = json_object_get(root, "cniVersions");
    bool spoken = one ? is_spoken(one) : json_array_size(several) > 0;

    for (size_t i = 0; spoken && i < json_array_size(several); i++)
        spoken = is_spoken(json_array_get(several, i));
    if (spoken)
        return 0;
    return errmsg_set(msg, -EINVAL, "its cniVersion is \"%.32s\", and linkerd-cni speaks 0.3.0, 0.3.1, 0.4.0, 1.0.0 and 1.1.0",
                      json_is_string(one) ? json_string_value(one) : "");
}

/* --- writing --- */

static void add_span(struct buffer *to, struct slice text, size_t from, size_t end)
{
    buffer_add(to, slice_of(text.ptr + from, end - from));
}

/* All plugins but ours, each with what stands between it and the one before. */
static int write_others(const struct conflist *list, struct buffer *to)
{
    bool first = true;

    if (list->ours == 0)
        return buffer_add(to, list->text);
    add_span(to, list->text, 0, list->plugins[0].from);
    for (size_t i = 0; i < list->count; i++) {
        if (is_ours(list, i))
            continue;
        add_span(to, list->text, first ? list->plugins[i].from : list->plugins[i - 1].to, list->plugins[i].to);
        first = false;
    }
    add_span(to, list->text, list->plugins[list->count - 1].to, list->text.len);
    return buffer_error(to);
}

static bool has_exactly(const struct conflist *list, struct slice entry)
{
    for (size_t i = 0; i < list->count; i++) {
        struct span span = list->plugins[i];

        if (is_ours(list, i))
            return list->ours == 1 && slice_eq(slice_of(list->text.ptr + span.from, span.to - span.from), entry);
    }
    return false;
}

static int append(const struct conflist *list, struct slice entry, struct buffer *to)
{
    size_t end = list->plugins[list->count - 1].to;

    add_span(to, list->text, 0, end);
    buffer_add_byte(to, ',');
    buffer_add(to, entry);
    add_span(to, list->text, end, list->text.len);
    return buffer_error(to);
}

/* Ours are taken out first, so that the text is read once more. */
static int replace(const struct conflist *list, struct slice entry, struct buffer *to, struct errmsg *msg)
{
    struct buffer others;
    int r;

    buffer_init(&others, LIMIT_CNI_CONFIG);
    r = write_others(list, &others);
    if (r == 0)
        r = conflist_insert(buffer_slice(&others), entry, to, msg);
    buffer_release(&others);
    return r;
}

int conflist_insert(struct slice text, struct slice entry, struct buffer *ret_text, struct errmsg *msg)
{
    struct conflist list;
    int r = read_list(text, &list, msg);

    if (r < 0)
        return r;
    r = check_version(list.root, msg);
    if (r == 0 && list.count == list.ours)
        r = errmsg_set(msg, -EINVAL, "it has no plugin that makes a network");
    else if (r == 0 && has_exactly(&list, entry))
        r = buffer_add(ret_text, text);
    else if (r == 0)
        r = list.ours ? replace(&list, entry, ret_text, msg) : append(&list, entry, ret_text);
    release(&list);
    return r;
}

int conflist_remove(struct slice text, struct buffer *ret_text, struct errmsg *msg)
{
    struct conflist list;
    int r = read_list(text, &list, msg);

    if (r < 0)
        return r;
    r = write_others(&list, ret_text);
    release(&list);
    return r;
}

static int add_member(struct buffer *to, const char *key, const json_t *value, const char *otherwise)
{
    buffer_printf(to, "\"%s\":", key);
    return buffer_add_json(to, slice_str(json_is_string(value) ? json_string_value(value) : otherwise));
}

int conflist_wrap(struct slice conf, struct buffer *ret_text, struct errmsg *msg)
{
    json_t *root = NULL;
    int r = parse(conf, &root, msg);

    if (r < 0)
        return r;
    if (!*type_of(root) || strcmp(type_of(root), OUR_TYPE) == 0) {
        r = errmsg_set(msg, -EINVAL, "it has no \"type\" of a plugin that makes a network");
    } else {
        buffer_add_byte(ret_text, '{');
        add_member(ret_text, "cniVersion", json_object_get(root, "cniVersion"), "");
        buffer_add_byte(ret_text, ',');
        add_member(ret_text, "name", json_object_get(root, "name"), "k8s-pod-network");
        buffer_add_lit(ret_text, ",\"plugins\":[");
        buffer_add(ret_text, conf);
        buffer_add_lit(ret_text, "]}\n");
        r = buffer_error(ret_text);
    }
    json_decref(root);
    return r;
}
