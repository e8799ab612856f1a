#include "kube/workload_slices.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "kube/workload_slices_internal.h"

/* The plan of one Service being made. Everything lives in the arena. */
struct planner {
    const struct store *store;
    struct arena *arena;
    struct slice namespace_, name;
    const struct kube_service *service; /* NULL: has no endpoints, or is gone */
    struct draft *drafts;
    size_t draft_count, draft_room;
    unsigned numbers[2]; /* of the next name to try, IPv4 and IPv6 */
};

/* The endpoints of one family, grouped. */
struct family {
    int version;
    struct map members; /* by the workload's name; entries and keys are in the arena */
    struct map groups;  /* by their ports, as bytes */
};

/* --- which endpoints there should be --- */

static bool is_refused(struct ip ip)
{
    return ip_is_unspecified(ip) || ip_is_loopback(ip) || (ip.version == 4 && ip.bytes[0] == 169 && ip.bytes[1] == 254) ||
           (ip.version == 4 && ip.bytes[0] == 224 && !ip.bytes[1] && !ip.bytes[2]) ||
           (ip.version == 6 && ip.bytes[0] == 0xfe && (ip.bytes[1] & 0xc0) == 0x80) ||
           (ip.version == 6 && ip.bytes[0] == 0xff && (ip.bytes[1] & 0x0f) == 2);
}

static int add_addresses(struct planner *p, struct member *member, int version)
{
    const struct kube_external_workload *workload = member->workload;

    for (size_t i = 0; i < workload->spec.ip_count && member->address_count < SLICE_ENDPOINTS; i++) {
        struct ip ip = workload->spec.ips[i].ip;
        char text[IP_TEXT_MAX];

        if (ip.version != version || is_refused(ip))
            continue;
        if (!member->addresses)
            member->addresses = ARENA_ARRAY(p->arena, struct slice, workload->spec.ip_count);
        if (!member->addresses)
            return -ENOMEM;
        member->addresses[member->address_count] = arena_dup(p->arena, slice_str(ip_format(ip, text)));
        if (!member->addresses[member->address_count++].ptr)
            return -ENOMEM;
    }
    return 0;
}

/* The group of the workloads with these ports: found, or made and then kept. NULL without memory. */
static struct group *find_group(struct planner *p, struct family *family, const struct group *like)
{
    size_t size = like->port_count * sizeof(like->ports[0]);
    uint16_t *numbers = ARENA_ARRAY(p->arena, uint16_t, 2 * p->service->port_count + 1);
    struct map_entry *found;
    struct group *group;
    struct slice key;

    if (!numbers)
        return NULL;
    for (size_t i = 0; i < like->port_count; i++) {
        numbers[2 * i] = like->places[i];
        numbers[2 * i + 1] = like->ports[i].port;
    }
    key = slice_of(numbers, 2 * like->port_count * sizeof(numbers[0]));
    found = map_find(&family->groups, key);
    if (found)
        return CONTAINER_OF(found, struct group, entry);
    group = ARENA_NEW(p->arena, struct group);
    if (!group)
        return NULL;
    group->ports = arena_alloc(p->arena, size);
    if (!group->ports || map_add(&family->groups, &group->entry, key) < 0)
        return NULL;
    if (size)
        memcpy(group->ports, like->ports, size);
    group->port_count = like->port_count;
    list_init(&group->waiting);
    return group;
}

static int add_member(struct planner *p, struct family *family, const struct kube_external_workload *workload, struct group *room)
{
    struct member *member = ARENA_NEW(p->arena, struct member);
    const struct kube_service *service = p->service;
    int r = member ? 0 : -ENOMEM;

    if (r == 0) {
        member->workload = workload;
        r = add_addresses(p, member, family->version);
    }
    if (r < 0 || !member->address_count)
        return r;
    room->port_count = 0;
    for (size_t i = 0; i < service->port_count; i++) {
        const struct kube_service_port *port = &service->ports[i];
        uint16_t number = kube_external_workload_port(workload, port);

        if (number) {
            room->places[room->port_count] = (uint16_t)i;
            room->ports[room->port_count++] = (struct kube_endpoint_port){port->name, number, port->protocol, port->app_protocol};
        }
    }
    if (service->port_count && !room->port_count)
        return 0;
    member->group = find_group(p, family, room);
    if (!member->group || map_add(&family->members, &member->entry, workload->meta.name) < 0)
        return -ENOMEM;
    list_push(&member->group->waiting, &member->link);
    return 0;
}

static int find_members(struct planner *p, struct family *family)
{
    struct kube_set set = store_in(p->store, KUBE_EXTERNAL_WORKLOAD, p->namespace_);
    struct group room = {.ports = ARENA_ARRAY(p->arena, struct kube_endpoint_port, p->service->port_count),
                         .places = ARENA_ARRAY(p->arena, uint16_t, p->service->port_count)};
    int r = room.ports && room.places ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < set.count; i++)
        if (kube_map_selects(&p->service->selector, &set.items[i]->labels))
            r = add_member(p, family, kube_external_workload(set.items[i]), &room);
    return r;
}

