/*
 * What is looked at beyond what the decoder says: one function a kind, each called with an object that the decoder took. Inside
 * control/validate/ only.
 */
#pragma once

#include "control/validate/validate.h"
#include "kube/decode/fields.h"

struct checking {
    const struct validate_context *context;
    const struct kube_object *object;
    const struct yaml_node *spec; /* as it was written: for what the struct does not keep */
    struct decoder decoder;       /* takes complaints as those of the decoder before */
    size_t patterns;              /* that were compiled so far */
};

/* About PATH.NAME, as the decoder names fields; NAME may be NULL. */
#define refuse(checking, path, name, ...) decoder_complain(&(checking)->decoder, REPORT_ERROR, (path), (name), 0, 0, __VA_ARGS__)
#define warn(checking, path, name, ...) decoder_complain(&(checking)->decoder, REPORT_WARNING, (path), (name), 0, 0, __VA_ARGS__)

#define PATH_OF(up, literal) ((struct path){(up), SLICE_LIT(literal), 0})
#define PATH_AT(up, position) ((struct path){(up), SLICE_NULL, (position)})
/* A text of the object in a sentence. */
#define SHORT(text) SLICE_ARGS(slice_take((text), 100))

extern const struct path validate_spec; /* "spec" */

void check_service_profile(struct checking *checking);
void check_server(struct checking *checking);
void check_server_authorization(struct checking *checking);
void check_authorization_policy(struct checking *checking);
void check_mesh_tls_authentication(struct checking *checking);
void check_network_authentication(struct checking *checking);
void check_egress_network(struct checking *checking);
void check_rate_limit_policy(struct checking *checking);
void check_http_route(struct checking *checking);
void check_grpc_route(struct checking *checking);
void check_tcp_route(struct checking *checking); /* TLSRoute too */

/* ---- shared parts ---- */

/* A reference to the kind: its group as written, "core" for the core group too. */
bool check_ref_is_to(const struct kube_ref *ref, enum kube_kind kind);
/* A pattern, by the engine that matches it. */
void check_pattern(struct checking *checking, const struct path *path, const char *name, struct slice pattern, bool of_profile);
/* spec.networks and the like: exceptions lie in their network and leave some of it. */
void check_networks(struct checking *checking, const struct path *list, const struct kube_network *networks, size_t count);
/* NULL, or what the identity should have been: a name of a certificate, "*", "*.suffix", or a SPIFFE id. */
const char *check_identity(struct slice identity);
/*
 * Annotations about retries, time limits and circuit breaking. `fatal`: what cannot be read is refused; else it is a warning.
 */
enum annotation_place { ANNOTATIONS_OF_HTTP_ROUTE, ANNOTATIONS_OF_GRPC_ROUTE, ANNOTATIONS_OF_EGRESS_NETWORK };
void check_annotations(struct checking *checking, enum annotation_place place, bool fatal);
