/* What is kept from one admission to the next. */
#include "inject/injector.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "inject/sidecar.h"
#include "template/copy.h"

static const char *const changed[] = {"proxy", "proxyInit", "debugContainer"};
enum { CHANGED = sizeof(changed) / sizeof(changed[0]), SHA256 = 32 };

#define PARTIALS "linkerd-control-plane/templates/_"

int inject_templates(const struct chart_file *files, size_t count, struct errmsg *msg, struct template_set **ret_templates)
{
    struct template_set *set = NULL;
    size_t found = 0;
    int r = template_set_new(&set);

    for (size_t i = 0; r == 0 && i < count; i++)
        if (slice_starts(slice_str(files[i].name), SLICE_LIT(PARTIALS))) {
            r = template_set_add(set, slice_str(files[i].name), slice_of(files[i].text, files[i].len), msg);
            found++;
        }
    if (r == 0 && found == 0)
        r = errmsg_set(msg, -ENOENT, "the chart linkerd-control-plane is not in this program");
    if (r == 0)
        r = template_set_check(set, msg);
    if (r < 0)
        template_set_free(set);
    else
        *ret_templates = set;
    return r;
}

json_t *injector_values(const struct injector *injector)
{
    json_t *values = copy_shallow(injector->values);

    for (size_t i = 0; values && i < CHANGED; i++)
        if (json_object_set_new_nocheck(values, changed[i], copy_deep(json_object_get(values, changed[i]))) < 0) {
            json_decref(values);
            return NULL;
        }
    return values;
}

static int check_values(const json_t *values, struct errmsg *msg)
{
    for (size_t i = 0; i < CHANGED; i++)
        if (!json_is_object(json_object_get(values, changed[i])))
            return errmsg_set(msg, -EINVAL, "the values of the installation have no map \"%s\": expected those of the chart linkerd-control-plane",
                              changed[i]);
    return 0;
}

static int set_anchors(struct injector *injector, const char *trust_anchors)
{
    const char *pem = trust_anchors ? trust_anchors : member_text(injector->values, "identityTrustAnchorsPEM");
    unsigned char digest[SHA256];
    char *hex = calloc(1, 2 * SHA256 + 1);

    injector->trust_root = hex;
    if (!hex || (*pem && EVP_Digest(pem, strlen(pem), digest, NULL, EVP_sha256(), NULL) != 1))
        return -ENOMEM;
    for (size_t i = 0; *pem && i < SHA256; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return trust_anchors && json_object_set_new_nocheck(injector->values, "identityTrustAnchorsPEM", json_string(trust_anchors)) < 0 ? -ENOMEM : 0;
}

/* Renders what every pod gets, for a pod that says nothing. */
static int try_out(const struct injector *injector, struct errmsg *msg)
{
    static const char *const definitions[] = {"linkerd.proxy", "linkerd.redirect", "linkerd.proxy.volumes", "linkerd.debug"};
    json_t *values = injector_values(injector), *tree;
    struct sidecar sidecar = {.data = NULL};
    int r = values ? sidecar_init(&sidecar, injector, values, NULL) : -ENOMEM;

    for (size_t i = 0; r == 0 && i < sizeof(definitions) / sizeof(definitions[0]); i++) {
        r = sidecar_render(&sidecar, definitions[i], false, msg, &tree);
        if (r == 0)
            json_decref(tree);
    }
    sidecar_release(&sidecar);
    json_decref(values);
    return r;
}

int injector_new(const struct injector_setup *setup, struct errmsg *msg, struct injector **ret_injector)
{
    struct injector *injector = calloc(1, sizeof(*injector));
    int r = injector ? check_values(setup->values, msg) : -ENOMEM;

    if (r == 0) {
        injector->templates = setup->templates;
        injector->values = copy_shallow(setup->values);
        injector->namespace_ = slice_dup(slice_str(setup->namespace_));
        injector->created_by = slice_dup(slice_str(setup->created_by));
        injector->rendered = calloc(1, sizeof(*injector->rendered));
        r = injector->values && injector->namespace_ && injector->created_by && injector->rendered ? set_anchors(injector, setup->trust_anchors) : -ENOMEM;
    }
    if (r == 0)
        r = try_out(injector, msg);
    if (r < 0)
        injector_free(injector);
    else
        *ret_injector = injector;
    return r;
}

void injector_free(struct injector *injector)
{
    if (!injector)
        return;
    if (injector->rendered)
        rendered_release(injector->rendered);
    free(injector->rendered);
    json_decref(injector->values);
    free(injector->namespace_);
    free(injector->created_by);
    free(injector->trust_root);
    free(injector);
}
