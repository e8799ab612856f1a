/*
 * Under which keys an object is found in the store: one function that names
 * them all, so that putting and removing agree. Inside kube/ only.
 */
#pragma once

#include "kube/store.h"

enum { STORE_KEY_MAX = 4 + 64 + 254 };

struct store_key {
    size_t len; /* 0: nothing can be under this key */
    char bytes[STORE_KEY_MAX];
};

struct store_key store_key_object(enum kube_kind kind, struct slice namespace_, struct slice name);
struct store_key store_key_all(enum kube_kind kind);
struct store_key store_key_in(enum kube_kind kind, struct slice namespace_);
struct store_key store_key_ip(enum store_ip_index index, struct ip ip);
struct store_key store_key_name(enum store_name_index index, struct slice namespace_, struct slice name);

/* Calls for every set that the object belongs to, perhaps twice for one. Ends early when the callback returns < 0. */
int store_keys_of(const struct kube_object *object, int (*on_key)(void *context, const struct store_key *key),
                  void *context);
