#include "inject/override_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/ip.h"
#include "base/limits.h"
#include "inject/port_list.h"
#include "inject/quantity.h"
#include "inject/workload.h"
#include "template/copy.h"

enum { ID_MAX = INT32_MAX, PORT_MAX = 65535, NAME_MAX_LENGTH = 255, TAG_MAX = 160 };

static int give(json_t *value, json_t **ret_value)
{
    if (!value)
        return -ENOMEM;
    *ret_value = value;
    return 0;
}

static int give_text(struct slice text, json_t **ret_value)
{
    return give(json_stringn_nocheck(text.len ? text.ptr : "", text.len), ret_value);
}

/* No control characters: it becomes an argument, or a line of an environment. */
static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return false;
    return text.len <= LIMIT_INJECT_TEXT;
}

int form_text(const struct override_text *in, json_t **ret_value)
{
    return is_plain(in->text) ? give_text(in->text, ret_value) : -EINVAL;
}

static bool is_word(struct slice text, const char *also)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr(also, c))))
            return false;
    }
    return text.len > 0;
}

/* Without version: a colon may only stand before a port of the registry. */
int form_image(const struct override_text *in, json_t **ret_value)
{
    struct slice last = in->text;

    if (in->text.len > NAME_MAX_LENGTH || !is_word(in->text, "./_-:[]"))
        return -EINVAL;
    for (size_t slash; (slash = slice_find(last, '/')) < last.len;)
        last = slice_skip(last, slash + 1);
    return is_word(last, "._-") ? give_text(in->text, ret_value) : -EINVAL;
}

int form_version(const struct override_text *in, json_t **ret_value)
{
    bool digest = slice_starts(in->text, SLICE_LIT("sha256:"));

    if (in->text.len > TAG_MAX || !is_word(digest ? slice_skip(in->text, 7) : in->text, "._-"))
        return -EINVAL;
    return give_text(in->text, ret_value);
}

/* --- numbers --- */

static int number(struct slice text, uint64_t least, uint64_t most, json_t **ret_value)
{
    uint64_t value;

    if (slice_u64(text, most, &value) < 0 || value < least)
        return -EINVAL;
    return give(json_integer((json_int_t)value), ret_value);
}

int form_port(const struct override_text *in, json_t **ret_value)
{
    return number(in->text, 1, PORT_MAX, ret_value);
}

/* The proxy's container must not run as root. */
int form_uid(const struct override_text *in, json_t **ret_value)
{
    return number(in->text, 1, ID_MAX, ret_value);
}

int form_gid(const struct override_text *in, json_t **ret_value)
{
    return number(in->text, 0, ID_MAX, ret_value);
}

int form_seconds(const struct override_text *in, json_t **ret_value)
{
    return number(in->text, 0, ID_MAX, ret_value);
}

int form_quantity(const struct override_text *in, json_t **ret_value)
{
    double value;

    if (quantity_read(in->text, &value) < 0)
        return -EINVAL;
    return give_text(value > 0 ? in->text : SLICE_NULL, ret_value);
}

/* Digits with one point: 0.25 */
int form_ratio(const struct override_text *in, json_t **ret_value)
{
    double value;

    for (size_t i = 0; i < in->text.len; i++)
        if (!strchr("0123456789.", in->text.ptr[i]))
            return -EINVAL;
    if (quantity_read(in->text, &value) < 0 || value <= 0 || value >= 1)
        return -EINVAL;
    return give(json_real(value), ret_value);
}

/* --- choices --- */

/* As Go's strconv.ParseBool. */
int form_boolean(const struct override_text *in, json_t **ret_value)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"}, *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (slice_eq(in->text, slice_str(yes[i])))
            return give(json_true(), ret_value);
        if (slice_eq(in->text, slice_str(no[i])))
            return give(json_false(), ret_value);
    }
    return -EINVAL;
}

int form_choice(const struct override_text *in, json_t **ret_value)
{
    for (const char *const *choice = in->row->choices; *choice; choice++)
        if (slice_eq(in->text, slice_str(*choice)))
            return give_text(in->text, ret_value);
    return -EINVAL;
}

int form_switch(const struct override_text *in, json_t **ret_value)
{
    if (slice_eq(in->text, SLICE_LIT("enabled")))
        return give(json_true(), ret_value);
    return slice_eq(in->text, SLICE_LIT("disabled")) ? give(json_false(), ret_value) : -EINVAL;
}

