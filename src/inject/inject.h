/*
 * The heart of injection, for the webhook and for `linkerd inject`: from a workload, the annotations of its namespace and the values of the
 * installation to a JSON Patch that gives its pods a proxy, or to the reason why they get none. What the containers are stands in the
 * chart (inject/sidecar.h), what annotations change in inject/overrides.h, who gets a proxy in inject/decide.h.
 *
 *     inject_templates(chart_files, chart_files_count, &msg, &templates)
 *     injector_new(&setup, &msg, &injector)        again whenever the values or the trust anchors change
 *     inject(injector, &request, &msg, &answer)
 *     inject_answer_release(&answer)
 *     injector_free(injector), template_set_free(templates)
 *
 * A Service, and a pod that gets no proxy, inherit config.linkerd.io/opaque-ports of their namespace, since proxies of others ask for it.
 * Objects are trees of jansson, borrowed and never changed. Pure; an injector is for one thread (jansson counts references).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/errmsg.h"
#include "base/slice.h"
#include "inject/decide.h"
#include "template/chart_files.h"
#include "template/template.h"

struct injector;

/* The definitions of the control plane's chart among these files. -ENOENT when there are none; else as template_set_add(). */
int inject_templates(const struct chart_file *files, size_t count, struct errmsg *msg, struct template_set **ret_templates);

struct injector_setup {
    const struct template_set *templates; /* outlives the injector */
    json_t *values;                       /* complete: what the ConfigMap linkerd-config holds */
    const char *trust_anchors;            /* PEM; NULL: those of the values */
    const char *namespace_;               /* of the control plane */
    const char *created_by;               /* "linkerd/proxy-injector VERSION" */
};

/* Renders once, so that values which do not fit the chart are told here: -EINVAL with a sentence; -ENOMEM. */
int injector_new(const struct injector_setup *setup, struct errmsg *msg, struct injector **ret_injector);
void injector_free(struct injector *injector);

struct inject_request {
    json_t *object;              /* a workload, a pod or a Service */
    const char *namespace_;      /* it is in; "" when nobody knows yet */
    json_t *namespace_annotations; /* an object, or NULL */
    const char *owner_kind, *owner_name; /* of a pod, when somebody looked it up; NULL: from its ownerReferences */
    enum inject_origin origin;
};

enum inject_verdict {
    INJECT_YES,    /* patch holds a proxy */
    INJECT_NO,     /* skips say why; patch is NULL, or hands opaque ports down */
    INJECT_REFUSED /* the object must not be made: denial says why */
};

struct inject_answer {
    enum inject_verdict verdict;
    unsigned skips;           /* bits of 1 << enum inject_skip; none of a Service, for which nobody expects a proxy */
    const char *annotated_at; /* "namespace", "workload" or "" */
    bool udp;                 /* the pod has UDP ports, which no proxy carries */
    json_t *patch;            /* an array, or NULL */
    json_t *warnings;         /* an array of texts, never NULL */
    struct errmsg denial;
};

/* 0; -EINVAL when the chart cannot be rendered with these values; -ENOMEM. The answer is only there when 0. */
int inject(const struct injector *injector, const struct inject_request *request, struct errmsg *msg, struct inject_answer *ret_answer);
void inject_answer_release(struct inject_answer *answer);

/*
 * Who owns a pod, as far as it says: the controller in its ownerReferences; for a ReplicaSet of a Deployment, the Deployment, whose name
 * stands in front of the pod's hash. "" when there is none. The texts are borrowed from the pod.
 */
struct pod_owner {
    const char *kind;
    struct slice name;
};
struct pod_owner pod_owner(const json_t *pod);
/* That reference itself, with apiVersion and uid; NULL when there is none. */
const json_t *pod_controller(const json_t *pod);
