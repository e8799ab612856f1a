#include "proxy/image/names.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/x509/x509.h"
#include "net/x509/x509_csr.h"
#include "proxy/control.h"
#include "proxy/watch/identity_files.h"

#define ENV "LINKERD2_PROXY_IDENTITY_"

static int write_all(int fd, struct slice bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);

        if (n < 0 && errno != EINTR)
            return -errno;
        bytes = slice_skip(bytes, n > 0 ? (size_t)n : 0);
    }
    return 0;
}

/* Whole or not at all: a container that is killed here is started again and finds the old file, or none. */
static int write_file(const char *dir, const char *name, struct slice bytes, struct errmsg *msg)
{
    char path[PATH_MAX], temporary[PATH_MAX];
    int r = 0, fd;

    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) ||
        snprintf(temporary, sizeof(temporary), "%s/.%s.new", dir, name) >= (int)sizeof(temporary))
        return errmsg_set(msg, -ENAMETOOLONG, "the name of the folder %s is too long", dir);
    unlink(temporary); /* what a run before has left, if it has */
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errmsg_set(msg, -errno, "cannot make %s: %s; user %u needs a folder that it may write to", temporary,
                          strerror(errno), (unsigned)geteuid());
    r = write_all(fd, bytes);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && rename(temporary, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(temporary);
        return errmsg_set(msg, r, "cannot write %s: %s", path, strerror(-r));
    }
    return 0;
}

static int write_key(const char *dir, const struct x509_key *key, struct errmsg *msg)
{
    struct buffer der;
    int r;

    buffer_init(&der, IDENTITY_FILE_MAX);
    r = x509_key_write(key, &der);
    r = r < 0 ? errmsg_set(msg, r, "cannot encode the key: %s", strerror(-r)) : write_file(dir, "key.p8", buffer_slice(&der), msg);
    if (der.data)
        explicit_bzero(der.data, der.size); /* a key does not stay in freed memory */
    buffer_release(&der);
    return r;
}

static int write_request(const char *dir, const struct x509_key *key, struct san name, struct errmsg *msg)
{
    struct buffer der;
    int r;

    buffer_init(&der, IDENTITY_FILE_MAX);
    r = x509_csr_new(key, name, &der);
    r = r < 0 ? errmsg_set(msg, r, "cannot make the request: %s", strerror(-r)) : write_file(dir, "csr.der", buffer_slice(&der), msg);
    buffer_release(&der);
    return r;
}

/* A proxy that is started again gets a new key: the old one may have been seen. */
static int write_both(const char *dir, const char *name, struct errmsg *msg)
{
    struct san san = san_parse(slice_str(name));
    struct x509_key *key = NULL;
    int r;

    if (!dir || !dir[0])
        return errmsg_set(msg, -EINVAL, "the folder for key and request is not given: expected " ENV "DIR or -dir");
    if (san.kind != SAN_DNS && san.kind != SAN_URI)
        return errmsg_set(msg, -EINVAL, "the name \"%s\" is not valid: expected a DNS name in " ENV "LOCAL_NAME or -name",
                          name ? name : "");
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return errmsg_set(msg, -errno, "cannot make the folder %s: %s", dir, strerror(errno));
    r = x509_key_new(&key);
    if (r < 0)
        return errmsg_set(msg, r, "cannot make a key: %s", strerror(-r));
    r = write_key(dir, key, msg);
    if (r == 0)
        r = write_request(dir, key, san, msg);
    x509_key_unref(key);
    return r;
}

/* Said here, where a broken bundle is the first line of the log, rather than by the proxy after it. */
static int check_anchors(struct errmsg *msg)
{
    struct x509_bundle anchors = {0};
    int r = x509_bundle_read(slice_str(getenv(ENV "TRUST_ANCHORS")), msg, &anchors);

    x509_bundle_release(&anchors);
    return r < 0 ? errmsg_prefix(msg, r, ENV "TRUST_ANCHORS") : 0;
}

static int complain(const struct errmsg *msg, int r)
{
    fprintf(stderr, "linkerd2-proxy-identity: %s\n", msg->text);
    return r == -EINVAL ? EXIT_CONFIG : EXIT_START;
}

/* This binary under its own name. Returns only when that fails. */
static int become_proxy(void)
{
    char self[PATH_MAX], name[] = "linkerd2-proxy", *argv[] = {name, NULL};
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n > 0) {
        self[n] = '\0';
        execv(self, argv);
    }
    fprintf(stderr, "linkerd2-proxy-identity: cannot start the proxy: %s\n", strerror(errno));
    return EXIT_START;
}

int image_run_main(int argc, char *const argv[])
{
    const char *disabled = getenv(ENV "DISABLED");
    struct errmsg msg = {""};
    int r = 0;

    if (!disabled || !disabled[0]) {
        r = check_anchors(&msg);
        if (r == 0)
            r = write_both(getenv(ENV "DIR"), getenv(ENV "LOCAL_NAME"), &msg);
    }
    return r < 0 ? complain(&msg, r) : become_proxy();
}

/* -dir VALUE, --dir VALUE, -dir=VALUE; NULL when it is not this flag. */
static const char *value_of(const char *flag, int argc, char *const argv[], int *at)
{
    const char *word = argv[*at] + (strncmp(argv[*at], "--", 2) == 0 ? 2 : 1);
    size_t len = strlen(flag);

    if (argv[*at][0] != '-' || strncmp(word, flag, len) != 0)
        return NULL;
    if (word[len] == '=')
        return word + len + 1;
    return word[len] == '\0' && *at + 1 < argc ? argv[++*at] : NULL;
}

int image_identity_main(int argc, char *const argv[])
{
    const char *dir = NULL, *name = NULL;
    struct errmsg msg = {""};
    int r;

    if (argc < 2)
        return image_run_main(argc, argv);
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at], *value;

        if ((value = value_of("dir", argc, argv, &at)) != NULL) {
            dir = value;
        } else if ((value = value_of("name", argc, argv, &at)) != NULL) {
            name = value;
        } else {
            fprintf(stderr, "linkerd2-proxy-identity: \"%s\" is not expected; usage: linkerd2-proxy-identity [-dir DIR -name NAME]\n", word);
            return EXIT_CONFIG;
        }
    }
    r = check_anchors(&msg);
    if (r == 0)
        r = write_both(dir, name, &msg);
    return r < 0 ? complain(&msg, r) : 0;
}
