#include "control/dns/zone.h"

#include <errno.h>
#include <stdio.h>

#include "codec/dns.h"

enum { TTL_S = 5, LABELS_MAX = 16, ENDPOINTS_MAX = 4096, SRV_WEIGHT = 100 };

/* One question being answered. */
struct lookup {
    const struct controller *controller;
    struct dns_answer *answer;
    struct rng *rng;
    uint16_t type;
    struct slice domain;
    struct slice labels[LABELS_MAX]; /* in front of the domain, the last one first: "svc", NAMESPACE, SERVICE, ... */
    size_t label_count;
    bool exists; /* the name is there, with or without such records */
};

/* --- names --- */

/* The labels in front of the domain; false when the name is of another domain. */
static bool split(struct lookup *lookup, struct slice name)
{
    struct slice front;

    if (slice_eq(name, lookup->domain))
        return true;
    if (name.len <= lookup->domain.len || !slice_ends(name, lookup->domain) ||
        name.ptr[name.len - lookup->domain.len - 1] != '.')
        return false;
    front = slice_take(name, name.len - lookup->domain.len - 1);
    while (front.len && lookup->label_count < LABELS_MAX) {
        size_t dot = front.len;

        while (dot > 0 && front.ptr[dot - 1] != '.')
            dot--;
        lookup->labels[lookup->label_count++] = slice_skip(front, dot);
        front = slice_take(front, dot ? dot - 1 : 0);
    }
    return true;
}

static bool wants(const struct lookup *lookup, uint16_t type)
{
    return lookup->type == type || lookup->type == DNS_ANY;
}

static bool wants_ip(const struct lookup *lookup, struct ip ip)
{
    return ip.version && wants(lookup, ip.version == 4 ? DNS_A : DNS_AAAA);
}

/* --- endpoints --- */

struct found {
    const struct kube_endpoint *endpoint;
    const struct kube_endpoint_slice *slice;
};

/* "10-1-0-1", "2001-db8--1". */
static struct slice dashed(struct ip ip, char text[IP_TEXT_MAX])
{
    ip_format(ip, text);
    for (char *at = text; *at; at++)
        if (*at == '.' || *at == ':')
            *at = '-';
    return slice_str(text);
}

static struct slice instance_name(const struct kube_endpoint *endpoint, char text[IP_TEXT_MAX])
{
    return endpoint->hostname.len ? endpoint->hostname : dashed(endpoint->ip, text);
}

static bool is_instance(const struct kube_endpoint *endpoint, struct slice name)
{
    char text[IP_TEXT_MAX];

    return !name.ptr || slice_eq_nocase(instance_name(endpoint, text), name);
}

/* Those of a headless Service that are ready, all or one instance, in an order by chance. */
static size_t collect(const struct lookup *lookup, const struct kube_service *service, struct slice instance, struct found *ret, size_t room)
{
    struct kube_set slices = store_by_name(lookup->controller->store, STORE_SLICES_OF_SERVICE, service->meta.namespace_, service->meta.name);
    size_t count = 0;

    for (size_t i = 0; i < slices.count; i++) {
        const struct kube_endpoint_slice *slice = kube_endpoint_slice(slices.items[i]);

        for (size_t j = 0; j < slice->endpoint_count && count < room; j++) {
            const struct kube_endpoint *endpoint = &slice->endpoints[j];

            if (endpoint->ip.version && (kube_endpoint_ready(endpoint) || service->publish_not_ready) && is_instance(endpoint, instance))
                ret[count++] = (struct found){endpoint, slice};
        }
    }
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)rng_below(lookup->rng, i);
        struct found swap = ret[i - 1];

        ret[i - 1] = ret[other];
        ret[other] = swap;
    }
    return count;
}

/* --- records --- */

