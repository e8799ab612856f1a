#include "kube/access/kubeconfig.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "codec/yaml/yaml.h"
#include "kube/access/base64.h"
#include "kube/access/kubeconfig_internal.h"
#include "kube/access/proxy_url.h"
#include "kube/file.h"

enum part { CLUSTERS, USERS, CONTEXTS, PARTS };

/* The list's name, the name of one of its elements, and both for people. */
static const struct {
    const char *list, *element;
} parts[PARTS] = {{"clusters", "cluster"}, {"users", "user"}, {"contexts", "context"}};

struct kubeconfig {
    struct arena arena;
    struct kubeconfig_entry *entries[PARTS]; /* newest first, so that the last of a name counts: the first file's */
    struct slice current, files;
};

int kubeconfig_new(struct kubeconfig **ret_config)
{
    struct kubeconfig *config = calloc(1, sizeof(*config));

    if (!config)
        return -ENOMEM;
    arena_init(&config->arena, LIMIT_KUBECONFIG);
    *ret_config = config;
    return 0;
}

void kubeconfig_free(struct kubeconfig *config)
{
    if (!config)
        return;
    arena_release(&config->arena);
    free(config);
}

/* --- reading --- */

static struct slice folder_of(struct slice file)
{
    size_t end = file.len;

    while (end && file.ptr[end - 1] != '/')
        end--;
    return slice_take(file, end > 1 ? end - 1 : end);
}

int kubeconfig_complain(struct slice file, const struct yaml_node *node, struct errmsg *msg, const char *format, ...)
{
    struct errmsg what;
    va_list args;

    va_start(args, format);
    vsnprintf(what.text, sizeof(what.text), format, args);
    va_end(args);
    return errmsg_set(msg, -EINVAL, "%.*s:%d: %s", SLICE_ARGS(slice_take(file, 200)), node->line, what.text);
}

int kubeconfig_text(struct slice file, const struct yaml_node *node, const char *key, struct slice *ret_text, struct errmsg *msg)
{
    const struct yaml_node *value = yaml_get(node, slice_str(key));

    *ret_text = SLICE_LIT("");
    if (!value || value->kind == YAML_NULL)
        return 0;
    if (value->kind != YAML_STRING)
        return kubeconfig_complain(file, value, msg, "%s: expected a text, found %s", key, yaml_kind_name(value->kind));
    *ret_text = value->text;
    return 0;
}

int kubeconfig_bool(struct slice file, const struct yaml_node *node, const char *key, bool *ret_value, struct errmsg *msg)
{
    const struct yaml_node *value = yaml_get(node, slice_str(key));

    if (value && value->kind != YAML_NULL && value->kind != YAML_BOOLEAN)
        return kubeconfig_complain(file, value, msg, "%s: expected true or false", key);
    *ret_value = value && value->kind == YAML_BOOLEAN && value->boolean;
    return 0;
}

static int add_entry(struct kubeconfig *config, enum part part, struct slice file, const struct yaml_node *node,
                     struct errmsg *msg)
{
    struct kubeconfig_entry *entry = ARENA_NEW(&config->arena, struct kubeconfig_entry);
    int r;

    if (!entry)
        return -ENOMEM;
    *entry = (struct kubeconfig_entry){.file = file, .folder = folder_of(file), .node = yaml_get(node, slice_str(parts[part].element))};
    r = kubeconfig_text(file, node, "name", &entry->name, msg);
    if (r < 0)
        return r;
    if (!entry->name.len)
        return kubeconfig_complain(file, node, msg, "an element of %s has no name", parts[part].list);
    for (const struct kubeconfig_entry *other = config->entries[part]; other; other = other->next)
        if (slice_eq(other->name, entry->name))
            return 0;
    entry->next = config->entries[part];
    config->entries[part] = entry;
    return 0;
}

static int add_part(struct kubeconfig *config, enum part part, struct slice file, const struct yaml_node *root,
                    struct errmsg *msg)
{
    const struct yaml_node *list = yaml_get(root, slice_str(parts[part].list));
    int r = 0;

    if (!list || list->kind == YAML_NULL)
        return 0;
    if (list->kind != YAML_LIST)
        return kubeconfig_complain(file, list, msg, "%s: expected a list", parts[part].list);
    for (const struct yaml_item *item = list->items; item && r == 0; item = item->next)
        r = add_entry(config, part, file, item->value, msg);
    return r;
}

