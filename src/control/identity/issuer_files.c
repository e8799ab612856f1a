#include "control/identity/issuer_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/limits.h"

/* 1: read; 0: there is no such file; or an error. */
static int read_file(int directory, const char *name, struct errmsg *msg, struct buffer *ret_text)
{
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = 1;

    if (fd < 0)
        return errno == ENOENT ? 0 : errmsg_set(msg, -errno, "%s: %s", name, strerror(errno));
    while (n > 0) {
        char *room = buffer_room(ret_text, 4096);

        if (!room) {
            close(fd);
            return errmsg_set(msg, buffer_error(ret_text), "%s: more than %d bytes", name, LIMIT_PEM);
        }
        n = read(fd, room, 4096);
        if (n > 0)
            buffer_grew(ret_text, (size_t)n);
        else if (n < 0 && errno == EINTR)
            n = 1;
    }
    close(fd);
    return n < 0 ? errmsg_set(msg, -errno, "%s: %s", name, strerror(errno)) : 1;
}

/* The bytes of a key do not stay in freed memory. */
static void forget(struct buffer *text)
{
    if (text->data)
        explicit_bzero(text->data, text->size);
    buffer_release(text);
}

static int read_key(int directory, const char *name, struct errmsg *msg, struct x509_key **ret_key)
{
    struct buffer text;
    int r;

    buffer_init(&text, LIMIT_PEM);
    r = read_file(directory, name, msg, &text);
    if (r == 0)
        r = errmsg_set(msg, -ENOENT, "%s is missing beside its certificate", name);
    else if (r > 0 && (r = x509_key_read(buffer_slice(&text), msg, ret_key)) < 0)
        errmsg_prefix(msg, r, "%s", name);
    forget(&text);
    return r;
}

static int read_bundle(int directory, const char *name, struct errmsg *msg, struct x509_bundle *ret_bundle)
{
    struct buffer text;
    int r;

    buffer_init(&text, LIMIT_PEM);
    r = read_file(directory, name, msg, &text);
    if (r > 0) {
        r = x509_bundle_read(buffer_slice(&text), msg, ret_bundle);
        r = r < 0 ? errmsg_prefix(msg, r, "%s", name) : 1;
    }
    buffer_release(&text);
    return r;
}

static int read_pair(int directory, struct errmsg *msg, struct issuer_files *files)
{
    static const struct {
        const char *certificate, *key;
    } forms[] = {{"tls.crt", "tls.key"}, {"crt.pem", "key.pem"}};

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        int r = read_bundle(directory, forms[i].certificate, msg, &files->chain);

        if (r == 0)
            continue;
        return r < 0 ? r : read_key(directory, forms[i].key, msg, &files->key);
    }
    return errmsg_set(msg, -ENOENT, "there is neither tls.crt nor crt.pem");
}

static int read_anchors(int directory, struct errmsg *msg, struct issuer_files *files)
{
    int r = read_bundle(directory, "ca.crt", msg, &files->anchors);

    if (r == 0)
        r = read_bundle(directory, "ca-bundle.crt", msg, &files->anchors);
    return r < 0 ? r : 0;
}

/* Of a Secret's mount all files are replaced at once, by a link: whoever follows it once has files that belong together. */
static int open_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), data;

    if (fd < 0)
        return -errno;
    data = openat(fd, "..data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (data < 0)
        return fd;
    close(fd);
    return data;
}

int issuer_files_read(const char *directory, struct errmsg *msg, struct issuer_files *ret_files)
{
    struct issuer_files files = {0};
    int fd = open_directory(directory), r;

    if (fd < 0)
        return errmsg_set(msg, fd, "%s: %s", directory, strerror(-fd));
    r = read_pair(fd, msg, &files);
    if (r >= 0)
        r = read_anchors(fd, msg, &files);
    close(fd);
    if (r < 0) {
        issuer_files_release(&files);
        return errmsg_prefix(msg, r, "%s", directory);
    }
    *ret_files = files;
    return 0;
}

void issuer_files_release(struct issuer_files *files)
{
    x509_key_unref(files->key);
    x509_bundle_release(&files->chain);
    x509_bundle_release(&files->anchors);
    *files = (struct issuer_files){0};
}