/* --- which slices there are --- */

/* NULL: no memory. */
static struct draft *add_draft(struct planner *p, const struct kube_endpoint_slice *old, int family)
{
    struct draft *draft;

    if (p->draft_count == p->draft_room) {
        size_t room = p->draft_room ? 2 * p->draft_room : 8;
        struct draft *more = ARENA_ARRAY(p->arena, struct draft, room);

        if (!more)
            return NULL;
        if (p->draft_count)
            memcpy(more, p->drafts, p->draft_count * sizeof(*more));
        p->drafts = more;
        p->draft_room = room;
    }
    draft = &p->drafts[p->draft_count++];
    *draft = (struct draft){.old = old, .family = family};
    return draft;
}

/* Whether a Service of another life owns it: it goes with that one. */
static bool is_of_another(const struct kube_endpoint_slice *slice, const struct kube_service *service)
{
    for (size_t i = 0; i < slice->meta.owner_count; i++) {
        const struct kube_owner *owner = &slice->meta.owners[i];

        if (!owner->group.len && slice_eq(owner->kind, SLICE_LIT("Service")) && !slice_eq(owner->uid, service->meta.uid))
            return true;
    }
    return false;
}

static int find_slices(struct planner *p)
{
    struct kube_set set = store_by_name(p->store, STORE_SLICES_OF_WORKLOADS, p->namespace_, p->name);

    for (size_t i = 0; i < set.count; i++) {
        const struct kube_endpoint_slice *slice = kube_endpoint_slice(set.items[i]);
        int family = slice->address_type == KUBE_IPV4 ? 4 : slice->address_type == KUBE_IPV6 ? 6 : 0;

        if (!p->service || !kube_service_has_family(p->service, family) || is_of_another(slice, p->service) || slice->meta.deleted_ns != KUBE_NO_TIME)
            family = 0;
        if (!add_draft(p, slice, family))
            return -ENOMEM;
    }
    return 0;
}

/* --- what is where --- */

static bool put(struct planner *p, struct draft *draft, struct member *member)
{
    if (!draft->members)
        draft->members = ARENA_ARRAY(p->arena, const struct member *, SLICE_ENDPOINTS);
    if (!draft->members)
        return false;
    list_remove(&member->link);
    member->placed = true;
    draft->members[draft->count++] = member;
    return true;
}

static struct member *member_of(const struct family *family, const struct kube_endpoint *endpoint)
{
    struct map_entry *found = slice_eq(endpoint->target.kind, SLICE_LIT("ExternalWorkload")) ? map_find(&family->members, endpoint->target.name) : NULL;

    return found ? CONTAINER_OF(found, struct member, entry) : NULL;
}

/* Endpoints stay where they are. A slice with none left is free. */
static int keep_endpoints(struct planner *p, struct family *family, struct draft *draft)
{
    const struct kube_endpoint_slice *old = draft->old;

    MAP_FOR_EACH (link, &family->groups) {
        struct group *group = CONTAINER_OF(MAP_ENTRY(link), struct group, entry);

        if (ports_equal(group, old))
            draft->group = group;
    }
    for (size_t i = 0; draft->group && i < old->endpoint_count && draft->count < SLICE_ENDPOINTS; i++) {
        struct member *member = member_of(family, &old->endpoints[i]);

        if (member && !member->placed && member->group == draft->group && !put(p, draft, member))
            return -ENOMEM;
    }
    if (!draft->count)
        draft->group = NULL;
    draft->changed = !draft->group || !draft_is_there(draft, p->service);
    return 0;
}

static size_t waiting_count(const struct group *group)
{
    size_t count = 0;

    LIST_FOR_EACH (link, &group->waiting)
        count++;
    return count;
}

/* Where the next endpoints of the group go: a slice that is written anyway, a free one, the fullest that has room for them all, a new one. */
static struct draft *find_room(struct planner *p, int family, struct group *group)
{
    size_t waiting = waiting_count(group);
    struct draft *free = NULL, *fit = NULL;

    for (size_t i = 0; i < p->draft_count; i++) {
        struct draft *draft = &p->drafts[i];

        if (draft->family != family)
            continue;
        if (draft->group == group && draft->changed && draft->count < SLICE_ENDPOINTS)
            return draft;
        if (!draft->group && !free)
            free = draft;
        if (draft->group == group && draft->count + waiting <= SLICE_ENDPOINTS && (!fit || draft->count > fit->count))
            fit = draft;
    }
    return free ? free : fit ? fit : add_draft(p, NULL, family);
}

