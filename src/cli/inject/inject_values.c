#include "cli/inject/inject_values.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/chart/chart.h"
#include "cli/chart/values.h"
#include "cli/files.h"

/* The text under data.KEY of a ConfigMap. -ENOENT without a sentence where it is not there. */
static int config_map(struct kube *kube, const char *namespace_, const char *name, const char *key, struct errmsg *msg, json_t **ret_object,
                      struct slice *ret_text)
{
    char path[512];
    const json_t *text;
    int r;

    snprintf(path, sizeof(path), "/api/v1/namespaces/%s/configmaps/%s", namespace_, name);
    r = kube_get(kube, path, msg, ret_object);
    if (r < 0)
        return r;
    text = json_object_get(json_object_get(*ret_object, "data"), key);
    *ret_text = slice_of(json_string_value(text), json_string_length(text));
    if (json_is_string(text))
        return 0;
    json_decref(*ret_object);
    return errmsg_set(msg, -EINVAL, "the ConfigMap %s in %s has no text %s", name, namespace_, key);
}

/* The bundle that proxies are given; where there is none, the values have it. */
static int read_anchors(struct kube *kube, const char *namespace_, struct errmsg *msg, struct buffer *ret_anchors)
{
    struct slice text;
    json_t *object;
    int r = config_map(kube, namespace_, "linkerd-identity-trust-roots", "ca-bundle.crt", msg, &object, &text);

    if (r == -ENOENT)
        return 0;
    if (r == 0) {
        r = buffer_add(ret_anchors, text);
        json_decref(object);
    }
    return r;
}

static int of_cluster(const struct inject_flags *flags, struct errmsg *msg, json_t **ret_values, struct buffer *ret_anchors)
{
    struct kube *kube = NULL;
    struct slice text;
    json_t *object;
    int r = kube_open(&flags->kube, 10 * NS_PER_S, msg, &kube);

    if (r == 0)
        r = config_map(kube, flags->namespace_, "linkerd-config", "values", msg, &object, &text);
    if (r == -ENOENT && kube)
        errmsg_prefix(msg, r, "the cluster has no control plane in the namespace %s; --ignore-cluster takes the values of the chart", flags->namespace_);
    if (r == 0) {
        r = values_read(text, "linkerd-config", NUMBERS_AS_REALS, msg, ret_values);
        json_decref(object);
    }
    if (r == 0)
        r = read_anchors(kube, flags->namespace_, msg, ret_anchors);
    kube_close(kube);
    return r;
}

static int of_chart(struct errmsg *msg, json_t **ret_values)
{
    return values_read(chart_file("linkerd-control-plane", "values.yaml"), "values.yaml", NUMBERS_AS_REALS, msg, ret_values);
}

static int make(struct inject_values *values, const struct inject_flags *flags, const struct buffer *anchors, struct errmsg *msg)
{
    struct injector_setup setup = {.namespace_ = flags->namespace_, .created_by = "linkerd/cli " CLINKERD_VERSION};
    int r = flags->ingress ? values_put(values->values, "proxy.isIngress", json_true()) : 0;

    if (r == 0)
        r = inject_templates(chart_files, chart_files_count, msg, &values->templates);
    if (r < 0)
        return r;
    setup.templates = values->templates;
    setup.values = values->values;
    setup.trust_anchors = anchors->len ? anchors->data : NULL;
    if (!flags->manual && !setup.trust_anchors)
        setup.trust_anchors = "-"; /* nothing that is rendered is printed */
    if (!setup.trust_anchors && !*json_string_value(json_object_get(values->values, "identityTrustAnchorsPEM")))
        return errmsg_set(msg, -EINVAL, "the proxy needs the certificates that it trusts: --identity-trust-anchors-file FILE, or a cluster that has an "
                                        "installation");
    return injector_new(&setup, msg, &values->injector);
}

int inject_values_init(struct inject_values *values, const struct inject_flags *flags, struct errmsg *msg)
{
    struct buffer anchors;
    int r;

    *values = (struct inject_values){.injector = NULL};
    buffer_init(&anchors, LIMIT_PEM);
    r = flags->manual && !flags->ignore_cluster ? of_cluster(flags, msg, &values->values, &anchors) : of_chart(msg, &values->values);
    if (r == 0 && *flags->trust_anchors) {
        buffer_clear(&anchors);
        r = file_read(flags->trust_anchors, msg, &anchors);
        if (r == 0 && (!slice_is_utf8(buffer_slice(&anchors)) || slice_find_slice(buffer_slice(&anchors), SLICE_LIT("-----BEGIN CERTIFICATE")) == anchors.len))
            r = errmsg_set(msg, -EINVAL, "%s: expected certificates (PEM)", flags->trust_anchors);
    }
    if (r == 0 && anchors.len) {
        buffer_add_byte(&anchors, '\0');
        r = buffer_error(&anchors);
    }
    if (r == 0)
        r = make(values, flags, &anchors, msg);
    buffer_release(&anchors);
    if (r < 0)
        inject_values_release(values);
    return r;
}

void inject_values_release(struct inject_values *values)
{
    injector_free(values->injector);
    template_set_free(values->templates);
    json_decref(values->values);
    *values = (struct inject_values){.injector = NULL};
}

bool inject_values_projected(const struct inject_values *values)
{
    return json_is_true(values_at(values->values, "identity.serviceAccountTokenProjection"));
}

int inject_values_check(const struct inject_values *values, json_t *annotations, struct errmsg *msg)
{
    json_t *pod = json_pack("{s:s, s:{s:s, s:O}, s:{s:[{s:s}]}}", "kind", "Pod", "metadata", "name", "flags", "annotations", annotations, "spec",
                            "containers", "name", "app");
    struct inject_request request = {.object = pod, .namespace_ = "", .origin = INJECT_COMMAND};
    struct inject_answer answer;
    int r = pod ? inject(values->injector, &request, msg, &answer) : -ENOMEM;

    if (r == 0) {
        const char *warning = json_string_value(json_array_get(answer.warnings, 0));

        if (answer.verdict != INJECT_YES)
            r = errmsg_set(msg, -EINVAL, "%s", answer.denial.text);
        else if (warning)
            r = errmsg_set(msg, -EINVAL, "%s", warning);
        inject_answer_release(&answer);
    }
    json_decref(pod);
    return r;
}