static void answer_endpoints(struct lookup *lookup, const struct kube_service *service, struct slice instance)
{
    struct found found[ENDPOINTS_MAX];
    size_t count = collect(lookup, service, instance, found, ENDPOINTS_MAX);

    lookup->exists = !instance.ptr || count;
    for (size_t i = 0; i < count; i++)
        if (wants_ip(lookup, found[i].endpoint->ip))
            dns_answer_address(lookup->answer, DNS_ANSWER, SLICE_NULL, TTL_S, found[i].endpoint->ip);
}

static void answer_service(struct lookup *lookup, const struct kube_service *service)
{
    lookup->exists = true;
    if (service->type == KUBE_EXTERNAL_NAME) {
        struct slice target = service->external_name;

        if (slice_ends(target, SLICE_LIT(".")))
            target = slice_take(target, target.len - 1);
        dns_answer_cname(lookup->answer, TTL_S, target);
        return;
    }
    if (service->headless) {
        answer_endpoints(lookup, service, SLICE_NULL);
        return;
    }
    for (size_t i = 0; i < service->cluster_ip_count; i++)
        if (wants_ip(lookup, service->cluster_ips[i]))
            dns_answer_address(lookup->answer, DNS_ANSWER, SLICE_NULL, TTL_S, service->cluster_ips[i]);
}

static bool protocol_is(int protocol, struct slice label)
{
    static const char *const names[] = {[KUBE_TCP] = "_tcp", [KUBE_UDP] = "_udp", [KUBE_SCTP] = "_sctp"};

    return slice_eq(label, slice_str(names[protocol]));
}

/* One record for each endpoint, its address along with it. */
static void srv_of_endpoints(struct lookup *lookup, const struct kube_service *service, const struct kube_service_port *port)
{
    struct found found[ENDPOINTS_MAX];
    size_t count = collect(lookup, service, SLICE_NULL, found, ENDPOINTS_MAX);
    char ip[IP_TEXT_MAX], target[DNS_TEXT_MAX];

    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count; i++) {
            struct slice name = instance_name(found[i].endpoint, ip);
            int len = snprintf(target, sizeof(target), "%.*s.%.*s.%.*s.svc.%.*s", SLICE_ARGS(name), SLICE_ARGS(service->meta.name),
                               SLICE_ARGS(service->meta.namespace_), SLICE_ARGS(lookup->domain));

            if (len < 0 || (size_t)len >= sizeof(target))
                continue;
            for (size_t p = 0; p < found[i].slice->port_count; p++) {
                const struct kube_endpoint_port *each = &found[i].slice->ports[p];

                if (!slice_eq(each->name, port->name) || each->protocol != port->protocol)
                    continue;
                if (pass == 0)
                    dns_answer_srv(lookup->answer, TTL_S, SRV_WEIGHT, each->port ? each->port : port->port, slice_of(target, (size_t)len));
                else
                    dns_answer_address(lookup->answer, DNS_ADDITIONAL, slice_of(target, (size_t)len), TTL_S, found[i].endpoint->ip);
            }
        }
}

static void srv_of_service(struct lookup *lookup, const struct kube_service *service, const struct kube_service_port *port)
{
    char target[DNS_TEXT_MAX];
    int len = snprintf(target, sizeof(target), "%.*s.%.*s.svc.%.*s", SLICE_ARGS(service->meta.name),
                       SLICE_ARGS(service->meta.namespace_), SLICE_ARGS(lookup->domain));

    if (len < 0 || (size_t)len >= sizeof(target))
        return;
    dns_answer_srv(lookup->answer, TTL_S, SRV_WEIGHT, port->port, slice_of(target, (size_t)len));
    for (size_t i = 0; i < service->cluster_ip_count; i++)
        dns_answer_address(lookup->answer, DNS_ADDITIONAL, slice_of(target, (size_t)len), TTL_S, service->cluster_ips[i]);
}

