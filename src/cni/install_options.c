#include "cni/install_options.h"

#include <errno.h>
#include <stdlib.h>

#include "cni/conf.h"

static const char *get(request_variable variable, const void *owner, const char *name, const char *otherwise)
{
    const char *value = variable(owner, name);

    return value && *value ? value : otherwise;
}

static int join(const char *prefix, const char *directory, const char *name, char to[PATH_MAX], struct errmsg *msg)
{
    if (directory[0] != '/')
        return errmsg_set(msg, -EINVAL, "%s is \"%.100s\"; expected a path that begins with /", name, directory);
    if (snprintf(to, PATH_MAX, "%s%s", prefix, directory) >= PATH_MAX)
        return errmsg_set(msg, -EINVAL, "%s is too long", name);
    return 0;
}

/*
 * Where the entry leaves the kubeconfig to us, or has Linkerd's placeholder, it gets the path on the node. What is under "policy" is read by
 * nobody, and Linkerd's chart has a place for the token there, in a file that all may read.
 */
static int complete(json_t *entry, const char *net_dir)
{
    json_t *kubernetes = json_object_get(entry, "kubernetes");
    const char *kubeconfig = json_string_value(json_object_get(kubernetes, "kubeconfig"));
    char path[PATH_MAX];

    json_object_del(entry, "policy");
    if (!kubernetes) {
        kubernetes = json_object();
        if (json_object_set_new(entry, "kubernetes", kubernetes) < 0)
            return -ENOMEM;
    }
    if (kubeconfig && *kubeconfig && strcmp(kubeconfig, "__KUBECONFIG_FILEPATH__") != 0)
        return 0;
    snprintf(path, sizeof(path), "%.*s/" CREDENTIALS_FILE, PATH_MAX - 64, net_dir);
    return json_object_set_new(kubernetes, "kubeconfig", json_string(path));
}

/* The runtime adds version and name, and the plugin reads the whole. */
static int check(const json_t *entry, enum journal_level *ret_level, struct errmsg *msg)
{
    json_t *whole = json_deep_copy(entry);
    struct failure failure = {0};
    struct conf conf = {0};
    char *text;
    int r = -ENOMEM;

    json_object_set_new(whole, "cniVersion", json_string("1.0.0"));
    text = json_dumps(whole, JSON_COMPACT);
    if (text)
        r = conf_read(slice_str(text), &conf, &failure);
    if (r == -1)
        errmsg_set(msg, -EINVAL, "CNI_NETWORK_CONFIG: %s; it comes from ConfigMap linkerd-cni-config", failure.msg.text);
    *ret_level = conf.log_level;
    if (text)
        conf_release(&conf);
    free(text);
    json_decref(whole);
    return r < 0 ? -EINVAL : 0;
}

static int take_entry(const char *text, const char *net_dir, struct install_options *options, struct errmsg *msg)
{
    json_error_t error;
    json_t *entry = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    const char *type = json_string_value(json_object_get(entry, "type"));
    int r = 0;

    if (!entry)
        r = errmsg_set(msg, -EINVAL, "CNI_NETWORK_CONFIG is not JSON: line %d: %.160s", error.line, error.text);
    else if (!type || strcmp(type, "linkerd-cni") != 0)
        r = errmsg_set(msg, -EINVAL, "CNI_NETWORK_CONFIG has the type \"%.32s\"; expected an object of type linkerd-cni", type ? type : "");
    else if (complete(entry, net_dir) < 0)
        r = errmsg_set(msg, -EINVAL, "CNI_NETWORK_CONFIG: \"kubernetes\" is no object");
    if (r == 0)
        r = check(entry, &options->log_level, msg);
    if (r == 0 && !(options->entry = json_dumps(entry, JSON_COMPACT)))
        r = errmsg_set(msg, -ENOMEM, "out of memory");
    json_decref(entry);
    return r;
}

int install_options_read(request_variable variable, const void *owner, struct install_options *ret_options, struct errmsg *msg)
{
    const char *prefix = variable(owner, "CONTAINER_MOUNT_PREFIX"), *entry = variable(owner, "CNI_NETWORK_CONFIG");
    const char *net_dir = get(variable, owner, "DEST_CNI_NET_DIR", "/etc/cni/net.d");
    const char *bin_dir = get(variable, owner, "DEST_CNI_BIN_DIR", "/opt/cni/bin");
    int r;

    *ret_options = (struct install_options){
        .credentials = {get(variable, owner, "KUBERNETES_SERVICE_HOST", NULL), get(variable, owner, "KUBERNETES_SERVICE_PORT", "443"),
                        get(variable, owner, "SERVICE_ACCOUNT_PATH", "/var/run/secrets/kubernetes.io/serviceaccount")},
        .stay = strcmp(get(variable, owner, "SLEEP", "true"), "false") != 0};
    if (!ret_options->credentials.host)
        return errmsg_set(msg, -EINVAL, "KUBERNETES_SERVICE_HOST is not set; this program runs in a pod of the DaemonSet linkerd-cni");
    if (!entry || !*entry)
        return errmsg_set(msg, -EINVAL, "CNI_NETWORK_CONFIG is not set; the DaemonSet takes it from ConfigMap linkerd-cni-config");
    prefix = prefix ? prefix : "/host";
    r = join(prefix, net_dir, "DEST_CNI_NET_DIR", ret_options->net, msg);
    if (r == 0)
        r = join(prefix, bin_dir, "DEST_CNI_BIN_DIR", ret_options->bin, msg);
    if (r == 0)
        r = join("", get(variable, owner, "CONTAINER_CNI_BIN_DIR", "/opt/cni/bin"), "CONTAINER_CNI_BIN_DIR", ret_options->source, msg);
    return r == 0 ? take_entry(entry, net_dir, ret_options, msg) : r;
}

void install_options_release(struct install_options *options)
{
    free(options->entry);
    options->entry = NULL;
}
