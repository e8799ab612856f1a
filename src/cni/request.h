/*
 * What a runtime says in the environment (CNI_COMMAND and its fellows), checked
 * so far as every command needs it. Pure: the variables come by a function.
 */
#pragma once

#include "base/slice.h"
#include "cni/failure.h"

enum cni_command { CNI_ADD, CNI_DEL, CNI_CHECK, CNI_GC, CNI_STATUS, CNI_VERSION_COMMAND, CNI_COMMAND_COUNT };

enum { POD_NAME_MAX = 254 };

struct request {
    enum cni_command command;
    const char *container, *netns, *ifname; /* NULL or "" where the command does without */
    /* From CNI_ARGS; "": this is no pod of Kubernetes. */
    char namespace[POD_NAME_MAX], pod[POD_NAME_MAX];
};

typedef const char *(*request_variable)(const void *owner, const char *name);

const char *cni_command_name(enum cni_command command);
/* 0, or -1 with the failure. */
int request_read(request_variable variable, const void *owner, struct request *ret_request, struct failure *failure);
