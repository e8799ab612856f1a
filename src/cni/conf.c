#include "cni/conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"

enum { PROBLEMS_MAX = 64 * 1024 };

static const char *const versions[] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0", NULL};

const char *const *conf_versions(void)
{
    return versions;
}

int conf_version_find(const char *version, int *ret_place)
{
    for (int i = 0; versions[i]; i++)
        if (strcmp(version, versions[i]) == 0) {
            *ret_place = i;
            return 0;
        }
    return -EINVAL;
}

/* --- values: an absent one, or null, keeps what is there --- */

static const json_t *member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

static void read_bool(const json_t *object, const char *key, struct buffer *problems, bool *value)
{
    const json_t *found = member(object, key);

    if (json_is_boolean(found))
        *value = json_is_true(found);
    else if (found)
        buffer_printf(problems, "%s: expected true or false\n", key);
}

static void read_text(const json_t *object, const char *key, struct buffer *problems, const char **value)
{
    const json_t *found = member(object, key);

    if (json_is_string(found))
        *value = json_string_value(found);
    else if (found)
        buffer_printf(problems, "%s: expected a text\n", key);
}

static void read_number(const json_t *object, const char *key, int64_t min, int64_t max, struct buffer *problems,
                        int64_t *value)
{
    const json_t *found = member(object, key);

    if (json_is_integer(found) && json_integer_value(found) >= min && json_integer_value(found) <= max)
        *value = json_integer_value(found);
    else if (found)
        buffer_printf(problems, "%s: expected a number, %lld to %lld\n", key, (long long)min, (long long)max);
}

static const json_t *read_object(const json_t *object, const char *key, struct buffer *problems)
{
    const json_t *found = member(object, key);

    if (found && !json_is_object(found))
        buffer_printf(problems, "%s: expected an object\n", key);
    return json_is_object(found) ? found : NULL;
}

/* --- lists --- */

static void add_item(struct list_reading *reading, const json_t *item)
{
    char number[24];

    if (json_is_integer(item)) {
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(item));
        lists_add(reading, slice_str(number));
    } else if (json_is_string(item)) {
        lists_add(reading, slice_of(json_string_value(item), json_string_length(item)));
    } else {
        buffer_printf(reading->problems, "%s: expected numbers and texts in the list\n", reading->name);
    }
}

static void read_list(const json_t *object, struct list_reading *reading)
{
    const json_t *found = member(object, reading->name);
    size_t count = json_array_size(found);

    if (json_is_string(found))
        add_item(reading, found);
    else if (found && !json_is_array(found))
        buffer_printf(reading->problems, "%s: expected a list\n", reading->name);
    for (size_t i = 0; i < count && buffer_error(reading->problems) == 0; i++)
        add_item(reading, json_array_get(found, i));
}

static void read_lists(const json_t *object, struct buffer *problems, struct redirect *redirect)
{
    struct list_reading only = {"ports-to-redirect", LIST_PORTS, problems, NULL, 0};
    struct list_reading in = {"inbound-ports-to-ignore", LIST_RANGES, problems, NULL, 0};
    struct list_reading out = {"outbound-ports-to-ignore", LIST_RANGES, problems, NULL, 0};
    struct list_reading nets = {"subnets-to-ignore", LIST_NETWORKS, problems, NULL, 0};

    read_list(object, &only);
    read_list(object, &in);
    read_list(object, &out);
    read_list(object, &nets);
    redirect_take_lists(redirect, &only, &in, &out, &nets);
}

/* --- the parts --- */

static void read_linkerd(const json_t *linkerd, struct buffer *problems, struct conf *conf)
{
    int64_t inbound = 4143, outbound = 4140, uid = 2102, gid = -1;
    const char *mode = "legacy"; /* what configurations without the key meant */
    bool no_ipv6 = true;

    read_number(linkerd, "incoming-proxy-port", 1, UINT16_MAX, problems, &inbound);
    read_number(linkerd, "outgoing-proxy-port", 1, UINT16_MAX, problems, &outbound);
    read_number(linkerd, "proxy-uid", -1, UINT32_MAX - 1, problems, &uid);
    read_number(linkerd, "proxy-gid", -1, UINT32_MAX - 1, problems, &gid);
    conf->redirect.inbound_port = (uint16_t)inbound;
    conf->redirect.outbound_port = (uint16_t)outbound;
    conf->redirect.proxy_uid = uid > 0 ? (uint32_t)uid : 0;
    conf->redirect.proxy_gid = gid > 0 ? (uint32_t)gid : 0;
    read_lists(linkerd, problems, &conf->redirect);
    read_bool(linkerd, "simulate", problems, &conf->simulate);
    read_bool(linkerd, "use-wait-flag", problems, &conf->wait);
    read_bool(linkerd, "disable-ipv6", problems, &no_ipv6);
    conf->ipv6 = !no_ipv6;
    read_bool(linkerd, "ipv6", problems, &conf->ipv6);
    read_text(linkerd, "iptables-mode", problems, &mode);
    if (firewall_mode_parse(mode[0] ? mode : "legacy", &conf->mode) < 0)
        buffer_printf(problems, "iptables-mode: \"%s\" is not valid; expected legacy, nft or plain\n", mode);
}

