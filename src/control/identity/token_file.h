/*
 * A token validator (net/token/token.h) with the public keys of a file, which may
 * change while it runs: a file that cannot be used leaves the last good keys in
 * force.
 */
#pragma once

#include "net/token/token.h"

struct token_file;

/* Reads the file. 0, or a negative errno and a sentence that names the file. */
int token_file_new(const char *path, int64_t skew_ns, struct errmsg *msg, struct token_file **ret_file);
/* Through token_validator.free as well. NULL is allowed. */
void token_file_free(struct token_file *file);
/* Lives as long as the file. */
struct token_validator *token_file_validator(struct token_file *file);
/* Reads it again if it changed. 1: new keys are in force, 0: nothing changed, negative: it cannot be used. */
int token_file_reload(struct token_file *file, struct errmsg *msg);
