/*
 * What `linkerd check` says of annotations: each workload goes through the injection that the webhook does (inject/), with the values of this
 * installation, and what that would warn of is the complaint. So there is one table of annotations, and not another here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cli/check/check_cluster.h"
#include "cli/cluster/pods.h"
#include "inject/inject.h"

struct annotated {
    struct cluster *cluster;
    struct culprits culprits;
    struct template_set *templates;
    struct injector *injector;
    json_t *namespaces; /* name: its annotations */
    const char *kind, *version;
};

static void annotated_release(struct annotated *annotated)
{
    injector_free(annotated->injector);
    template_set_free(annotated->templates);
    json_decref(annotated->namespaces);
}

static int take_namespace(void *owner, json_t *object, struct errmsg *msg)
{
    json_t *annotations = json_at(object, "metadata.annotations");

    return json_object_set_new(owner, json_text(object, "metadata.name"), annotations ? json_incref(annotations) : json_object());
}

/* With the anchors in force, as the webhook: where somebody else provides them, the values have none. */
static int make_injector(struct annotated *annotated, struct errmsg *why)
{
    struct cluster *cluster = annotated->cluster;
    struct injector_setup setup = {.templates = annotated->templates, .values = cluster->values, .namespace_ = cluster->namespace_,
                                   .created_by = "linkerd/cli " CLINKERD_VERSION};
    struct buffer pem;
    int r;

    buffer_init(&pem, LIMIT_PEM);
    for (size_t i = 0; i < cluster->anchors.count; i++)
        (void)x509_cert_write_pem(cluster->anchors.certs[i], &pem); /* an error stays in the buffer */
    if (pem.len)
        buffer_add_byte(&pem, '\0');
    setup.trust_anchors = pem.len ? pem.data : NULL;
    r = buffer_error(&pem) ? errmsg_set(why, buffer_error(&pem), "no memory") : injector_new(&setup, why, &annotated->injector);
    buffer_release(&pem);
    return r;
}

static int begin(struct annotated *annotated, struct errmsg *why)
{
    struct cluster *cluster = annotated->cluster;
    int r = inject_templates(chart_files, chart_files_count, why, &annotated->templates);

    if (r == 0)
        r = make_injector(annotated, why);
    if (r < 0)
        return r;
    annotated->namespaces = json_object();
    return cluster_each(cluster, take_namespace, annotated->namespaces, why, "/api/v1/namespaces");
}

static bool is_ours(const char *name)
{
    return strstr(name, "linkerd.io/") && (strncmp(name, "config.", 7) == 0 || strcmp(name, "linkerd.io/inject") == 0);
}

static bool has_ours(json_t *annotations)
{
    const char *name;
    json_t *value;

    json_object_foreach (annotations, name, value)
        if (is_ours(name))
            return true;
    return false;
}

/* `what`: "namespace web", "Deployment web/api". */
static int try_injection(struct annotated *annotated, json_t *object, const char *namespace_, json_t *of_namespace, const char *what, struct errmsg *why)
{
    struct inject_request request = {.object = object, .namespace_ = namespace_, .namespace_annotations = of_namespace, .origin = INJECT_ADMISSION};
    struct inject_answer answer;
    json_t *text;
    size_t i;
    int r = inject(annotated->injector, &request, why, &answer);

    if (r < 0)
        return errmsg_prefix(why, r, "%s", what);
    if (answer.verdict == INJECT_REFUSED)
        culprits_add(&annotated->culprits, "%s: refused: %s", what, answer.denial.text);
    if (answer.skips & (1 << SKIP_BAD_WORKLOAD))
        culprits_add(&annotated->culprits, "%s: %s", what, inject_skip_text(SKIP_BAD_WORKLOAD));
    if (answer.skips & (1 << SKIP_BAD_NAMESPACE))
        culprits_add(&annotated->culprits, "%s: %s", what, inject_skip_text(SKIP_BAD_NAMESPACE));
    json_array_foreach (answer.warnings, i, text)
        culprits_add(&annotated->culprits, "%s: %s", what, json_string_value(text));
    inject_answer_release(&answer);
    return 0;
}

/* --- namespaces: what any pod in them would be told --- */

