#include "proxy/watch/identity_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/map.h"
#include "net/x509/x509_csr.h"
#include "proxy/config.h"

enum { PATH_ROOM = 4096 };

/* The whole file; -ENOENT and the like as they come, -EFBIG beyond the maximum. */
static int read_file(const char *path, struct buffer *ret_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    for (;;) {
        char *room = buffer_room(ret_bytes, 4096);
        ssize_t n;

        if (!room) {
            close(fd);
            return buffer_error(ret_bytes) == -ENOBUFS ? -EFBIG : -ENOMEM;
        }
        n = read(fd, room, 4096);
        if (n <= 0) {
            int r = n < 0 ? -errno : 0;

            close(fd);
            return r;
        }
        buffer_grew(ret_bytes, (size_t)n);
    }
}

int identity_files_key(const struct config *config, struct errmsg *msg, struct x509_key **ret_key)
{
    struct buffer bytes;
    char path[PATH_ROOM];
    int r;

    snprintf(path, sizeof(path), "%.*s/key.p8", SLICE_ARGS(config->identity_dir));
    buffer_init(&bytes, IDENTITY_FILE_MAX);
    r = read_file(path, &bytes);
    if (r == 0) {
        r = x509_key_read(buffer_slice(&bytes), msg, ret_key);
        if (r < 0)
            errmsg_prefix(msg, r, "LINKERD2_PROXY_IDENTITY_DIR: %s", path);
    } else if (r == -ENOENT) {
        r = x509_key_new(ret_key);
    } else {
        errmsg_set(msg, r, "LINKERD2_PROXY_IDENTITY_DIR: cannot read %s: %s", path, strerror(-r));
    }
    if (bytes.data)
        explicit_bzero(bytes.data, bytes.size); /* a key does not stay in freed memory */
    buffer_release(&bytes);
    return r;
}

int identity_files_csr(const struct config *config, const struct x509_key *key, struct errmsg *msg, struct buffer *ret_csr)
{
    struct san own = san_parse(config->local_name);
    struct x509_csr *csr = NULL;
    char path[PATH_ROOM];
    int r;

    snprintf(path, sizeof(path), "%.*s/csr.der", SLICE_ARGS(config->identity_dir));
    r = read_file(path, ret_csr);
    if (r == -ENOENT)
        return x509_csr_new(key, own, ret_csr);
    if (r < 0)
        return errmsg_set(msg, r, "LINKERD2_PROXY_IDENTITY_DIR: cannot read %s: %s", path, strerror(-r));
    r = x509_csr_read(buffer_slice(ret_csr), msg, &csr);
    if (r < 0)
        return errmsg_prefix(msg, r, "LINKERD2_PROXY_IDENTITY_DIR: %s", path);
    if (!x509_csr_is_for(csr, key, own))
        r = errmsg_set(msg, -EINVAL, "LINKERD2_PROXY_IDENTITY_DIR: %s is for another name or key than %.*s and key.p8", path,
                       SLICE_ARGS(config->local_name));
    x509_csr_free(csr);
    return r;
}

int identity_files_token(const struct config *config, struct errmsg *msg, struct buffer *ret_token)
{
    int r = read_file(config->token_file.ptr, ret_token);

    if (r < 0)
        return errmsg_set(msg, r, "cannot read the token %s: %s", config->token_file.ptr, strerror(-r));
    while (ret_token->len && ret_token->data[ret_token->len - 1] == '\n')
        ret_token->len--;
    return ret_token->len ? 0 : errmsg_set(msg, -EINVAL, "the token %s is empty", config->token_file.ptr);
}

/* --- the bundle that was learnt --- */

/* Before the certificates; the reader of PEM passes over it. */
static void add_environment(const struct config *config, struct buffer *out)
{
    buffer_printf(out, "# learnt under the environment %016llx\n",
                  (unsigned long long)siphash13(config->trust_anchors.ptr, config->trust_anchors.len, 0, 0));
}

static bool is_of_environment(const struct config *config, struct slice bytes)
{
    struct buffer line;
    bool same;

    buffer_init(&line, 128);
    add_environment(config, &line);
    same = line.len && slice_starts(bytes, buffer_slice(&line));
    buffer_release(&line);
    return same;
}

int identity_files_bundle(const struct config *config, struct errmsg *msg, struct x509_bundle *ret_bundle)
{
    struct buffer bytes;
    char path[PATH_ROOM];
    int r;

    snprintf(path, sizeof(path), "%.*s/trust-bundle.pem", SLICE_ARGS(config->identity_dir));
    buffer_init(&bytes, LIMIT_PEM);
    r = read_file(path, &bytes);
    if (r == 0 && !is_of_environment(config, buffer_slice(&bytes)))
        r = -ENOENT;
    else if (r == 0 && (r = x509_bundle_read(buffer_slice(&bytes), msg, ret_bundle)) < 0)
        errmsg_prefix(msg, r, "LINKERD2_PROXY_IDENTITY_DIR: %s", path);
    else if (r < 0)
        errmsg_set(msg, r, "LINKERD2_PROXY_IDENTITY_DIR: cannot read %s: %s", path, strerror(-r));
    buffer_release(&bytes);
    return r;
}

/* Whole or not at all: under another name first. */
static int replace_file(const char *path, struct slice bytes)
{
    char temporary[PATH_ROOM + 8];
    int fd, r = 0;

    snprintf(temporary, sizeof(temporary), "%s.new", path);
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return -errno;
    while (bytes.len && r == 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);

        if (n > 0)
            bytes = slice_skip(bytes, (size_t)n);
        else
            r = n < 0 ? -errno : -EIO;
    }
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && rename(temporary, path) < 0)
        r = -errno;
    if (r < 0)
        (void)unlink(temporary);
    return r;
}

int identity_files_keep_bundle(const struct config *config, const struct x509_bundle *bundle, struct errmsg *msg)
{
    struct buffer bytes;
    char path[PATH_ROOM];
    int r;

    snprintf(path, sizeof(path), "%.*s/trust-bundle.pem", SLICE_ARGS(config->identity_dir));
    buffer_init(&bytes, LIMIT_PEM);
    add_environment(config, &bytes);
    for (size_t i = 0; i < bundle->count; i++)
        (void)x509_cert_write_pem(bundle->certs[i], &bytes); /* an error stays in the buffer */
    r = buffer_error(&bytes);
    if (r == 0)
        r = replace_file(path, buffer_slice(&bytes));
    if (r < 0)
        errmsg_set(msg, r, "LINKERD2_PROXY_IDENTITY_DIR: cannot write %s: %s", path, strerror(-r));
    buffer_release(&bytes);
    return r;
}
