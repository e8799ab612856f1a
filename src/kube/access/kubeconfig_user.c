/* A user of a kubeconfig: tokens, certificates, whom to act for, and the plug-in that gives credentials. */
#include <errno.h>

#include "base/limits.h"
#include "kube/access/exec_plugin.h"
#include "kube/access/kubeconfig_internal.h"

#define V1 "client.authentication.k8s.io/v1"

/* Copies, with a NUL behind it. */
static int keep(const struct kubeconfig_choice *choice, struct slice text, struct slice *ret_text)
{
    *ret_text = arena_dup(&choice->access->arena, text);
    return ret_text->ptr ? 0 : -ENOMEM;
}

/* --- whom to act for --- */

/* Calls for each text of a list. */
typedef int text_of_list(const struct kubeconfig_choice *choice, struct slice key, struct slice text);

static int each_text(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *user, const char *what, struct slice key,
                     const struct yaml_node *list, text_of_list *take)
{
    int r = 0;

    if (!list || list->kind == YAML_NULL)
        return 0;
    if (list->kind != YAML_LIST)
        return kubeconfig_complain(user->file, list, choice->msg, "%s: expected a list", what);
    for (const struct yaml_item *item = list->items; item && r == 0; item = item->next)
        r = item->value->kind == YAML_STRING ? take(choice, key, item->value->text)
                                             : kubeconfig_complain(user->file, item->value, choice->msg, "%s: expected texts", what);
    return r;
}

static int add_group(const struct kubeconfig_choice *choice, struct slice key, struct slice text)
{
    return kube_access_impersonate_group(choice->access, text, choice->msg);
}

static int add_extra(const struct kubeconfig_choice *choice, struct slice key, struct slice text)
{
    return kube_access_impersonate_extra(choice->access, key, text, choice->msg);
}

static int choose_extras(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *user)
{
    const struct yaml_node *map = yaml_get_lit(user->node, "as-user-extra");
    int r = 0;

    if (!map || map->kind == YAML_NULL)
        return 0;
    if (map->kind != YAML_MAP)
        return kubeconfig_complain(user->file, map, choice->msg, "as-user-extra: expected a map of lists");
    for (const struct yaml_item *item = map->items; item && r == 0; item = item->next)
        r = each_text(choice, user, "as-user-extra", item->key, item->value, add_extra);
    return r;
}

static int choose_impersonation(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *user)
{
    struct slice as, uid;
    int r = kubeconfig_text(user->file, user->node, "as", &as, choice->msg);

    if (r == 0)
        r = kubeconfig_text(user->file, user->node, "as-uid", &uid, choice->msg);
    if (r == 0 && as.len)
        r = kube_access_impersonate(choice->access, as, NULL, 0, choice->msg);
    if (r == 0 && uid.len)
        r = kube_access_impersonate_uid(choice->access, uid, choice->msg);
    if (r == 0)
        r = each_text(choice, user, "as-groups", SLICE_LIT(""), yaml_get_lit(user->node, "as-groups"), add_group);
    return r == 0 ? choose_extras(choice, user) : r;
}

/* --- the plug-in --- */

static int add_argument(const struct kubeconfig_choice *choice, struct slice key, struct slice text)
{
    struct kube_exec *exec = &choice->access->exec;

    if (exec->argument_count == LIMIT_EXEC_WORDS)
        return errmsg_set(choice->msg, -EINVAL, "exec: args: expected at most %d", LIMIT_EXEC_WORDS);
    return keep(choice, text, &exec->arguments[exec->argument_count++]);
}

static int take_variables(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *user, const struct yaml_node *list)
{
    struct kube_exec *exec = &choice->access->exec;
    int r = 0;

    if (!list || list->kind == YAML_NULL)
        return 0;
    if (list->kind != YAML_LIST)
        return kubeconfig_complain(user->file, list, choice->msg, "exec: env: expected a list");
    for (const struct yaml_item *item = list->items; item && r == 0; item = item->next) {
        struct slice name, value = SLICE_LIT("");

        r = kubeconfig_text(user->file, item->value, "name", &name, choice->msg);
        if (r == 0)
            r = kubeconfig_text(user->file, item->value, "value", &value, choice->msg);
        if (r == 0 && (!name.len || slice_find(name, '=') < name.len || exec->variable_count == LIMIT_EXEC_WORDS))
            r = kubeconfig_complain(user->file, item->value, choice->msg, "exec: env: expected a name and a value, at most %d times", LIMIT_EXEC_WORDS);
        if (r == 0) {
            exec->variables[exec->variable_count] = arena_printf(&choice->access->arena, "%.*s=%.*s", SLICE_ARGS(name), SLICE_ARGS(value));
            r = exec->variables[exec->variable_count++].ptr ? 0 : -ENOMEM;
        }
    }
    return r;
}

