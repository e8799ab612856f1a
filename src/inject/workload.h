/*
 * The pod in a workload: where it stands in each kind, and the few things that several modules look up in it. Everything is borrowed from
 * the object. What is not of the shape that Kubernetes gives it counts as absent: the API server has checked objects that it sends, and
 * refuses the others when they are applied.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct workload {
    json_t *object;
    const char *kind;   /* "Deployment"; "" when the object says none */
    const char *label;  /* of its pods, with its name: "linkerd.io/proxy-deployment"; NULL for a bare pod */
    const char *prefix; /* of the pod's template in JSON pointers: "", "/spec/template", ... */
    json_t *pod;        /* what has metadata and spec of the pod; NULL when the kind has no pod */
    json_t *meta, *spec;
};

void workload_read(json_t *object, struct workload *ret_workload);
bool workload_is_service(const struct workload *workload);

/* The label of pods that belong to an owner of this kind, in any case ("Deployment", "deployment"); NULL when it has none. */
const char *workload_label(const char *kind);

/* An annotation of an object's metadata; NULL when it is not there. */
const char *meta_annotation(const json_t *meta, const char *name);
/* A member that is an object, an array; else NULL. */
json_t *member_object(const json_t *object, const char *name);
json_t *member_array(const json_t *object, const char *name);
/* A member that is a string, else "". */
const char *member_text(const json_t *object, const char *name);
/* The first container of the application; NULL when there is none. */
json_t *pod_first_container(const json_t *spec);
/* How its first container mounts the token of the service account; NULL when it does not. */
json_t *pod_token_mount(const json_t *spec);
bool pod_has_udp_port(const json_t *spec);