/* "_http._tcp" in front of the Service, or "_tcp" alone, which has something below it. */
static void answer_ports(struct lookup *lookup, const struct kube_service *service, struct slice protocol, struct slice name)
{
    for (size_t i = 0; service->type != KUBE_EXTERNAL_NAME && i < service->port_count; i++) {
        const struct kube_service_port *port = &service->ports[i];

        if (!port->name.len || !protocol_is(port->protocol, protocol) ||
            (name.ptr && !slice_eq_nocase(slice_skip(name, 1), port->name)))
            continue;
        lookup->exists = true;
        if (!name.ptr || !wants(lookup, DNS_SRV))
            continue;
        if (service->headless)
            srv_of_endpoints(lookup, service, port);
        else
            srv_of_service(lookup, service, port);
    }
}

/* --- the tree of names --- */

static bool begins(struct slice label, char byte)
{
    return label.len > 1 && label.ptr[0] == byte;
}

static void find_service(struct lookup *lookup)
{
    const struct kube_object *object = store_get(lookup->controller->store, KUBE_SERVICE, lookup->labels[1], lookup->labels[2]);
    const struct kube_service *service = object ? kube_service(object) : NULL;

    if (!service)
        return;
    if (lookup->label_count == 3)
        answer_service(lookup, service);
    else if (begins(lookup->labels[3], '_') && lookup->label_count == 4)
        answer_ports(lookup, service, lookup->labels[3], SLICE_NULL);
    else if (begins(lookup->labels[3], '_') && lookup->label_count == 5 && begins(lookup->labels[4], '_'))
        answer_ports(lookup, service, lookup->labels[3], lookup->labels[4]);
    else if (lookup->label_count == 4 && service->headless)
        answer_endpoints(lookup, service, lookup->labels[3]);
}

static void find(struct lookup *lookup)
{
    switch (lookup->label_count) {
    case 0:
        lookup->exists = true;
        if (wants(lookup, DNS_SOA))
            dns_answer_soa(lookup->answer, DNS_ANSWER, lookup->domain, 1, TTL_S);
        break;
    case 1:
        lookup->exists = slice_eq(lookup->labels[0], SLICE_LIT("svc"));
        break;
    case 2:
        lookup->exists = slice_eq(lookup->labels[0], SLICE_LIT("svc")) &&
                         store_get(lookup->controller->store, KUBE_NAMESPACE, SLICE_LIT(""), lookup->labels[1]);
        break;
    default:
        if (slice_eq(lookup->labels[0], SLICE_LIT("svc")))
            find_service(lookup);
        break;
    }
}

/* What every message is looked at for first; NOERROR: it is a question for us. */
static enum dns_code check(const struct dns_query *query, int read, char text[DNS_TEXT_MAX])
{
    if (query->opcode != 0)
        return DNS_NOTIMP;
    if (read < 0)
        return DNS_FORMERR;
    if (query->edns_version != 0)
        return DNS_BADVERS;
    if (query->class != DNS_CLASS_IN || query->type == DNS_AXFR || query->type == DNS_IXFR)
        return DNS_REFUSED;
    return dns_query_text(query, text) < 0 ? DNS_REFUSED : DNS_NOERROR;
}

size_t zone_answer(const struct controller *controller, struct slice message, bool udp, struct rng *rng, uint8_t *room, size_t size)
{
    struct dns_query query;
    struct dns_answer answer;
    char text[DNS_TEXT_MAX];
    struct lookup lookup = {.controller = controller, .answer = &answer, .rng = rng, .domain = controller->options.cluster_domain};
    int r = dns_query_read(message, &query);
    enum dns_code code;

    if (r == -EBADMSG)
        return 0;
    code = check(&query, r, text);
    if (udp && size > query.udp_size)
        size = query.udp_size;
    dns_answer_init(&answer, &query, room, size);
    lookup.type = query.type;
    if (code != DNS_NOERROR)
        return dns_answer_end(&answer, code, false);
    if (!split(&lookup, slice_str(text)))
        return dns_answer_end(&answer, DNS_REFUSED, false);
    find(&lookup);
    if (!answer.counts[DNS_ANSWER] && !answer.truncated)
        dns_answer_soa(&answer, DNS_AUTHORITY, lookup.domain, 1, TTL_S);
    return dns_answer_end(&answer, lookup.exists ? DNS_NOERROR : DNS_NXDOMAIN, true);
}