/* A program beside the kubeconfig, or one of PATH. */
static int take_command(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *user, const struct yaml_node *node)
{
    struct slice command, folder = user->folder;
    int r = kubeconfig_text(user->file, node, "command", &command, choice->msg);

    if (r == 0 && !command.len)
        return kubeconfig_complain(user->file, node, choice->msg, "exec: it has no command");
    if (r == 0 && command.ptr[0] != '/' && slice_find(command, '/') < command.len && folder.len) {
        choice->access->exec.command = arena_printf(&choice->access->arena, "%.*s/%.*s", SLICE_ARGS(folder), SLICE_ARGS(command));
        return choice->access->exec.command.ptr ? 0 : -ENOMEM;
    }
    return r == 0 ? keep(choice, command, &choice->access->exec.command) : r;
}

static int take_version(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *user, const struct yaml_node *node)
{
    static const char *const versions[] = {V1, V1 "beta1"};
    struct slice version;
    int r = kubeconfig_text(user->file, node, "apiVersion", &version, choice->msg);

    for (size_t i = 0; r == 0 && i < sizeof(versions) / sizeof(versions[0]); i++)
        if (slice_eq(version, slice_str(versions[i]))) {
            choice->access->exec.version = slice_str(versions[i]);
            return 0;
        }
    return r < 0 ? r : kubeconfig_complain(user->file, node, choice->msg, "exec: apiVersion: expected " V1 " or " V1 "beta1, found \"%.*s\"",
                                           SLICE_ARGS(slice_take(version, 80)));
}

static int take_mode(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *user, const struct yaml_node *node)
{
    static const char *const modes[] = {[EXEC_IF_AVAILABLE] = "IfAvailable", [EXEC_NEVER] = "Never", [EXEC_ALWAYS] = "Always"};
    struct kube_exec *exec = &choice->access->exec;
    struct slice mode;
    int r = kubeconfig_text(user->file, node, "interactiveMode", &mode, choice->msg);

    if (r < 0 || (!mode.len && !slice_eq(exec->version, SLICE_LIT(V1))))
        return r; /* v1beta1 has a default */
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (slice_eq(mode, slice_str(modes[i]))) {
            exec->interactive = (enum exec_interactive)i;
            return 0;
        }
    return kubeconfig_complain(user->file, node, choice->msg, "exec: interactiveMode: expected Never, IfAvailable or Always, found \"%.*s\"", SLICE_ARGS(slice_take(mode, 60)));
}

/* --- what it is told of the cluster --- */

static void write_json(const struct yaml_node *node, struct buffer *to)
{
    const char *between = "";

    switch (node->kind) {
    case YAML_NULL:
        buffer_add_lit(to, "null");
        break;
    case YAML_BOOLEAN:
        buffer_printf(to, node->boolean ? "true" : "false");
        break;
    case YAML_INTEGER:
        buffer_printf(to, "%lld", (long long)node->integer);
        break;
    case YAML_NUMBER:
        buffer_printf(to, "%.17g", node->number);
        break;
    case YAML_STRING:
        buffer_add_json(to, node->text);
        break;
    case YAML_LIST:
    case YAML_MAP:
        buffer_add_byte(to, node->kind == YAML_LIST ? '[' : '{');
        for (const struct yaml_item *item = node->items; item && !buffer_error(to); item = item->next) {
            buffer_printf(to, "%s", between);
            if (node->kind == YAML_MAP) {
                buffer_add_json(to, item->key);
                buffer_add_byte(to, ':');
            }
            write_json(item->value, to);
            between = ",";
        }
        buffer_add_byte(to, node->kind == YAML_LIST ? ']' : '}');
        break;
    }
}

/* The cluster's extension that is meant for plug-ins. */
static const struct yaml_node *find_config(const struct kubeconfig_entry *cluster)
{
    const struct yaml_node *list = yaml_get_lit(cluster->node, "extensions");

    for (const struct yaml_item *item = list && list->kind == YAML_LIST ? list->items : NULL; item; item = item->next) {
        const struct yaml_node *name = yaml_get_lit(item->value, "name");

        if (name && slice_eq(name->text, SLICE_LIT("client.authentication.k8s.io/exec")))
            return yaml_get_lit(item->value, "extension");
    }
    return NULL;
}

