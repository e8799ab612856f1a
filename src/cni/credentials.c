#include "cni/credentials.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "kube/access/base64.h"
#include "kube/file.h"

enum { CREDENTIALS_MAX = 2 * LIMIT_PEM };

static int read_part(const struct credentials *credentials, const char *name, struct buffer *ret_bytes, struct errmsg *msg)
{
    char path[PATH_MAX];
    int r;

    snprintf(path, sizeof(path), "%s/%s", credentials->directory, name);
    r = file_load(slice_str(path), LIMIT_PEM, ret_bytes, msg);
    if (r == 0 && slice_trim(buffer_slice(ret_bytes)).len == 0)
        return errmsg_set(msg, -EINVAL, "%s is empty; Kubernetes mounts the service account there", path);
    return r;
}

static struct slice without_newlines(struct slice text)
{
    while (text.len && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
        text.len--;
    return text;
}

/* YAML reads JSON's strings, so nothing in a value can end it. */
static int print(const struct credentials *credentials, struct slice token, struct slice ca, struct buffer *to)
{
    const char *const brackets[] = {strchr(credentials->host, ':') ? "[" : "", strchr(credentials->host, ':') ? "]" : ""};

    buffer_printf(to, "# Written by linkerd2-cni-install for the plugin linkerd-cni; changes are lost.\n"
                      "apiVersion: v1\nkind: Config\nclusters:\n- name: local\n  cluster:\n    server: \"https://%s%s%s:%s\"\n"
                      "    certificate-authority-data: ", brackets[0], credentials->host, brackets[1], credentials->port);
    base64_add(to, ca);
    buffer_add_lit(to, "\nusers:\n- name: linkerd-cni\n  user:\n    token: ");
    buffer_add_json(to, without_newlines(token));
    buffer_add_lit(to, "\ncontexts:\n- name: linkerd-cni\n  context:\n    cluster: local\n    user: linkerd-cni\n"
                       "current-context: linkerd-cni\n");
    return buffer_error(to);
}

static bool is_there(const struct folder *folder, struct slice wanted)
{
    struct buffer there;
    struct stat status;
    bool same;

    buffer_init(&there, 2 * CREDENTIALS_MAX);
    same = folder_read(folder, CREDENTIALS_FILE, &there, &status, NULL) == 0 && (status.st_mode & 07777) == 0600 &&
           slice_eq(buffer_slice(&there), wanted);
    file_forget(&there);
    return same;
}

static int write_text(const struct credentials *credentials, const struct folder *folder, struct slice token, struct slice ca,
                      struct errmsg *msg)
{
    struct buffer text;
    int r;

    buffer_init(&text, CREDENTIALS_MAX);
    r = print(credentials, token, ca, &text);
    if (r < 0)
        errmsg_set(msg, r, "the token and ca.crt in %s are too large", credentials->directory);
    else if (!is_there(folder, buffer_slice(&text)))
        r = folder_write(folder, CREDENTIALS_FILE, buffer_slice(&text), 0600, NULL, msg);
    file_forget(&text);
    return r;
}

int credentials_write(const struct credentials *credentials, const struct folder *folder, struct errmsg *msg)
{
    struct buffer token, ca;
    int r = read_part(credentials, "token", &token, msg);

    buffer_init(&ca, LIMIT_PEM);
    if (r == 0) {
        buffer_release(&ca);
        r = read_part(credentials, "ca.crt", &ca, msg);
    }
    if (r == 0)
        r = write_text(credentials, folder, buffer_slice(&token), buffer_slice(&ca), msg);
    file_forget(&token);
    buffer_release(&ca);
    return r;
}
