#include "kube/access/exec_credential.h"

#include <errno.h>

#include "codec/yaml/yaml.h"
#include "kube/access/base64.h"
#include "kube/decode/fields.h"

/* --- what it is told --- */

static void add_member(struct buffer *to, const char *name, struct slice text)
{
    if (!text.len)
        return;
    buffer_printf(to, ",\"%s\":", name);
    buffer_add_json(to, text);
}

static void add_cluster(struct buffer *to, const struct exec_cluster *cluster)
{
    buffer_add_lit(to, ",\"cluster\":{\"server\":");
    buffer_add_json(to, cluster->server);
    add_member(to, "tls-server-name", cluster->tls_server_name);
    if (cluster->insecure)
        buffer_add_lit(to, ",\"insecure-skip-tls-verify\":true");
    if (cluster->ca_pem.len) {
        buffer_add_lit(to, ",\"certificate-authority-data\":\"");
        base64_add(to, cluster->ca_pem);
        buffer_add_byte(to, '"');
    }
    add_member(to, "proxy-url", cluster->proxy_url);
    if (cluster->config.len) {
        buffer_add_lit(to, ",\"config\":");
        buffer_add(to, cluster->config);
    }
    buffer_add_byte(to, '}');
}

int exec_info_write(struct slice version, bool interactive, const struct exec_cluster *cluster, struct buffer *to)
{
    buffer_add_lit(to, "{\"kind\":\"ExecCredential\",\"apiVersion\":");
    buffer_add_json(to, version);
    buffer_printf(to, ",\"spec\":{\"interactive\":%s", interactive ? "true" : "false");
    if (cluster)
        add_cluster(to, cluster);
    return buffer_add_lit(to, "}}");
}

/* --- what it says --- */

static int text_at(const struct yaml_node *map, const char *key, struct slice *ret_text, struct errmsg *msg)
{
    const struct yaml_node *node = yaml_get(map, slice_str(key));

    *ret_text = SLICE_LIT("");
    if (!node || node->kind == YAML_NULL)
        return 0;
    if (node->kind != YAML_STRING)
        return errmsg_set(msg, -EINVAL, "%s: expected a text, found %s", key, yaml_kind_name(node->kind));
    *ret_text = node->text;
    return 0;
}

static int check_kind(const struct yaml_node *root, struct slice version, struct errmsg *msg)
{
    struct slice kind, found;
    int r = text_at(root, "kind", &kind, msg);

    if (r == 0)
        r = text_at(root, "apiVersion", &found, msg);
    if (r == 0 && !slice_eq(kind, SLICE_LIT("ExecCredential")))
        r = errmsg_set(msg, -EINVAL, "kind: expected ExecCredential, found \"%.*s\"", SLICE_ARGS(slice_take(kind, 60)));
    if (r == 0 && !slice_eq(found, version))
        r = errmsg_set(msg, -EINVAL, "apiVersion: expected %.*s, as the kubeconfig says, found \"%.*s\"", SLICE_ARGS(version), SLICE_ARGS(slice_take(found, 60)));
    return r;
}

static int read_expiry(const struct yaml_node *status, int64_t *ret_ns, struct errmsg *msg)
{
    struct slice text;
    int r = text_at(status, "expirationTimestamp", &text, msg);

    *ret_ns = INT64_MAX;
    if (r == 0 && text.len && time_parse(text, ret_ns) < 0)
        r = errmsg_set(msg, -EINVAL, "expirationTimestamp: expected a time like \"2024-05-01T12:00:00Z\", found \"%.*s\"", SLICE_ARGS(slice_take(text, 60)));
    return r;
}

static int read_status(const struct yaml_node *status, struct exec_credential *credential, struct errmsg *msg)
{
    int r = text_at(status, "token", &credential->token, msg);

    if (r == 0)
        r = text_at(status, "clientCertificateData", &credential->certificate_pem, msg);
    if (r == 0)
        r = text_at(status, "clientKeyData", &credential->key_pem, msg);
    if (r == 0)
        r = read_expiry(status, &credential->expires_ns, msg);
    if (r == 0 && !credential->certificate_pem.len != !credential->key_pem.len)
        r = errmsg_set(msg, -EINVAL, "clientCertificateData and clientKeyData: one of them is missing");
    if (r == 0 && !credential->token.len && !credential->certificate_pem.len)
        r = errmsg_set(msg, -EINVAL, "status: expected a token, or clientCertificateData with clientKeyData");
    return r;
}

int exec_credential_read(struct arena *arena, struct slice text, struct slice version, struct exec_credential *ret_credential, struct errmsg *msg)
{
    struct exec_credential credential = {0};
    struct yaml_problem problem;
    struct yaml_node *root = NULL;
    int r = yaml_parse(arena, text, 1, JSON, &root, &problem);

    if (r < 0)
        return errmsg_set(msg, r, "line %d: it is no JSON", problem.line);
    if (!root || root->kind != YAML_MAP)
        return errmsg_set(msg, -EINVAL, "expected an ExecCredential object, found %s", root ? yaml_kind_name(root->kind) : "nothing");
    r = check_kind(root, version, msg);
    if (r == 0)
        r = read_status(yaml_get_lit(root, "status"), &credential, msg);
    if (r == 0)
        *ret_credential = credential;
    return r;
}
