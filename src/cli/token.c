/* `linkerd token`: the signed tokens with which a workload proves to the identity service who it is (net/token/token.h). */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/command.h"
#include "cli/files.h"
#include "net/token/token.h"

static int report(int r, const char *command, const struct errmsg *msg)
{
    if (r == 0)
        return STATUS_DONE;
    return complain("%s: %s", command, *msg->text ? msg->text : strerror(-r));
}

/* --- key --- */

struct key_options {
    const char *out;
    bool force;
};

static const struct flag key_flags[] = {
    {"out", 0, FLAG_TEXT, offsetof(struct key_options, out), ".", .value = "DIR",
     .help = "Where token.key and token.pub are written; made when it is missing"},
    {"force", 0, FLAG_SWITCH, offsetof(struct key_options, force), .help = "Replace files that are there"},
};

/* The public half of a private key, in PEM. */
static int public_pem(struct slice private_pem, struct buffer *ret_pem)
{
    BIO *in = BIO_new_mem_buf(private_pem.ptr, (int)private_pem.len), *out = BIO_new(BIO_s_mem());
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, NULL) : NULL;
    int r = -ENOMEM;

    if (key && out && PEM_write_bio_PUBKEY(out, key) == 1) {
        char *bytes = NULL;
        long len = BIO_get_mem_data(out, &bytes);

        r = buffer_add(ret_pem, slice_of(bytes, (size_t)len));
    }
    EVP_PKEY_free(key);
    BIO_free(in);
    BIO_free(out);
    return r;
}

static int write_pair(const struct key_options *options, struct slice private_pem, struct slice public_text,
                      struct errmsg *msg)
{
    char key_path[PATH_MAX], public_path[PATH_MAX];
    int r = directory_make(options->out, msg);

    if (r == 0)
        r = file_join(options->out, "token.key", msg, key_path, sizeof(key_path));
    if (r == 0)
        r = file_join(options->out, "token.pub", msg, public_path, sizeof(public_path));
    if (r == 0)
        r = file_write(key_path, private_pem, 0600, options->force, msg);
    if (r == 0) {
        r = file_write(public_path, public_text, 0644, options->force, msg);
        if (r < 0 && !options->force)
            unlink(key_path); /* both or none: half a pair would stand in the way of the next try */
    }
    if (r == 0)
        printf("%s\n%s\n", key_path, public_path);
    return r;
}

static int key_main(void *opaque, const struct words *arguments)
{
    struct errmsg msg = {""};
    struct buffer private_pem, public_text;
    struct x509_key *key = NULL;
    int r = x509_key_new(&key);

    buffer_init(&private_pem, LIMIT_PEM);
    buffer_init(&public_text, LIMIT_PEM);
    if (r == 0)
        r = x509_key_write_pem(key, &private_pem);
    if (r == 0)
        r = public_pem(buffer_slice(&private_pem), &public_text);
    if (r == 0)
        r = write_pair(opaque, buffer_slice(&private_pem), buffer_slice(&public_text), &msg);
    if (private_pem.data)
        explicit_bzero(private_pem.data, private_pem.len);
    buffer_release(&private_pem);
    buffer_release(&public_text);
    x509_key_unref(key);
    return report(r, "token key", &msg);
}

/* --- issue --- */

struct issue_options {
    const char *key, *namespace, *service_account, *audience, *issuer, *key_id, *out;
    int64_t ttl_ns;
};

static const struct flag issue_flags[] = {
    {"key", 0, FLAG_TEXT, offsetof(struct issue_options, key), .value = "FILE", .help = "The signing key (required)"},
    {"namespace", 'n', FLAG_TEXT, offsetof(struct issue_options, namespace), .value = "NAME",
     .help = "Namespace of the workload (required)"},
    {"service-account", 0, FLAG_TEXT, offsetof(struct issue_options, service_account), .value = "NAME",
     .help = "Service account of the workload (required)"},
    {"audience", 0, FLAG_TEXT, offsetof(struct issue_options, audience), TOKEN_AUDIENCE, .value = "NAME",
     .help = "For whom the token is"},
    {"ttl", 0, FLAG_DURATION, offsetof(struct issue_options, ttl_ns), "24h", .value = "DURATION",
     .help = "How long the token is valid"},
    {"issuer", 0, FLAG_TEXT, offsetof(struct issue_options, issuer), .value = "TEXT", .help = "The claim iss"},
    {"key-id", 0, FLAG_TEXT, offsetof(struct issue_options, key_id), .value = "TEXT",
     .help = "The header kid instead of the key's thumbprint"},
    {"out", 0, FLAG_TEXT, offsetof(struct issue_options, out), .value = "FILE",
     .help = "Write the token to a file, replaced in one step, instead of standard output"},
};