static int add_root(struct kubeconfig *config, struct slice file, const struct yaml_node *root, struct errmsg *msg)
{
    struct slice current;
    int r;

    if (root->kind != YAML_MAP)
        return kubeconfig_complain(file, root, msg, "expected a kubeconfig (a map with clusters, users and contexts)");
    r = kubeconfig_text(file, root, "current-context", &current, msg);
    if (r == 0 && !config->current.len)
        config->current = current;
    for (int part = 0; part < PARTS && r == 0; part++)
        r = add_part(config, (enum part)part, file, root, msg);
    return r;
}

int kubeconfig_add(struct kubeconfig *config, struct slice file, struct slice bytes, struct errmsg *msg)
{
    struct slice rest = bytes, name = arena_dup(&config->arena, file);
    struct yaml_document document;
    struct yaml_problem problem;
    struct yaml_node *root = NULL;
    int line = 1, r;

    if (!name.ptr)
        return -ENOMEM;
    config->files = config->files.len ? arena_printf(&config->arena, "%.*s:%.*s", SLICE_ARGS(config->files), SLICE_ARGS(name)) : name;
    if (!config->files.ptr)
        return -ENOMEM;
    if (!yaml_next_document(&rest, &line, &document))
        return 0;
    r = yaml_parse(&config->arena, document.text, document.line, YAML, &root, &problem);
    if (r < 0)
        return errmsg_set(msg, r, "%.*s:%d: %s", SLICE_ARGS(slice_take(name, 200)), problem.line, problem.msg.text);
    return root ? add_root(config, name, root, msg) : 0;
}

/* --- choosing --- */

static int find(const struct kubeconfig_choice *choice, enum part part, struct slice name, const struct kubeconfig_entry **ret_entry)
{
    for (const struct kubeconfig_entry *entry = choice->config->entries[part]; entry; entry = entry->next)
        if (slice_eq(entry->name, name)) {
            *ret_entry = entry;
            return 0;
        }
    return errmsg_set(choice->msg, -ENOENT, "%.*s: there is no %s \"%.*s\"", SLICE_ARGS(slice_take(choice->config->files, 200)),
                      parts[part].element, SLICE_ARGS(slice_take(name, 100)));
}

int kubeconfig_take(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *entry, const char *key, struct slice *ret_text)
{
    struct slice text;
    int r = kubeconfig_text(entry->file, entry->node, key, &text, choice->msg);

    if (r < 0 || !text.len)
        return r;
    *ret_text = arena_dup(&choice->access->arena, text);
    return ret_text->ptr ? 0 : -ENOMEM;
}

int kubeconfig_take_path(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *entry, const char *key, struct slice *ret_path)
{
    struct slice text;
    int r = kubeconfig_text(entry->file, entry->node, key, &text, choice->msg);
    bool relative = text.len && text.ptr[0] != '/' && entry->folder.len;

    if (r < 0 || !text.len)
        return r;
    *ret_path = relative ? arena_printf(&choice->access->arena, "%.*s/%.*s", SLICE_ARGS(entry->folder), SLICE_ARGS(text))
                         : arena_dup(&choice->access->arena, text);
    return ret_path->ptr ? 0 : -ENOMEM;
}

int kubeconfig_take_data(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *entry, const char *key, struct slice *ret_bytes)
{
    struct slice text;
    int r = kubeconfig_text(entry->file, entry->node, key, &text, choice->msg);

    if (r < 0 || !text.len)
        return r;
    r = base64_read(&choice->access->arena, text, ret_bytes);
    if (r != -EINVAL)
        return r;
    return kubeconfig_complain(entry->file, yaml_get(entry->node, slice_str(key)), choice->msg, "%s: it is not base64", key);
}

static int choose_proxy(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *cluster)
{
    struct kube_access *access = choice->access;
    struct errmsg why = {""};
    int r = kubeconfig_take(choice, cluster, "proxy-url", &access->proxy_url);

    if (r < 0 || !access->proxy_url.len)
        return r;
    r = proxy_url_parse(&access->arena, access->proxy_url, &access->proxy, &why);
    return r < 0 ? kubeconfig_complain(cluster->file, yaml_get_lit(cluster->node, "proxy-url"), choice->msg, "proxy-url: %s", why.text) : 0;
}

