#include "cli/install/install_found.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "cli/chart/values.h"
#include "cli/chart/values_given.h"
#include "cli/command.h"
#include "cli/install/install_cluster.h"
#include "cli/install/install_flags.h"
#include "cli/install/install_values.h"
#include "cli/install/manifest.h"
#include "kube/access/base64.h"

static const char ANCHORS[] = "identityTrustAnchorsPEM", CERTIFICATE[] = "identity.issuer.tls.crtPEM", KEY[] = "identity.issuer.tls.keyPEM";

/* --- objects --- */

static int get(const struct found *found, const char *kind, const char *name, struct errmsg *msg, json_t **ret_object)
{
    const char *plural = strcmp(kind, "Secret") == 0 ? "secrets" : "configmaps";
    char path[512];

    if (found->kube)
        return kube_get(found->kube, cluster_path(path, found->namespace_, plural, name), msg, ret_object);
    *ret_object = json_incref(manifest_find(found->manifests, kind, found->namespace_, name));
    return *ret_object ? 0 : errmsg_set(msg, -ENOENT, "the manifests have no %s %s in the namespace %s", kind, name, found->namespace_);
}

/* *ret_object is NULL when it is not there. */
static int get_if_there(const struct found *found, const char *kind, const char *name, struct errmsg *msg, json_t **ret_object)
{
    int r;

    *ret_object = NULL;
    r = get(found, kind, name, msg, ret_object);
    return r == -ENOENT ? 0 : r;
}

static json_t *member(json_t *object, const char *map, const char *key)
{
    return json_object_get(json_object_get(object, map), key);
}

/* A text of a Secret's data; *ret_text is NULL when there is none. Manifests of people may have stringData. */
static int secret_text(json_t *secret, const char *key, struct errmsg *msg, json_t **ret_text)
{
    json_t *plain = member(secret, "stringData", key), *coded = member(secret, "data", key);
    struct arena arena;
    struct slice bytes;
    int r = 0;

    *ret_text = NULL;
    if (json_is_string(plain) || !json_is_string(coded)) {
        *ret_text = json_is_string(plain) ? json_incref(plain) : NULL;
        return 0;
    }
    arena_init(&arena, LIMIT_API_TEXT * 2);
    r = base64_read(&arena, slice_of(json_string_value(coded), json_string_length(coded)), &bytes);
    *ret_text = r == 0 ? json_stringn(bytes.ptr, bytes.len) : NULL;
    if (!*ret_text)
        r = errmsg_set(msg, -EINVAL, "Secret %s: %s is no text in base64", json_string_value(member(secret, "metadata", "name")), key);
    arena_release(&arena);
    return r;
}

/* --- values of Linkerd 2.8: the flags of its command line and what it made of them --- */

