#include "control/webhook/secret.h"

#include <errno.h>
#include <jansson.h>

#include "base/limits.h"
#include "inject/workload.h"
#include "kube/access/base64.h"

static int read_text(const json_t *data, const char *name, struct buffer *ret_text)
{
    struct arena arena;
    struct slice bytes;
    int r;

    arena_init(&arena, LIMIT_API_ANSWER);
    r = base64_read(&arena, slice_str(member_text(data, name)), &bytes);
    if (r == 0)
        r = buffer_add(ret_text, bytes);
    arena_release(&arena);
    return r == -ENOMEM ? r : 0;
}

int secret_read(struct slice json, struct webhook_pair *ret_pair, struct buffer *ret_version)
{
    json_t *root = json_loadb(json.ptr ? json.ptr : "", json.len, 0, NULL), *data = member_object(root, "data");
    int r = member_object(root, "metadata") ? 0 : -EINVAL;

    if (r == 0)
        r = read_text(data, "tls.crt", &ret_pair->certificate);
    if (r == 0)
        r = read_text(data, "tls.key", &ret_pair->key);
    if (r == 0)
        r = read_text(data, "ca.crt", &ret_pair->authorities);
    if (r == 0)
        r = buffer_add(ret_version, slice_str(member_text(member_object(root, "metadata"), "resourceVersion")));
    json_decref(root);
    return r;
}

static void write_text(struct buffer *json, const char *name, const struct buffer *text)
{
    buffer_printf(json, "\"%s\":\"", name);
    base64_add(json, buffer_slice(text));
    buffer_add_lit(json, "\"");
}

int secret_write(const struct webhook_pair *pair, struct slice namespace_, const char *name, const char *owner, struct slice version,
                 struct buffer *ret_json)
{
    buffer_printf(ret_json, "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"type\":\"kubernetes.io/tls\",\"metadata\":{\"name\":\"%s\",\"namespace\":", name);
    buffer_add_json(ret_json, namespace_);
    if (version.len) {
        buffer_add_lit(ret_json, ",\"resourceVersion\":");
        buffer_add_json(ret_json, version);
    }
    buffer_printf(ret_json, ",\"labels\":{\"linkerd.io/control-plane-component\":\"%s\",\"linkerd.io/control-plane-ns\":", owner);
    buffer_add_json(ret_json, namespace_);
    buffer_printf(ret_json, "},\"annotations\":{\"linkerd.io/created-by\":\"linkerd/%s " CLINKERD_VERSION "\"}},\"data\":{", owner);
    write_text(ret_json, "tls.crt", &pair->certificate);
    buffer_add_lit(ret_json, ",");
    write_text(ret_json, "tls.key", &pair->key);
    buffer_add_lit(ret_json, ",");
    write_text(ret_json, "ca.crt", &pair->authorities);
    buffer_add_lit(ret_json, "}}");
    return buffer_error(ret_json);
}
