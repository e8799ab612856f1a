/* The controller's admin port: /metrics, /ready, /live, /ping. */
#pragma once

#include "control/controller.h"

struct admin;

struct admin_hooks {
    bool (*is_ready)(void *owner);
    void (*measure)(void *owner); /* before metrics are written; may be NULL */
    void *owner;
};

/* 0 or a negative errno (the address is taken). */
int admin_new(struct controller *controller, struct addr addr, const struct admin_hooks *hooks, struct admin **ret_admin);
void admin_free(struct admin *admin); /* NULL is allowed */