static int take_config(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *cluster)
{
    const struct yaml_node *config = find_config(cluster);
    struct buffer text;
    int r;

    if (!config)
        return 0;
    buffer_init(&text, LIMIT_EXEC_INFO);
    write_json(config, &text);
    r = buffer_error(&text);
    if (r == -ENOBUFS)
        r = kubeconfig_complain(cluster->file, config, choice->msg, "the extension for credential plug-ins has more than %d bytes", LIMIT_EXEC_INFO);
    if (r == 0)
        r = keep(choice, buffer_slice(&text), &choice->access->exec.cluster_config);
    buffer_release(&text);
    return r;
}

static int choose_exec(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *user, const struct kubeconfig_entry *cluster)
{
    const struct yaml_node *node = yaml_get_lit(user->node, "exec");
    struct kube_access *access = choice->access;
    struct kube_exec *exec = &access->exec;
    int r;

    if (!node || node->kind == YAML_NULL)
        return 0;
    if (node->kind != YAML_MAP)
        return kubeconfig_complain(user->file, node, choice->msg, "exec: expected a map, found %s", yaml_kind_name(node->kind));
    exec->arguments = arena_zalloc(&access->arena, LIMIT_EXEC_WORDS, sizeof(struct slice));
    exec->variables = arena_zalloc(&access->arena, LIMIT_EXEC_WORDS, sizeof(struct slice));
    r = exec->arguments && exec->variables ? take_command(choice, user, node) : -ENOMEM;
    if (r == 0)
        r = take_version(choice, user, node);
    if (r == 0)
        r = take_mode(choice, user, node);
    if (r == 0)
        r = each_text(choice, user, "exec: args", SLICE_LIT(""), yaml_get_lit(node, "args"), add_argument);
    if (r == 0)
        r = take_variables(choice, user, yaml_get_lit(node, "env"));
    if (r == 0)
        r = kubeconfig_bool(user->file, node, "provideClusterInfo", &exec->provide_cluster, choice->msg);
    if (r == 0 && exec->provide_cluster)
        r = take_config(choice, cluster);
    if (r == 0) {
        struct slice hint;

        r = kubeconfig_text(user->file, node, "installHint", &hint, choice->msg);
        if (r == 0)
            r = keep(choice, hint, &exec->install_hint);
    }
    return r == 0 ? exec_plugin_new(&access->plugin) : r;
}

/* --- the user --- */

static int refuse_provider(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *user)
{
    const struct yaml_node *node = yaml_get_lit(user->node, "auth-provider");
    const struct yaml_node *name = yaml_get_lit(node, "name");

    if (!node || node->kind == YAML_NULL)
        return 0;
    return kubeconfig_complain(user->file, node, choice->msg, "auth-provider: Kubernetes 1.26 took these plug-ins (\"%.*s\") out, and kubectl refuses them as well; "
                               "have your provider's program write this kubeconfig anew, with a credential plug-in (exec)",
                               SLICE_ARGS(name ? slice_take(name->text, 60) : SLICE_LIT("")));
}

int kubeconfig_choose_user(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *user, const struct kubeconfig_entry *cluster)
{
    struct kube_access *access = choice->access;
    int r = refuse_provider(choice, user);

    if (r == 0)
        r = choose_exec(choice, user, cluster);
    if (r == 0)
        r = choose_impersonation(choice, user);
    if (r == 0)
        r = kube_access_check_impersonation(access, choice->msg);
    if (r == 0)
        r = kubeconfig_take(choice, user, "token", &access->token);
    if (r == 0)
        r = kubeconfig_take_path(choice, user, "tokenFile", &access->token_file);
    if (r == 0)
        r = kubeconfig_take(choice, user, "username", &access->user);
    if (r == 0)
        r = kubeconfig_take(choice, user, "password", &access->password);
    if (r == 0)
        r = kubeconfig_take_data(choice, user, "client-certificate-data", &access->certificate_pem);
    if (r == 0)
        r = kubeconfig_take_path(choice, user, "client-certificate", &access->certificate_file);
    if (r == 0)
        r = kubeconfig_take_data(choice, user, "client-key-data", &access->key_pem);
    if (r == 0)
        r = kubeconfig_take_path(choice, user, "client-key", &access->key_file);
    return r;
}
