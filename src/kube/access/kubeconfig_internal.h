/* What kubeconfig.c (files, merging, contexts, clusters) and kubeconfig_user.c (users) share. */
#pragma once

#include "codec/yaml/yaml.h"
#include "kube/access/kubeconfig.h"

struct kubeconfig_entry {
    struct kubeconfig_entry *next;
    struct slice name, file, folder; /* the folder without a slash at its end; empty: where we run */
    const struct yaml_node *node;
};

/* What is being read, to complain about it. */
struct kubeconfig_choice {
    const struct kubeconfig *config;
    struct kube_access *access;
    struct errmsg *msg;
};

/* "FILE:LINE: what". Returns -EINVAL. */
int kubeconfig_complain(struct slice file, const struct yaml_node *node, struct errmsg *msg, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A text under a key, borrowed; absent or null is empty. */
int kubeconfig_text(struct slice file, const struct yaml_node *node, const char *key, struct slice *ret_text, struct errmsg *msg);
/* true or false under a key; absent or null is false. */
int kubeconfig_bool(struct slice file, const struct yaml_node *node, const char *key, bool *ret_value, struct errmsg *msg);
/* Copies into the access, untouched where the key is absent: a text, a path (relative to the file's folder), bytes in base64. */
int kubeconfig_take(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *entry, const char *key, struct slice *ret_text);
int kubeconfig_take_path(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *entry, const char *key, struct slice *ret_path);
int kubeconfig_take_data(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *entry, const char *key, struct slice *ret_bytes);

/* The whole user; a plug-in wants to know its cluster (NULL: no context names one). */
int kubeconfig_choose_user(const struct kubeconfig_choice *choice, const struct kubeconfig_entry *user, const struct kubeconfig_entry *cluster);
