#include "control/identity/token_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/list.h"

struct token_file {
    struct token_validator validator;
    struct token_validator *keys; /* those in force; they decide at once, so none is in use between calls */
    char *path;
    int64_t skew_ns;
    struct buffer bytes; /* as last read, good or not: to know whether anything changed */
};

static void *validate(struct token_validator *validator, struct slice token, int64_t wall_ns, token_done *done, void *owner)
{
    struct token_validator *keys = CONTAINER_OF(validator, struct token_file, validator)->keys;

    return keys->ops->validate(keys, token, wall_ns, done, owner);
}

static void cancel(struct token_validator *validator, void *handle)
{
    struct token_validator *keys = CONTAINER_OF(validator, struct token_file, validator)->keys;

    keys->ops->cancel(keys, handle);
}

static void free_validator(struct token_validator *validator)
{
    token_file_free(CONTAINER_OF(validator, struct token_file, validator));
}

static const struct token_validator_ops ops = {validate, cancel, free_validator};

static int read_file(const char *path, struct errmsg *msg, struct buffer *ret_bytes)
{
    FILE *file = fopen(path, "re");
    size_t n;
    char *room;

    if (!file)
        return errmsg_set(msg, -errno, "%s: %m", path);
    while ((room = buffer_room(ret_bytes, 4096)) && (n = fread(room, 1, 4096, file)) > 0)
        buffer_grew(ret_bytes, n);
    n = (size_t)ferror(file);
    fclose(file);
    if (n)
        return errmsg_set(msg, -EIO, "%s cannot be read", path);
    return room ? 0 : errmsg_set(msg, -EFBIG, "%s is larger than %d bytes", path, LIMIT_PEM);
}

int token_file_reload(struct token_file *file, struct errmsg *msg)
{
    struct token_validator *keys;
    struct buffer bytes;
    int r;

    buffer_init(&bytes, LIMIT_PEM);
    r = read_file(file->path, msg, &bytes);
    if (r < 0 || slice_eq(buffer_slice(&bytes), buffer_slice(&file->bytes))) {
        buffer_release(&bytes);
        return r;
    }
    buffer_release(&file->bytes);
    file->bytes = bytes;
    r = token_keys_new(buffer_slice(&bytes), file->skew_ns, msg, &keys);
    if (r < 0)
        return errmsg_prefix(msg, r, "%s", file->path);
    if (file->keys)
        file->keys->ops->free(file->keys);
    file->keys = keys;
    return 1;
}

int token_file_new(const char *path, int64_t skew_ns, struct errmsg *msg, struct token_file **ret_file)
{
    struct token_file *file = calloc(1, sizeof(*file));
    int r;

    if (!file)
        return errmsg_set(msg, -ENOMEM, "no memory");
    file->validator.ops = &ops;
    file->skew_ns = skew_ns;
    file->path = slice_dup(slice_str(path));
    buffer_init(&file->bytes, LIMIT_PEM);
    r = file->path ? token_file_reload(file, msg) : -ENOMEM;
    if (r >= 0 && !file->keys)
        r = errmsg_set(msg, -EINVAL, "%s is empty: expected PEM blocks with public keys", path);
    if (r < 0) {
        token_file_free(file);
        return r;
    }
    *ret_file = file;
    return 0;
}

void token_file_free(struct token_file *file)
{
    if (!file)
        return;
    if (file->keys)
        file->keys->ops->free(file->keys);
    buffer_release(&file->bytes);
    free(file->path);
    free(file);
}

struct token_validator *token_file_validator(struct token_file *file)
{
    return &file->validator;
}
