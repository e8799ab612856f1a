#include "inject/sidecar.h"

#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/mutation.h"
#include "inject/injector.h"
#include "inject/port_list.h"
#include "template/copy.h"
#include "template/from_yaml.h"

enum { DEFINITION_MAX = 64 }; /* bytes of the name of a definition, and more */

/* What the first container of the application may do and gave up; NULL when it says nothing. */
static json_t *capabilities_of(const json_t *spec)
{
    return member_object(member_object(pod_first_container(spec), "securityContext"), "capabilities");
}

static int put(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new_nocheck(object, name, value) < 0 ? -ENOMEM : 0;
}

static json_t *inbound_ports(const json_t *spec)
{
    struct buffer list;
    json_t *text = NULL;

    buffer_init(&list, LIMIT_INJECT_PORTS * sizeof("65535"));
    if (port_list_of_pod(spec, &list) == 0)
        text = json_stringn_nocheck(list.len ? list.data : "", list.len);
    buffer_release(&list);
    return text;
}

/* `pod` of the definitions. */
static json_t *describe_pod(json_t *proxy, const json_t *spec)
{
    json_t *pod = json_pack("{s:s, s:b, s:b}", "component", "", "native", json_is_true(json_object_get(proxy, "nativeSidecar")), "await",
                            json_is_true(json_object_get(proxy, "await")));
    json_t *capabilities = capabilities_of(spec);
    int r = pod ? put(pod, "inboundPorts", inbound_ports(spec)) : -ENOMEM;

    if (r == 0 && capabilities && !mutation("capabilities-not-copied"))
        r = json_object_set_nocheck(pod, "capabilities", capabilities) < 0 ? -ENOMEM : 0;
    if (r < 0) {
        json_decref(pod);
        return NULL;
    }
    return pod;
}

/* Without a token of their own, the containers use that of the application. */
static int mount_token(json_t *values, const json_t *spec)
{
    json_t *mount = pod_token_mount(spec), *copy;

    if (!mount || json_is_true(json_object_get(json_object_get(values, "identity"), "serviceAccountTokenProjection")))
        return 0;
    copy = json_pack("{s:s, s:s, s:b}", "name", member_text(mount, "name"), "mountPath", member_text(mount, "mountPath"), "readOnly",
                     json_is_true(json_object_get(mount, "readOnly")));
    if (!copy || json_object_set_nocheck(json_object_get(values, "proxyInit"), "saMountPath", copy) < 0) {
        json_decref(copy);
        return -ENOMEM;
    }
    return put(json_object_get(values, "proxy"), "saMountPath", copy);
}

static int give_capabilities(json_t *values, const json_t *spec)
{
    json_t *capabilities = capabilities_of(spec);

    if (!capabilities)
        return 0;
    return json_object_set_nocheck(json_object_get(values, "proxyInit"), "capabilities", capabilities) < 0 ? -ENOMEM : 0;
}

int sidecar_init(struct sidecar *sidecar, const struct injector *injector, json_t *values, const json_t *spec)
{
    json_t *proxy = json_object_get(values, "proxy"), *pod = NULL;
    int r = mount_token(values, spec);

    *sidecar = (struct sidecar){.templates = injector->templates};
    if (r == 0)
        r = give_capabilities(values, spec);
    if (r == 0)
        pod = describe_pod(proxy, spec);
    sidecar->root = json_pack("{s:O, s:{s:s, s:s}}", "Values", values, "Release", "Name", "linkerd", "Namespace", injector->namespace_);
    if (pod && sidecar->root) /* what differs soonest comes first */
        sidecar->data = json_pack("{s:O, s:O, s:O}", "pod", pod, "proxy", proxy, "root", sidecar->root);
    json_decref(pod);
    if (sidecar->data)
        sidecar->made = rendered_find(injector->rendered, sidecar->data);
    return sidecar->made ? 0 : -ENOMEM;
}

void sidecar_release(struct sidecar *sidecar)
{
    json_decref(sidecar->made);
    json_decref(sidecar->data);
    json_decref(sidecar->root);
    *sidecar = (struct sidecar){.data = NULL};
}

/* The same data, but that there is no registry; a new reference. NULL when there is no memory. */
static json_t *without_registry(const struct sidecar *sidecar)
{
    json_t *data = copy_shallow(sidecar->data), *root = copy_shallow(sidecar->root), *values = copy_shallow(json_object_get(sidecar->root, "Values"));
    bool done = data && root && values && put(values, "registry", json_string("")) == 0 && json_object_set_nocheck(root, "Values", values) == 0 &&
                json_object_set_nocheck(data, "root", root) == 0;

    json_decref(values);
    json_decref(root);
    if (done)
        return data;
    json_decref(data);
    return NULL;
}

static int render(struct sidecar *sidecar, const char *definition, bool whole_name, struct errmsg *msg, json_t **ret_tree)
{
    json_t *data = whole_name ? without_registry(sidecar) : json_incref(sidecar->data);
    struct buffer text;
    int r = data ? 0 : -ENOMEM;

    buffer_init(&text, LIMIT_TEMPLATE_FILE);
    if (r == 0)
        r = template_render(sidecar->templates, slice_str(definition), data, msg, &text);
    if (r == 0)
        r = from_yaml(buffer_slice(&text), definition, false, msg, ret_tree);
    buffer_release(&text);
    json_decref(data);
    return r;
}

int sidecar_render(struct sidecar *sidecar, const char *definition, bool whole_name, struct errmsg *msg, json_t **ret_tree)
{
    char key[DEFINITION_MAX];
    json_t *tree;
    int r = 0;

    snprintf(key, sizeof(key), "%s%s", definition, whole_name ? " with a whole name" : "");
    tree = json_incref(json_object_get(sidecar->made, key));
    if (!tree)
        r = render(sidecar, definition, whole_name, msg, &tree);
    if (r == 0 && json_object_set_nocheck(sidecar->made, key, tree) < 0) {
        json_decref(tree);
        r = -ENOMEM;
    }
    if (r == 0)
        *ret_tree = tree;
    return r;
}