static void read_log_level(const json_t *root, struct buffer *problems, enum journal_level *ret_level)
{
    const char *name = "info";

    read_text(root, "log-level", problems, &name);
    read_text(root, "log_level", problems, &name);
    if (journal_level_parse(name[0] ? name : "info", ret_level) < 0)
        buffer_printf(problems, "log_level: \"%s\" is not valid; expected error, warn, info or debug\n", name);
}

static void read_all(struct buffer *problems, struct conf *conf)
{
    read_log_level(conf->root, problems, &conf->log_level);
    read_text(read_object(conf->root, "kubernetes", problems), "kubeconfig", problems, &conf->kubeconfig);
    if (conf->kubeconfig && !conf->kubeconfig[0])
        conf->kubeconfig = NULL;
    read_linkerd(read_object(conf->root, "linkerd", problems), problems, conf);
    conf->prev_result = read_object(conf->root, "prevResult", problems);
}

static int read_version(struct conf *conf, struct failure *failure)
{
    const json_t *version = json_object_get(conf->root, "cniVersion");
    int place;

    if (!json_is_string(version) || conf_version_find(json_string_value(version), &place) < 0)
        return failure_set(failure, CNI_VERSION, "this plugin speaks CNI 0.3.0, 0.3.1, 0.4.0, 1.0.0 and 1.1.0; set cniVersion in the "
                           "network configuration to one of them", "the cniVersion \"%.64s\" is not supported",
                           json_is_string(version) ? json_string_value(version) : "");
    conf->version = versions[place];
    return 0;
}

static int complain(const struct buffer *problems, struct failure *failure)
{
    struct slice all = buffer_slice(problems), first = slice_take(all, slice_find(all, '\n'));
    char details[sizeof(failure->details.text)];

    snprintf(details, sizeof(details), "all mistakes: %.*s", SLICE_ARGS(all));
    for (char *at = details; *at; at++)
        if (*at == '\n')
            *at = ';';
    return failure_set(failure, CNI_CONFIG, details, "the configuration of linkerd-cni is not valid: %.*s",
                       SLICE_ARGS(slice_take(first, 400)));
}

int conf_read(struct slice text, struct conf *ret_conf, struct failure *failure)
{
    struct buffer problems;
    json_error_t error;
    int r;

    *ret_conf = (struct conf){.log_level = JOURNAL_INFO, .mode = FIREWALL_LEGACY};
    if (text.len > LIMIT_CNI_CONFIG)
        return failure_set(failure, CNI_DECODE, "look for what has grown in the network configuration",
                           "the network configuration is larger than %d bytes", LIMIT_CNI_CONFIG);
    ret_conf->root = json_loadb(text.ptr ? text.ptr : "", text.len, 0, &error);
    if (!json_is_object(ret_conf->root))
        return failure_set(failure, CNI_DECODE, "a CNI runtime gives the network configuration on standard input; this is no program to "
                           "be called by hand", "the network configuration is not a JSON object%s%.200s",
                           ret_conf->root ? "" : ": ", ret_conf->root ? "" : error.text);
    if (read_version(ret_conf, failure) < 0)
        return -1;
    buffer_init(&problems, PROBLEMS_MAX);
    read_all(&problems, ret_conf);
    r = problems.len || buffer_error(&problems) ? complain(&problems, failure) : 0;
    buffer_release(&problems);
    return r;
}

void conf_release(struct conf *conf)
{
    redirect_release(&conf->redirect);
    json_decref(conf->root);
    *conf = (struct conf){0};
}
