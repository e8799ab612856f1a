#include "inject/decide.h"

#include <string.h>

#include "base/mutation.h"

#define ANNOTATION "linkerd.io/inject"

enum wish { WISH_NONE, WISH_ENABLED, WISH_INGRESS, WISH_DISABLED, WISH_BAD };

static enum wish read_wish(const char *text)
{
    static const char *const texts[] = {[WISH_NONE] = "", [WISH_ENABLED] = "enabled", [WISH_INGRESS] = "ingress", [WISH_DISABLED] = "disabled"};

    for (enum wish wish = WISH_NONE; text && wish < WISH_BAD; wish++)
        if (strcmp(text, texts[wish]) == 0)
            return wish;
    return text ? WISH_BAD : WISH_NONE;
}

static bool is_yes(enum wish wish)
{
    return wish == WISH_ENABLED || wish == WISH_INGRESS;
}

/* The bit of the reason that the annotations give, or 0. */
static unsigned annotated(enum wish own, enum wish of_namespace, enum inject_origin origin)
{
    if (origin == INJECT_COMMAND)
        return own == WISH_DISABLED ? 1 << SKIP_DISABLED : own == WISH_BAD ? 1 << SKIP_BAD_WORKLOAD : 0;
    if (of_namespace == WISH_BAD)
        return 1 << SKIP_BAD_NAMESPACE;
    if (own == WISH_BAD)
        return 1 << SKIP_BAD_WORKLOAD;
    if (own == WISH_DISABLED)
        return 1 << (is_yes(of_namespace) ? SKIP_DISABLED : SKIP_NOT_ENABLED);
    return is_yes(own) || is_yes(of_namespace) ? 0 : 1 << SKIP_NOT_ENABLED;
}

/* --- proxies that are there already --- */

static const char *const names[] = {"linkerd-proxy", "istio-proxy", "contour", "envoy", "linkerd-init", "linkerd-network-validator", "istio-init", "envoy-initconfig"};

/* Without registry and version: "gcr.io/istio-release/proxyv2:1.20" ends in istio-release/proxyv2. */
static const char *const images[] = {
    "linkerd/proxy", "linkerd-io/proxy", "linkerd/proxy-init", "linkerd-io/proxy-init", "clinkerd/proxy",
    "istio-release/proxyv2", "istio-release/proxy_init", "istio/proxyv2", "istio/proxy_init", "heptio-images/contour", "envoyproxy/envoy-alpine",
};

static bool is_image(const char *image, const char *known)
{
    const char *last = strrchr(image, '/');
    size_t len = last ? (size_t)(last - image) + strcspn(last, ":@") : 0, known_len = strlen(known);

    return len >= known_len && strncmp(image + len - known_len, known, known_len) == 0 &&
           (len == known_len || image[len - known_len - 1] == '/');
}

static bool is_sidecar(const json_t *container)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(member_text(container, "name"), names[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++)
        if (is_image(member_text(container, "image"), images[i]))
            return true;
    return false;
}

/*
 * Also the volume of the proxy's identity counts: `kubectl debug --copy-to` takes the volumes of an injected pod along, and may leave
 * its init containers out; a second volume of that name would be refused.
 */
static bool has_sidecar(const json_t *spec)
{
    static const char *const lists[] = {"containers", "initContainers"};
    json_t *item;
    size_t i;

    for (size_t k = 0; k < 2; k++)
        json_array_foreach (member_array(spec, lists[k]), i, item)
            if (is_sidecar(item))
                return true;
    json_array_foreach (member_array(spec, "volumes"), i, item)
        if (strcmp(member_text(item, "name"), "linkerd-identity-end-entity") == 0)
            return true;
    return false;
}

/* --- */

static bool lacks_token(const json_t *spec, enum inject_origin origin)
{
    return json_is_false(json_object_get(spec, "automountServiceAccountToken")) || (origin == INJECT_ADMISSION && !pod_token_mount(spec));
}

struct decision decide(const struct workload *workload, const json_t *namespace_annotations, bool projected, enum inject_origin origin)
{
    enum wish own = read_wish(meta_annotation(workload->meta, ANNOTATION));
    enum wish of_namespace = read_wish(json_string_value(json_object_get(namespace_annotations, ANNOTATION)));
    struct decision decision = {.annotated_at = own != WISH_NONE ? "workload" : of_namespace != WISH_NONE ? "namespace" : ""};

    if (!workload->spec) {
        decision.skips = 1 << SKIP_UNSUPPORTED;
        return decision;
    }
    if (json_is_true(json_object_get(workload->spec, "hostNetwork")))
        decision.skips |= 1 << SKIP_HOST_NETWORK;
    if (has_sidecar(workload->spec) && !mutation("second-sidecar-injected"))
        decision.skips |= 1 << SKIP_SIDECAR;
    decision.skips |= annotated(own, of_namespace, origin);
    if (!projected && lacks_token(workload->spec, origin))
        decision.skips |= 1 << SKIP_NO_TOKEN;
    decision.ingress = own == WISH_INGRESS || (own == WISH_NONE && of_namespace == WISH_INGRESS);
    return decision;
}