static int check_issue(const struct issue_options *options, struct errmsg *msg)
{
    if (!*options->key)
        return errmsg_set(msg, -EINVAL, "--key FILE is missing; linkerd token key makes one");
    if (!*options->namespace)
        return errmsg_set(msg, -EINVAL, "--namespace NAME is missing");
    if (!*options->service_account)
        return errmsg_set(msg, -EINVAL, "--service-account NAME is missing");
    if (options->ttl_ns < NS_PER_S)
        return errmsg_set(msg, -EINVAL, "--ttl must be at least 1s");
    return 0;
}

static int sign(const struct issue_options *options, struct errmsg *msg, struct buffer *out)
{
    struct token_claims claims = {
        .issuer = slice_str(options->issuer),
        .key_id = slice_str(options->key_id),
        .namespace = slice_str(options->namespace),
        .service_account = slice_str(options->service_account),
        .audience = slice_str(options->audience),
        .issued_wall_ns = wall_now(),
    };
    struct x509_key *key;
    int r = file_read_key(options->key, msg, &key);

    if (r < 0)
        return r;
    claims.expires_wall_ns = claims.issued_wall_ns + options->ttl_ns;
    r = token_sign(key, &claims, msg, out);
    x509_key_unref(key);
    return r;
}

static int issue_main(void *opaque, const struct words *arguments)
{
    const struct issue_options *options = opaque;
    struct errmsg msg = {""};
    struct buffer token;
    int r = check_issue(options, &msg);

    buffer_init(&token, LIMIT_TOKEN + 1);
    if (r == 0)
        r = sign(options, &msg, &token);
    if (r == 0 && *options->out)
        r = file_write(options->out, buffer_slice(&token), 0600, true, &msg);
    else if (r == 0)
        printf("%.*s\n", SLICE_ARGS(buffer_slice(&token)));
    buffer_release(&token);
    return report(r, "token issue", &msg);
}

/* --- check --- */

struct check_options {
    const char *keys, *audience;
};

static const struct flag check_flags[] = {
    {"keys", 0, FLAG_TEXT, offsetof(struct check_options, keys), .value = "FILE",
     .help = "Public keys of the identity service (required)"},
    {"audience", 0, FLAG_TEXT, offsetof(struct check_options, audience), TOKEN_AUDIENCE, .value = "NAME",
     .help = "For whom the token has to be"},
};

static int read_validator(const char *path, struct errmsg *msg, struct token_validator **ret_validator)
{
    struct buffer pem;
    int r;

    if (!*path)
        return errmsg_set(msg, -EINVAL, "--keys FILE is missing");
    buffer_init(&pem, LIMIT_PEM);
    r = file_read(path, msg, &pem);
    if (r == 0) {
        r = token_keys_new(buffer_slice(&pem), 0, msg, ret_validator);
        if (r < 0)
            errmsg_prefix(msg, r, "%s", path);
    }
    buffer_release(&pem);
    return r;
}

static int check_token(const struct check_options *options, const char *path, struct token_validator *keys,
                       struct errmsg *msg)
{
    struct token_subject subject;
    struct buffer bytes;
    enum token_verdict verdict = TOKEN_MALFORMED;
    int r;

    buffer_init(&bytes, LIMIT_TOKEN + 1);
    r = file_read(path, msg, &bytes);
    if (r == 0) {
        struct slice token = buffer_slice(&bytes);

        while (token.len && (token.ptr[token.len - 1] == '\n' || token.ptr[token.len - 1] == '\r'))
            token.len--;
        verdict = token_check(keys, token, slice_str(options->audience), wall_now(), msg, &subject);
        if (verdict != TOKEN_VALID)
            r = errmsg_prefix(msg, -EKEYREJECTED, "%s: not valid", path);
    }
    if (r == 0)
        printf("valid: system:serviceaccount:%s:%s\n", subject.namespace, subject.service_account);
    buffer_release(&bytes);
    return r;
}

static int check_main(void *opaque, const struct words *arguments)
{
    const struct check_options *options = opaque;
    struct token_validator *keys = NULL;
    struct errmsg msg = {""};
    int r = read_validator(options->keys, &msg, &keys);

    if (r == 0) {
        r = check_token(options, arguments->items[0], keys, &msg);
        keys->ops->free(keys);
    }
    return report(r, "token check", &msg);
}

const struct command token_key_command = {
    .name = "token key",
    .usage = "",
    .summary = "Make the key pair with which tokens are signed",
    .about = "Makes token.key, which signs tokens (ECDSA P-256), and token.pub, which the identity service is given.",
    .flags = FLAGS(key_flags),
    .options_size = sizeof(struct key_options),
    .run = key_main,
};

const struct command token_issue_command = {
    .name = "token issue",
    .usage = "",
    .summary = "Issue the token of a workload",
    .flags = FLAGS(issue_flags),
    .options_size = sizeof(struct issue_options),
    .run = issue_main,
};

const struct command token_check_command = {
    .name = "token check",
    .usage = "FILE",
    .summary = "Say whether a token is valid now, and whose it is",
    .flags = FLAGS(check_flags),
    .options_size = sizeof(struct check_options),
    .min_arguments = 1,
    .max_arguments = 1,
    .run = check_main,
};
