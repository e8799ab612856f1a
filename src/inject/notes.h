/* The warnings about one workload: bounded in length and number, as an API server passes them on to whoever typed the command. */
#pragma once

#include <jansson.h>
#include <stddef.h>

struct notes {
    json_t *texts;  /* an array of strings, owned */
    size_t dropped; /* beyond LIMIT_INJECT_WARNINGS */
    int error;      /* 0 or -ENOMEM; sticks */
};

void notes_init(struct notes *notes);
void notes_release(struct notes *notes);
/* A sentence, cut to LIMIT_INJECT_WARNING bytes between two characters. */
void notes_add(struct notes *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));
