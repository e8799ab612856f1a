/* What several kinds have: references, patterns, networks, identities. */
#include "control/validate/checks.h"

#include <errno.h>

#include "base/limits.h"
#include "mesh/regex.h"

bool check_ref_is_to(const struct kube_ref *ref, enum kube_kind kind)
{
    struct slice group = kube_kind_group(kind);

    return slice_eq_nocase(ref->kind, kube_kind_name(kind)) &&
           (slice_eq_nocase(ref->group, group) || (!group.len && slice_eq_nocase(ref->group, SLICE_LIT("core"))));
}

void check_pattern(struct checking *checking, const struct path *path, const char *name, struct slice pattern, bool of_profile)
{
    struct regex *regex = NULL;
    struct errmsg msg = {""};
    int r;

    if (++checking->patterns > LIMIT_VALIDATE_PATTERNS) {
        if (checking->patterns == LIMIT_VALIDATE_PATTERNS + 1)
            warn(checking, path, name, "the patterns from here on are not checked: more than %d", LIMIT_VALIDATE_PATTERNS);
        return;
    }
    r = regex_new(pattern, of_profile ? REGEX_PROFILE : REGEX_POLICY, &msg, &regex);
    if (r == -ENOMEM)
        checking->decoder.no_memory = true;
    else if (r < 0)
        refuse(checking, path, name, "\"%.*s\" is no pattern: %s; expected a regular expression, e.g. \"/users/[^/]*\"", SHORT(pattern), msg.text);
    regex_free(regex);
}

/* ---- networks ---- */

static bool has_all_of(struct cidr outer, struct cidr inner)
{
    return outer.ip.version == inner.ip.version && outer.prefix <= inner.prefix && cidr_contains(outer, inner.ip);
}

void check_networks(struct checking *checking, const struct path *list, const struct kube_network *networks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct path network = PATH_AT(list, i), excepts = PATH_OF(&network, "except");
        char cidr[IP_TEXT_MAX], except[IP_TEXT_MAX];

        for (size_t j = 0; j < networks[i].except_count; j++) {
            struct path at = PATH_AT(&excepts, j);
            struct cidr whole = networks[i].cidr, part = networks[i].except[j];

            ip_format(whole.ip, cidr);
            ip_format(part.ip, except);
            if (has_all_of(part, whole))
                refuse(checking, &at, NULL, "%s/%u leaves nothing of %s/%u; expected a smaller network inside it", except, part.prefix, cidr,
                       whole.prefix);
            else if (!has_all_of(whole, part))
                refuse(checking, &at, NULL, "%s/%u is not inside %s/%u; expected a smaller network inside it", except, part.prefix, cidr,
                       whole.prefix);
        }
    }
}

/* ---- identities ---- */

static bool is_label(struct slice label)
{
    for (size_t i = 0; i < label.len; i++) {
        char c = label.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && i && i + 1 < label.len)))
            return false;
    }
    return label.len > 0;
}

/* A star may be the first label. */
static bool is_dns_identity(struct slice text)
{
    struct slice rest = text, label;
    bool first = true;

    if (!text.len || text.ptr[text.len - 1] == '.')
        return false;
    for (; slice_split(&rest, '.', &label); first = false)
        if (!is_label(label) && !(first && slice_eq(label, SLICE_LIT("*"))))
            return false;
    return true;
}

static bool has_only(struct slice text, bool upper)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (upper && c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_'))
            return false;
    }
    return true;
}

/* Behind "spiffe://"; the SPIFFE ID standard, section 2. */
static const char *check_spiffe(struct slice rest)
{
    struct slice domain = slice_take(rest, slice_find(rest, '/')), path = slice_skip(rest, domain.len), segment;
    bool first = true;

    if (!domain.len)
        return "a trust domain behind spiffe://";
    if (!has_only(domain, false))
        return "a trust domain of lower-case letters, digits, dots, dashes and underscores";
    if (path.len && path.ptr[path.len - 1] == '/')
        return "no slash at its end";
    for (; path.len && slice_split(&path, '/', &segment); first = false) {
        if (first) /* before the first slash */
            continue;
        if (!segment.len || slice_eq(segment, SLICE_LIT(".")) || slice_eq(segment, SLICE_LIT("..")))
            return "no empty parts and no dots alone in its path";
        if (!has_only(segment, true))
            return "letters, digits, dots, dashes and underscores in its path";
    }
    return NULL;
}

const char *check_identity(struct slice identity)
{
    struct slice scheme = SLICE_LIT("spiffe://");

    if (slice_starts(identity, scheme))
        return check_spiffe(slice_skip(identity, scheme.len));
    if (is_dns_identity(identity))
        return NULL;
    return "\"*\", \"*.suffix\", a name like web.default.serviceaccount.identity.linkerd.cluster.local or a SPIFFE id";
}