static int place_rest(struct planner *p, int family, struct group *group)
{
    while (!list_empty(&group->waiting)) {
        struct draft *draft = find_room(p, family, group);

        if (!draft)
            return -ENOMEM;
        draft->group = group;
        draft->changed = true;
        while (!list_empty(&group->waiting) && draft->count < SLICE_ENDPOINTS)
            if (!put(p, draft, CONTAINER_OF(group->waiting.next, struct member, link)))
                return -ENOMEM;
    }
    return 0;
}

static int plan_family(struct planner *p, int version)
{
    struct family family = {.version = version};
    size_t there = p->draft_count;
    int r;

    map_init(&family.members, 0, 0);
    map_init(&family.groups, 0, 0);
    r = find_members(p, &family);
    for (size_t i = 0; r == 0 && i < there; i++)
        if (p->drafts[i].family == version && p->drafts[i].old)
            r = keep_endpoints(p, &family, &p->drafts[i]);
    MAP_FOR_EACH (link, &family.groups)
        if (r == 0)
            r = place_rest(p, version, CONTAINER_OF(MAP_ENTRY(link), struct group, entry));
    map_release(&family.members);
    map_release(&family.groups);
    return r;
}

/* --- what is to be written --- */

/* The first of a sequence that nobody has; of another life of the Service the sequence is another. */
static struct slice make_name(struct planner *p, int family)
{
    struct slice service = slice_take(p->name, SLICE_NAME_MAX - 32), uid = p->service->meta.uid;
    struct slice name;

    do {
        unsigned number = p->numbers[family == 6]++;

        name = arena_printf(p->arena, "linkerd-external-%.*s-%010" PRIx64, SLICE_ARGS(service),
                            siphash13(uid.ptr, uid.len, (uint64_t)family, number) & UINT64_C(0xffffffffff));
    } while (name.ptr && store_get(p->store, KUBE_ENDPOINT_SLICE, p->namespace_, name));
    return name;
}

static int write_draft(struct planner *p, const struct draft *draft, struct slice_plan *plan)
{
    struct slice_write *write = &plan->writes[plan->count];
    struct buffer body;
    int r;

    write->action = !draft->old ? SLICE_CREATE : draft->group ? SLICE_CHANGE : SLICE_DELETE;
    write->name = draft->old ? arena_dup(p->arena, draft->old->meta.name) : make_name(p, draft->family);
    write->uid = draft->old ? arena_dup(p->arena, draft->old->meta.uid) : SLICE_LIT("");
    write->version = draft->old ? arena_dup(p->arena, draft->old->meta.resource_version) : SLICE_LIT("");
    buffer_init(&body, LIMIT_API_ANSWER);
    if (write->action != SLICE_DELETE)
        draft_write(draft, p->service, write->name, &body);
    r = buffer_error(&body);
    if (r == 0)
        write->body = arena_dup(p->arena, buffer_slice(&body));
    buffer_release(&body);
    if (r == 0 && (!write->name.ptr || !write->uid.ptr || !write->version.ptr || !write->body.ptr))
        r = -ENOMEM;
    if (r == 0) {
        plan->digest = siphash13(write->body.ptr, write->body.len, siphash13(write->name.ptr, write->name.len, plan->digest, 1), write->action);
        plan->count++;
    }
    return r;
}

/* A Service that is being deleted gets no new ones: the garbage collector is clearing them away. */
static bool is_due(const struct planner *p, const struct draft *draft, enum slice_action action)
{
    if (action == SLICE_CREATE)
        return !draft->old && p->service->meta.deleted_ns == KUBE_NO_TIME;
    if (!draft->old || draft->old->meta.deleted_ns != KUBE_NO_TIME)
        return false;
    return action == SLICE_CHANGE ? draft->group && draft->changed : !draft->group;
}

static int write_all(struct planner *p, struct slice_plan *plan)
{
    static const enum slice_action order[] = {SLICE_CREATE, SLICE_CHANGE, SLICE_DELETE};
    int r = 0;

    *plan = (struct slice_plan){.writes = ARENA_ARRAY(p->arena, struct slice_write, p->draft_count)};
    if (!plan->writes)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        for (size_t j = 0; r == 0 && j < p->draft_count; j++)
            if (is_due(p, &p->drafts[j], order[i]))
                r = write_draft(p, &p->drafts[j], plan);
    return r;
}

int workload_slices_decide(const struct store *store, struct slice namespace_, struct slice name, struct arena *arena, struct slice_plan *ret_plan)
{
    const struct kube_object *object = name.len ? store_get(store, KUBE_SERVICE, namespace_, name) : NULL;
    struct planner p = {.store = store, .arena = arena, .namespace_ = namespace_, .name = name};
    int r;

    if (object && kube_service(object)->type != KUBE_EXTERNAL_NAME && kube_service(object)->selector.count)
        p.service = kube_service(object);
    r = find_slices(&p);
    if (r == 0 && p.service && p.service->ipv4)
        r = plan_family(&p, 4);
    if (r == 0 && p.service && p.service->ipv6)
        r = plan_family(&p, 6);
    return r < 0 ? r : write_all(&p, ret_plan);
}