static int try_namespace(struct annotated *annotated, const char *name, json_t *annotations, struct errmsg *why)
{
    json_t *pod = json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:s, s:[{s:s, s:s, s:[{s:s, s:s}]}]}}", "apiVersion", "v1", "kind", "Pod", "metadata",
                            "name", "any", "annotations", "none", "", "spec", "serviceAccountName", "default", "containers", "name", "any",
                            "image", "any", "volumeMounts", "name", "token", "mountPath", "/var/run/secrets/kubernetes.io/serviceaccount");
    char what[300];
    int r;

    if (!pod)
        return errmsg_set(why, -ENOMEM, "out of memory");
    if (!json_object_get(annotations, "linkerd.io/inject")) /* its pods may ask for themselves */
        json_object_set_new(json_at(pod, "metadata.annotations"), "linkerd.io/inject", json_string("enabled"));
    snprintf(what, sizeof(what), "namespace %s", name);
    r = try_injection(annotated, pod, name, annotations, what, why);
    json_decref(pod);
    return r;
}

static int test_namespaces(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct annotated annotated = {.cluster = cluster};
    const char *name;
    json_t *annotations;
    int r = begin(&annotated, why);

    json_object_foreach (annotated.namespaces, name, annotations)
        if (r == 0 && has_ours(annotations))
            r = try_namespace(&annotated, name, annotations, why);
    annotated_release(&annotated);
    return r < 0 ? r : culprits_end(&annotated.culprits, "", why);
}

/* --- workloads --- */

static bool is_owned(const json_t *object)
{
    return json_array_size(json_at(object, "metadata.ownerReferences")) > 0;
}

static json_t *annotations_of_pod(const json_t *object, const char *kind)
{
    static const char *const paths[] = {"spec.jobTemplate.spec.template.metadata.annotations", "spec.template.metadata.annotations", "metadata.annotations"};

    return json_at(object, paths[strcmp(kind, "CronJob") == 0 ? 0 : strcmp(kind, "Pod") == 0 ? 2 : 1]);
}

static bool is_of_control_plane(const json_t *object)
{
    return json_object_get(json_at(object, "metadata.labels"), "linkerd.io/control-plane-component");
}

/* What a namespace's annotations do is told with the namespace; here they only say whether there is a proxy at all. */
static int try_workload(void *owner, json_t *object, struct errmsg *msg)
{
    struct annotated *annotated = owner;
    const char *namespace_ = json_text(object, "metadata.namespace");
    json_t *of_namespace, *inject = json_object_get(json_object_get(annotated->namespaces, namespace_), "linkerd.io/inject");
    char what[600];
    int r;

    if (is_owned(object) || is_of_control_plane(object) || !has_ours(annotations_of_pod(object, annotated->kind)))
        return 0;
    if (*annotated->cluster->options->namespace_ && strcmp(namespace_, annotated->cluster->options->namespace_) != 0)
        return 0;
    snprintf(what, sizeof(what), "%s %s/%s", annotated->kind, namespace_, json_text(object, "metadata.name"));
    json_object_set_new(object, "kind", json_string(annotated->kind));
    json_object_set_new(object, "apiVersion", json_string(annotated->version));
    of_namespace = json_object();
    if (strcmp(json_string_value(inject) ? json_string_value(inject) : "", "enabled") == 0)
        json_object_set(of_namespace, "linkerd.io/inject", inject);
    r = try_injection(annotated, object, namespace_, of_namespace, what, msg);
    json_decref(of_namespace);
    return r;
}

static int test_workloads(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    static const struct {
        const char *kind, *version, *path;
    } kinds[] = {
        {"Deployment", "apps/v1", "/apis/apps/v1/deployments"},   {"DaemonSet", "apps/v1", "/apis/apps/v1/daemonsets"},
        {"StatefulSet", "apps/v1", "/apis/apps/v1/statefulsets"}, {"ReplicaSet", "apps/v1", "/apis/apps/v1/replicasets"},
        {"CronJob", "batch/v1", "/apis/batch/v1/cronjobs"},       {"Job", "batch/v1", "/apis/batch/v1/jobs"},
        {"Pod", "v1", "/api/v1/pods"},
    };
    struct annotated annotated = {.cluster = cluster};
    int r = begin(&annotated, why);

    for (size_t i = 0; r == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        annotated.kind = kinds[i].kind;
        annotated.version = kinds[i].version;
        r = cluster_each(cluster, try_workload, &annotated, why, "%s", kinds[i].path);
    }
    annotated_release(&annotated);
    return r < 0 ? r : culprits_end(&annotated.culprits, "", why);
}

const struct cluster_row check_injection_rows[] = {
    {"l5d-injection-namespaces", "the annotations of namespaces are understood", ROW_WARNS, test_namespaces},
    {"l5d-injection-workloads", "the annotations of workloads are understood", ROW_WARNS, test_workloads},
};