static int choose_cluster(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *cluster)
{
    struct kube_access *access = choice->access;
    struct slice server = SLICE_LIT("");
    int r = kubeconfig_take(choice, cluster, "server", &server);

    if (r == 0 && !server.len)
        r = errmsg_set(choice->msg, -EINVAL, "%.*s: the cluster \"%.*s\" has no server", SLICE_ARGS(slice_take(cluster->file, 200)),
                       SLICE_ARGS(slice_take(cluster->name, 100)));
    if (r == 0)
        r = kube_access_set_server(access, server, choice->msg);
    if (r == 0)
        r = choose_proxy(choice, cluster);
    if (r == 0)
        r = kubeconfig_take(choice, cluster, "tls-server-name", &access->tls_server_name);
    if (r == 0)
        r = kubeconfig_take_data(choice, cluster, "certificate-authority-data", &access->ca_pem);
    if (r == 0)
        r = kubeconfig_take_path(choice, cluster, "certificate-authority", &access->ca_file);
    if (r == 0)
        r = kubeconfig_bool(cluster->file, cluster->node, "insecure-skip-tls-verify", &access->insecure, choice->msg);
    if (r == 0 && access->insecure && (access->ca_pem.len || access->ca_file.len))
        r = kubeconfig_complain(cluster->file, yaml_get_lit(cluster->node, "insecure-skip-tls-verify"), choice->msg,
                                "insecure-skip-tls-verify: contradicts the certificate authority beside it; take one of them out");
    return r;
}

static int choose(const struct kubeconfig_choice *choice, struct slice name)
{
    const struct kubeconfig_entry *context, *cluster, *user;
    struct slice cluster_name, user_name;
    int r = find(choice, CONTEXTS, name, &context);

    if (r == 0)
        r = kubeconfig_text(context->file, context->node, "cluster", &cluster_name, choice->msg);
    if (r == 0)
        r = kubeconfig_text(context->file, context->node, "user", &user_name, choice->msg);
    if (r == 0)
        r = kubeconfig_take(choice, context, "namespace", &choice->access->namespace_);
    if (r == 0)
        r = find(choice, CLUSTERS, cluster_name, &cluster);
    if (r == 0)
        r = choose_cluster(choice, cluster);
    if (r == 0 && user_name.len) {
        r = find(choice, USERS, user_name, &user);
        if (r == 0)
            r = kubeconfig_choose_user(choice, user, cluster);
    }
    return r;
}

int kubeconfig_choose(const struct kubeconfig *config, struct slice context, struct kube_access *ret_access,
                      struct errmsg *msg)
{
    struct kube_access access = {0};
    const struct kubeconfig_choice choice = {config, &access, msg};
    struct slice name = context.len ? context : config->current;
    int r;

    if (!name.len)
        return errmsg_set(msg, -ENOENT, "%.*s: there is no current-context, and none was named", SLICE_ARGS(slice_take(config->files, 200)));
    arena_init(&access.arena, LIMIT_KUBECONFIG);
    r = choose(&choice, name);
    if (r == 0) {
        access.origin = arena_printf(&access.arena, "context \"%.*s\" of %.*s", SLICE_ARGS(name), SLICE_ARGS(config->files));
        r = access.origin.ptr ? 0 : -ENOMEM;
    }
    if (r < 0) {
        kube_access_release(&access);
        return r;
    }
    *ret_access = access;
    return 0;
}

/* --- files --- */

/* 1: read; 0: it is not there. */
static int add_file(struct kubeconfig *config, struct slice path, struct errmsg *msg)
{
    struct buffer bytes;
    int r = file_load(path, LIMIT_KUBECONFIG, &bytes, msg);

    if (r == 0)
        r = kubeconfig_add(config, path, buffer_slice(&bytes), msg);
    file_forget(&bytes);
    return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int kubeconfig_load(const char *files, struct slice context, struct kube_access *ret_access, struct errmsg *msg)
{
    struct slice rest = slice_str(files), file;
    struct kubeconfig *config;
    int r = kubeconfig_new(&config), found = 0;

    if (r < 0)
        return r;
    while (r >= 0 && rest.len && slice_split(&rest, ':', &file)) {
        r = file.len ? add_file(config, file, msg) : 0;
        found += r == 1;
    }
    if (r >= 0)
        r = found ? kubeconfig_choose(config, context, ret_access, msg) : errmsg_set(msg, -ENOENT, "there is no kubeconfig file %s", files);
    kubeconfig_free(config);
    if (r == 0) {
        r = kube_access_use_environment(ret_access, msg);
        if (r < 0)
            kube_access_release(ret_access);
    }
    return r;
}
