/*
 * One text of a ConfigMap, followed by a watch of it alone: so that a change is known when the API server has it, not when the kubelet brings
 * it into a volume, up to two minutes later.
 *
 *     config_map_new() -> on_text() ... -> config_map_free()
 *
 * A watch begins with the present state and ends after some minutes; the next one begins with the state again, so nothing is missed and the
 * owner may be told the same text twice. A ConfigMap that is gone, or has no such text, tells nothing; a watch that is refused or broken off is
 * logged once, and tried again with growing pauses. Rights: watch this ConfigMap, by name.
 */
#pragma once

#include "control/controller.h"
#include "kube/api/api_client.h"

struct config_map;

/* Texts live as long as the ConfigMap is followed. */
struct config_map_setup {
    struct controller *controller; /* its namespace, its log */
    struct api_client *client;
    const char *component;         /* for the log */
    const char *name, *key;
    void (*on_text)(void *owner, struct slice text); /* from the loop; lives until it returns */
    void *owner;
};

/* Begins at once. 0 or -ENOMEM. */
int config_map_new(const struct config_map_setup *setup, struct config_map **ret_map);
/* Before the client goes; not inside on_text(). NULL is allowed. */
void config_map_free(struct config_map *map);
/* The API server has told a state, or that it will not: nothing better is to be waited for. */
bool config_map_is_settled(const struct config_map *map);
