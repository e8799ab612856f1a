/* In the place of src/net/resolver_dns.c: names that the world knows, answered after a while. */
#include "net/resolver.h"

#include <errno.h>

#include "base/duration.h"
#include "sim/world.h"

struct name {
    struct name *next;
    const char *text;
    struct ip ip;
};

struct lookup {
    struct happening answered;
    struct resolver_query *query;
};

void world_name(struct world *world, const char *text, const char *ip)
{
    struct name *name = calloc(1, sizeof(*name));

    if (!name || ip_parse(slice_str(ip), &name->ip) < 0)
        abort();
    name->text = text;
    name->next = world->names;
    world->names = name;
}

void world_forget_names(struct world *world)
{
    while (world->names) {
        struct name *name = world->names;

        world->names = name->next;
        free(name);
    }
}

static void answer(struct happening *happening)
{
    struct lookup *lookup = CONTAINER_OF(happening, struct lookup, answered);
    struct resolver_query *query = lookup->query;
    struct loop *loop = query->resolver->loop;
    struct resolver_answer *said = &query->answer;

    for (const struct name *name = world_of(loop->sys)->names; name; name = name->next)
        if (slice_eq_nocase(slice_str(name->text), query->host) && said->count < RESOLVER_ADDRS_MAX)
            said->addrs[said->count++] = (struct addr){name->ip, query->port};
    said->error = said->count ? 0 : -ENOENT;
    said->ttl_ns = 5 * NS_PER_S;
    query->lookups = NULL;
    free(lookup);
    task_wake(loop, &query->told);
}

static int start(struct resolver *resolver, struct resolver_query *query)
{
    struct world *world = world_of(resolver->loop->sys);
    struct lookup *lookup = calloc(1, sizeof(*lookup));

    if (!lookup)
        return -ENOMEM;
    lookup->query = query;
    query->lookups = lookup;
    happening_set(world, &lookup->answered, world->now_ns + world_between(world, 1, 2000) * NS_PER_US, answer);
    return 0;
}

static void cancel(struct resolver *resolver, struct resolver_query *query)
{
    struct lookup *lookup = query->lookups;

    happening_cancel(world_of(resolver->loop->sys), &lookup->answered);
    free(lookup);
    query->lookups = NULL;
}

static void free_it(struct resolver *resolver)
{
    free(resolver);
}

int resolver_dns_new(struct loop *loop, int64_t min_ttl_ns, int64_t max_ttl_ns, struct resolver **ret_resolver)
{
    static const struct resolver_ops ops = {start, cancel, free_it};
    struct resolver *resolver = calloc(1, sizeof(*resolver));

    if (!resolver)
        return -ENOMEM;
    resolver->ops = &ops;
    resolver->loop = loop;
    *ret_resolver = resolver;
    return 0;
}
