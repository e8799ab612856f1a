#include "mesh/identity_name.h"

#include <errno.h>

#include "base/ip.h"
#include "base/limits.h"

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_label(struct slice label)
{
    if (!label.len || label.len > 63 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_alnum(label.ptr[i]) && label.ptr[i] != '-' && label.ptr[i] != '_')
            return false;
    return true;
}

static bool are_labels(struct slice name)
{
    struct slice rest = name, label;

    if (!name.len || name.len > 253 || name.ptr[name.len - 1] == '.')
        return false;
    while (slice_split(&rest, '.', &label))
        if (!is_label(label))
            return false;
    return true;
}

bool identity_is_dns(struct slice name)
{
    struct ip ip;

    return are_labels(name) && ip_parse(name, &ip) < 0;
}

bool identity_is_uri(struct slice name)
{
    size_t colon = slice_find(name, ':');

    if (!colon || colon + 1 >= name.len || name.len > LIMIT_IDENTITY || !is_alnum(name.ptr[0]) ||
        (name.ptr[0] >= '0' && name.ptr[0] <= '9'))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if ((unsigned char)c <= 0x20 || (unsigned char)c >= 0x7f || strchr("\"<>\\^`{|}", c))
            return false;
        if (i < colon && !is_alnum(c) && c != '+' && c != '-' && c != '.')
            return false;
    }
    return true;
}

struct identity identity_parse(struct slice name)
{
    if (identity_is_dns(name))
        return (struct identity){IDENTITY_DNS, name};
    if (identity_is_uri(name))
        return (struct identity){IDENTITY_URI, name};
    return (struct identity){IDENTITY_NONE, SLICE_NULL};
}

bool identity_eq(struct identity a, struct identity b)
{
    return a.kind != IDENTITY_NONE && a.kind == b.kind && slice_eq(a.name, b.name);
}

static const struct slice MIDDLE = {".serviceaccount.identity.", 25};

int workload_identity(const struct workload_name *workload, struct arena *arena, struct slice *ret_name)
{
    struct slice name;

    if (!are_labels(workload->service_account) || !is_label(workload->namespace) || /* an account may be called 10.0.0.1 */
        !is_label(workload->control_namespace) || !are_labels(workload->trust_domain))
        return -EINVAL;
    name = arena_printf(arena, "%.*s.%.*s%.*s%.*s.%.*s", SLICE_ARGS(workload->service_account),
                        SLICE_ARGS(workload->namespace), SLICE_ARGS(MIDDLE), SLICE_ARGS(workload->control_namespace),
                        SLICE_ARGS(workload->trust_domain));
    if (!name.ptr)
        return -ENOMEM;
    if (!identity_is_dns(name))
        return -EINVAL; /* too long together */
    *ret_name = name;
    return 0;
}

/* Where the last occurrence of the fixed part is: a service account could be called like it. */
static size_t last_middle(struct slice name)
{
    size_t last = name.len;

    for (size_t at = 0; at + MIDDLE.len <= name.len; at++)
        if (slice_starts(slice_skip(name, at), MIDDLE))
            last = at;
    return last;
}

int workload_identity_parse(struct slice name, struct workload_name *ret_workload)
{
    size_t middle = last_middle(name), dot;
    struct slice front = slice_take(name, middle), back;
    struct workload_name workload;

    if (middle == name.len || !identity_is_dns(name))
        return -EINVAL;
    back = slice_skip(name, middle + MIDDLE.len);
    for (dot = front.len; dot > 0 && front.ptr[dot - 1] != '.'; dot--)
        ;
    if (!dot)
        return -EINVAL;
    workload.service_account = slice_take(front, dot - 1);
    workload.namespace = slice_skip(front, dot);
    dot = slice_find(back, '.');
    workload.control_namespace = slice_take(back, dot);
    workload.trust_domain = slice_skip(back, dot + 1);
    if (!workload.service_account.len || !workload.trust_domain.len)
        return -EINVAL;
    *ret_workload = workload;
    return 0;
}