static bool is_of_its_images(const char *name)
{
    static const char *const names[] = {"control-plane-version", "proxy-version", "proxy-image", "registry", "image-pull-policy"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static const struct flag *flag_named(const char *name)
{
    const struct flag *flag = NULL;

    for (size_t i = 0; (flag = flag_at(&install_command.flags, i)); i++)
        if (strcmp(flag->name, name) == 0)
            break;
    return flag;
}

enum { RECORDED = 128 };

/* A recorded flag as a word of a command line; files and images are those of that time. */
static char *word_of(json_t *recorded)
{
    const char *name = json_string_value(json_object_get(recorded, "name"));
    const char *value = json_string_value(json_object_get(recorded, "value"));
    char *word = NULL;

    if (!name || !value || !flag_named(name) || slice_ends(slice_str(name), SLICE_LIT("-file")) || is_of_its_images(name))
        return NULL;
    if (*value == '[' && value[strlen(value) - 1] == ']') /* how a list was written */
        return asprintf(&word, "--%s=%.*s", name, (int)strlen(value) - 2, value + 1) < 0 ? NULL : word;
    return asprintf(&word, "--%s=%s", name, value) < 0 ? NULL : word;
}

static int recorded_flags(json_t *recorded, json_t *values, struct errmsg *msg)
{
    void *options = calloc(1, install_command.options_size);
    char *words[RECORDED];
    struct words arguments;
    size_t index, count = 0;
    json_t *flag;
    bool help;
    int r = options ? 0 : errmsg_set(msg, -ENOMEM, "out of memory");

    json_array_foreach (recorded, index, flag)
        if (count < RECORDED && (words[count] = word_of(flag)))
            count++;
    if (r == 0)
        r = flags_parse(install_command.flags, (int)count, words, options, msg, &arguments, &help);
    if (r == 0)
        r = install_values_given(options, values, msg); /* the first member */
    for (size_t i = 0; i < count; i++)
        free(words[i]);
    free(options);
    return r;
}

static int put_copy(json_t *values, const char *path, json_t *value)
{
    return json_is_string(value) && *json_string_value(value) ? values_put(values, path, json_incref(value)) : 0;
}

static int recorded_globals(json_t *global, json_t *values)
{
    json_t *identity = json_object_get(global, "identityContext");
    int r = put_copy(values, "clusterDomain", json_object_get(global, "clusterDomain"));

    if (r == 0)
        r = put_copy(values, "identityTrustDomain", json_object_get(identity, "trustDomain"));
    if (r == 0)
        r = put_copy(values, "identityTrustAnchorsPEM", json_object_get(identity, "trustAnchorsPem"));
    if (r == 0)
        r = put_copy(values, "identity.issuer.scheme", json_object_get(identity, "scheme"));
    if (r == 0 && json_is_true(json_object_get(global, "cniEnabled")))
        r = values_put(values, "cniEnabled", json_true());
    return r;
}

static json_t *json_of(json_t *config, const char *key)
{
    const char *text = json_string_value(member(config, "data", key));

    return text ? json_loads(text, 0, NULL) : NULL;
}

/* What --addon-config said. What of it has a successor is found by its name (values_old.h), and the rest is told of. */
static int recorded_addons(const struct found *found, json_t *values, struct errmsg *msg)
{
    static const char NAME[] = "linkerd-config-addons";
    json_t *addons, *text;
    int r = get_if_there(found, "ConfigMap", NAME, msg, &addons);

    text = member(addons, "data", "values");
    if (r == 0 && json_is_string(text))
        r = values_put_text(values, slice_of(json_string_value(text), json_string_length(text)), NAME, msg);
    json_decref(addons);
    return r;
}

static int values_of_2_8(const struct found *found, json_t *config, json_t *values, struct errmsg *msg)
{
    json_t *install = json_of(config, "install"), *global = json_of(config, "global");
    int r = 0;

    complain("%s: the installation is Linkerd 2.8's: its flags and values are taken over, its images and add-ons are not", found->command);
    if (!install || !global)
        r = errmsg_set(msg, -EINVAL, "ConfigMap linkerd-config: global and install are no JSON");
    if (r == 0)
        r = recorded_flags(json_object_get(install, "flags"), values, msg);
    if (r == 0 && recorded_globals(global, values) < 0)
        r = errmsg_set(msg, -ENOMEM, "out of memory");
    if (r == 0)
        r = recorded_addons(found, values, msg);
    json_decref(install);
    json_decref(global);
    return r;
}

/* --- values --- */

static int not_kept(const struct found *found, json_t *config, struct errmsg *msg)
{
    const char *release = json_string_value(json_object_get(member(config, "metadata", "annotations"), "meta.helm.sh/release-name"));

    if (release)
        return errmsg_set(msg, -ENOENT, "Helm has made this installation (release %.60s) and keeps its values: upgrade it by helm upgrade", release);
    return errmsg_set(msg, -ENOENT, "the Secret linkerd-config-overrides in the namespace %s is missing, so nothing says how this was installed: "
                      "with Helm, use helm upgrade; else print it anew by linkerd install --ignore-cluster and the same values and certificates",
                      found->namespace_);
}

/* This program's version is the point of an upgrade. */
static void forget_versions(json_t *values)
{
    json_object_del(values, "cliVersion");
    json_object_del(values, "linkerdVersion");
}

static int kept_values(const struct found *found, json_t *config, struct errmsg *msg, json_t **ret_values)
{
    json_t *secret = NULL, *text = NULL;
    int r = get_if_there(found, "Secret", "linkerd-config-overrides", msg, &secret);

    if (r == 0)
        r = secret_text(secret, "linkerd-config-overrides", msg, &text);
    if (r == 0 && text) {
        r = values_read(slice_of(json_string_value(text), json_string_length(text)), "linkerd-config-overrides", NUMBERS_AS_REALS, msg, ret_values);
    } else if (r == 0 && member(config, "data", "install")) {
        *ret_values = json_object();
        r = values_of_2_8(found, config, *ret_values, msg);
    } else if (r == 0) {
        r = not_kept(found, config, msg);
    }
    json_decref(text);
    json_decref(secret);
    return r;
}

int found_values(const struct found *found, struct errmsg *msg, json_t **ret_values)
{
    json_t *config = NULL, *values = NULL;
    int r = get(found, "ConfigMap", "linkerd-config", msg, &config);

    if (r == -ENOENT)
        return errmsg_set(msg, r, "there is no installation in the namespace %s (no ConfigMap linkerd-config%s): linkerd install makes one",
                          found->namespace_, found->kube ? "" : " among the manifests");
    if (r == 0)
        r = kept_values(found, config, msg, &values);
    json_decref(config);
    if (r < 0) {
        json_decref(values);
        return r;
    }
    forget_versions(values);
    *ret_values = values;
    return 0;
}

/* --- identity --- */

void found_issuer_release(struct found_issuer *issuer)
{
    json_decref(issuer->anchors);
    json_decref(issuer->certificate);
    json_decref(issuer->key);
    *issuer = (struct found_issuer){NULL, NULL, NULL};
}

/* The names of the keys say the scheme. */
static int issuer_of(json_t *secret, struct errmsg *msg, struct found_issuer *issuer)
{
    bool external = member(secret, "data", "tls.crt") || member(secret, "stringData", "tls.crt");
    int r = secret_text(secret, external ? "tls.crt" : "crt.pem", msg, &issuer->certificate);

    return r == 0 ? secret_text(secret, external ? "tls.key" : "key.pem", msg, &issuer->key) : r;
}

int found_issuer(const struct found *found, struct errmsg *msg, struct found_issuer *ret_issuer)
{
    struct found_issuer issuer = {NULL, NULL, NULL};
    json_t *secret = NULL, *roots = NULL;
    int r = get_if_there(found, "Secret", "linkerd-identity-issuer", msg, &secret);

    if (r == 0)
        r = issuer_of(secret, msg, &issuer);
    if (r == 0)
        r = get_if_there(found, "ConfigMap", "linkerd-identity-trust-roots", msg, &roots);
    if (r == 0 && json_is_string(member(roots, "data", "ca-bundle.crt")))
        issuer.anchors = json_incref(member(roots, "data", "ca-bundle.crt"));
    json_decref(secret);
    json_decref(roots);
    if (r < 0)
        found_issuer_release(&issuer);
    else
        *ret_issuer = issuer;
    return r;
}

static bool is_external(json_t *values)
{
    const char *scheme = json_string_value(values_at(values, "identity.issuer.scheme"));

    return scheme && strcmp(scheme, "kubernetes.io/tls") == 0;
}

/*
 * With one end of line, as `install` and people's files have them: objects carry some without, and an upgrade would not print what the
 * command before it did.
 */
static int put_pem(json_t *values, const char *path, json_t *text)
{
    const char *pem = text ? json_string_value(text) : "";
    size_t len = strlen(pem);

    while (len && pem[len - 1] == '\n')
        len--;
    return len ? values_put(values, path, json_sprintf("%.*s\n", (int)len, pem)) : 0;
}

int found_identity(const struct found *found, json_t *values, struct errmsg *msg)
{
    struct found_issuer issuer;
    int r = found_issuer(found, msg, &issuer);

    if (r < 0)
        return r;
    if (!is_external(values)) {
        r = put_pem(values, CERTIFICATE, issuer.certificate);
        r = r == 0 ? put_pem(values, KEY, issuer.key) : r;
    }
    if (r == 0 && !json_is_true(values_at(values, "identity.externalCA")))
        r = put_pem(values, ANCHORS, issuer.anchors);
    found_issuer_release(&issuer);
    return r < 0 ? errmsg_set(msg, r, "out of memory") : 0;
}

/* --- selectors --- */

static const char INJECTOR[] = "linkerd-proxy-injector";

static int injector(const struct found *found, struct errmsg *msg, json_t **ret_deployment)
{
    char path[512];
    int r;

    *ret_deployment = NULL;
    if (!found->kube) {
        *ret_deployment = json_incref(manifest_find(found->manifests, "Deployment", found->namespace_, INJECTOR));
        return 0;
    }
    snprintf(path, sizeof(path), "/apis/apps/v1/namespaces/%s/deployments/%s", found->namespace_, INJECTOR);
    r = kube_get(found->kube, path, msg, ret_deployment);
    return r == -ENOENT ? 0 : r;
}

int found_selector(const struct found *found, json_t *values, struct errmsg *msg)
{
    json_t *deployment, *labels = NULL;
    int r = injector(found, msg, &deployment);

    if (r == 0)
        labels = json_copy(json_object_get(json_object_get(json_object_get(deployment, "spec"), "selector"), "matchLabels"));
    json_object_del(labels, "linkerd.io/control-plane-component"); /* the chart names it itself */
    if (labels)
        json_object_del(json_object_get(values, "proxyInjector"), "selectorLabels");
    if (json_object_size(labels))
        r = values_put(values, "proxyInjector.selectorLabels", json_incref(labels));
    json_decref(labels);
    json_decref(deployment);
    return r;
}

/* --- what must not be made anew --- */

static bool is_there(json_t *values, const char *path)
{
    return json_string_length(values_at(values, path)) > 0;
}

int found_identity_check(json_t *values, struct errmsg *msg)
{
    static const char WHY[] = "and without it every proxy would lose its identity: give it by";

    if (!is_external(values) && !(is_there(values, CERTIFICATE) && is_there(values, KEY)))
        return errmsg_set(msg, -ENOENT, "the Secret linkerd-identity-issuer is not there, %s --identity-issuer-certificate-file and "
                          "--identity-issuer-key-file", WHY);
    if (!json_is_true(values_at(values, "identity.externalCA")) && !is_there(values, ANCHORS))
        return errmsg_set(msg, -ENOENT, "the ConfigMap linkerd-identity-trust-roots is not there, %s --identity-trust-anchors-file", WHY);
    return 0;
}