/* --- spans of time --- */

static int span(struct slice text, int64_t unit_ns, int64_t *ret_count)
{
    int64_t ns;

    if (duration_parse_go(text, &ns) < 0 || ns < 0 || (ns > 0 && ns < unit_ns))
        return -EINVAL;
    *ret_count = ns / unit_ns;
    return 0;
}

static int give_span(struct slice text, int64_t unit_ns, const char *unit, json_t **ret_value)
{
    char out[DURATION_TEXT_MAX];
    int64_t count;

    if (span(text, unit_ns, &count) < 0)
        return -EINVAL;
    snprintf(out, sizeof(out), "%lld%s", (long long)count, unit);
    return give_text(slice_str(out), ret_value);
}

int form_milliseconds(const struct override_text *in, json_t **ret_value)
{
    return give_span(in->text, NS_PER_MS, "ms", ret_value);
}

int form_whole_seconds(const struct override_text *in, json_t **ret_value)
{
    return give_span(in->text, NS_PER_S, "s", ret_value);
}

int form_timeout_seconds(const struct override_text *in, json_t **ret_value)
{
    int64_t count;

    if (span(in->text, NS_PER_S, &count) < 0 || count > ID_MAX)
        return -EINVAL;
    return give(json_integer(count), ret_value);
}

/* --- lists --- */

static int give_buffer(int r, struct buffer *list, json_t **ret_value)
{
    if (r == 0)
        r = give_text(buffer_slice(list), ret_value);
    buffer_release(list);
    return r == -ENOMEM ? r : r < 0 ? -EINVAL : 0;
}

int form_ports(const struct override_text *in, json_t **ret_value)
{
    struct buffer list;

    buffer_init(&list, LIMIT_INJECT_TEXT);
    return give_buffer(port_list_check(in->text, &list), &list, ret_value);
}

/* A name that the namespace lists may be that of a port of other pods. */
int form_opaque_ports(const struct override_text *in, json_t **ret_value)
{
    struct buffer list;

    buffer_init(&list, LIMIT_INJECT_TEXT);
    return give_buffer(port_list_resolve(in->text, in->spec, in->own ? in->row->name : NULL, in->notes, &list), &list, ret_value);
}

int form_networks(const struct override_text *in, json_t **ret_value)
{
    struct slice rest = in->text, part;
    struct cidr network;

    if (rest.len > LIMIT_INJECT_TEXT)
        return -EINVAL;
    while (slice_split(&rest, ',', &part))
        if (cidr_parse(slice_trim(part), &network) < 0)
            return -EINVAL;
    return give_text(in->text, ret_value);
}

/* --- variables --- */

static bool is_variable(const json_t *variable)
{
    json_t *value = json_object_get(variable, "value"), *from = json_object_get(variable, "valueFrom");

    return is_word(slice_str(member_text(variable, "name")), "_-.") && (!value || json_is_string(value)) && (!from || json_is_object(from)) &&
           !(value && from);
}

/* Takes the place of one of the same name, or comes last. */
static int put_variable(json_t *list, json_t *variable)
{
    const char *name = member_text(variable, "name");
    json_t *item;
    size_t i;

    json_array_foreach (list, i, item)
        if (strcmp(member_text(item, "name"), name) == 0)
            return json_array_set(list, i, variable) < 0 ? -ENOMEM : 0;
    if (i == LIMIT_INJECT_ENV)
        return -EINVAL;
    return json_array_append(list, variable) < 0 ? -ENOMEM : 0;
}

static int merge_variables(json_t *list, const json_t *more)
{
    json_t *variable;
    size_t i;
    int r;

    json_array_foreach (more, i, variable) {
        if (!is_variable(variable))
            return -EINVAL;
        r = put_variable(list, variable);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Added to those of the values by name. */
int form_environment(const struct override_text *in, json_t **ret_value)
{
    json_error_t error;
    json_t *more = json_loadb(in->text.ptr, in->text.len, JSON_REJECT_DUPLICATES, &error);
    json_t *list = json_is_array(in->before) ? copy_shallow(in->before) : json_array();
    bool no_memory = !list || (!more && json_error_code(&error) == json_error_out_of_memory);
    int r = no_memory ? -ENOMEM : !json_is_array(more) ? -EINVAL : merge_variables(list, more);

    json_decref(more);
    if (r < 0)
        json_decref(list);
    else
        *ret_value = list;
    return r;
}
