/*
 * The ports that annotations list ("25,3306,8000-8010,mysql"), and the ports of a pod by their names.
 */
#pragma once

#include <jansson.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "inject/notes.h"

/* 0 when the list holds only ports and ranges, -EINVAL otherwise, -ENOBUFS above LIMIT_INJECT_PORTS; appends it without spaces. */
int port_list_check(struct slice list, struct buffer *ret_list);
/*
 * The same with names of the pod's container ports, which become numbers. What is neither is left out, with a note under `name` unless
 * that is NULL.
 */
int port_list_resolve(struct slice list, const json_t *spec, const char *name, struct notes *notes, struct buffer *ret_list);
/* The TCP ports of the pod's containers and of their HTTP probes, sorted as texts ("6379,80"). */
int port_list_of_pod(const json_t *spec, struct buffer *ret_list);
