/*
 * The command line of linkerd-controller: `linkerd-controller COMPONENT [flags]`,
 * one table of flags with the names that Linkerd's components have, in their
 * forms: -name value, -name=value, --name value, --name=value; a switch is
 * -name or -name=false. Under the name linkerd-policy-controller the component is policy. All mistakes are reported at once, by name.
 */
#pragma once

#include "control/controller.h"

/* `all` is what a mesh without Kubernetes needs. */
enum component { COMPONENT_DESTINATION = 1, COMPONENT_IDENTITY = 2, COMPONENT_POLICY = 4, COMPONENT_ALL = 7, COMPONENT_INJECTOR = 8,
                 COMPONENT_SP_VALIDATOR = 16 };

struct settings {
    unsigned components; /* bits of enum component */
    struct controller_options options;
    struct addr destination_addr, identity_addr, policy_addr;
    struct addr admin_addr;
    struct addr dns_addr;         /* version 0: no DNS */
    bool cluster;                 /* resources come from a Kubernetes API server, not from a directory */
    const char *kubeconfig;       /* file of the cluster's access; NULL: that of the pod we run in */
    const char *issuer;           /* directory */
    const char *token_key;        /* file of public keys; NULL: not given */
    const char *trust_anchors;    /* PEM file; NULL: those beside the issuer */
    const char *anchors_map;      /* the ConfigMap that is mounted there, to be followed at the API server; NULL: none */
    struct addr webhook_addr;     /* HTTPS; version 0: there is none */
    bool domain_given;            /* --cluster-domain */
    bool no_validator;            /* of the policy component: --admission-controller-disabled */
    const char *tls_certificate, *tls_key; /* files, of the webhook's port */
    bool make_certificate;        /* of the webhook, where none is given */
    const char *values;           /* file: what the ConfigMap linkerd-config holds */
    int64_t issuance_lifetime_ns, clock_skew_ns;
    struct slice log_level;
    enum log_format log_format;
    int64_t grace_ns;             /* for connections at the end */
    bool help, version;
    struct arena arena;           /* holds what is not in argv */
};

/*
 * What argv says, defaults for the rest. Appends a line for each mistake to *problems, and returns -EINVAL if there is
 * one; a line for each flag that is accepted and does nothing here to *notes.
 */
int settings_read(struct settings *settings, int argc, char *const argv[], struct buffer *problems, struct buffer *notes);
void settings_release(struct settings *settings);
/* The table as help text. */
void settings_help(struct buffer *out);
