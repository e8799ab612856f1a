#include "sim/world.h"

#include <assert.h>
#include <stdarg.h>

#include "base/duration.h"
#include "sim/net.h"

enum { STEPS_MAX = 20 * 1000 * 1000 }; /* of one run: more means that something turns without end */

static const int64_t WALL_AT_START = INT64_C(1767225600) * NS_PER_S; /* 2026-01-01 */

void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){.seed = seed, .wall_ns = WALL_AT_START, .now_ns = 1000 * NS_PER_S, .trace = UINT64_C(0xcbf29ce484222325)};
    rng_seed(&world->rng, seed);
    heap_init(&world->happenings);
    list_init(&world->loops);
    world->net = net_new(world);
}

void world_release(struct world *world)
{
    assert(list_empty(&world->loops));
    net_free(world->net);
    for (unsigned i = 0; i < world->host_count; i++) {
        struct list *link;

        while ((link = list_pop(&world->hosts[i]->processes)))
            free(CONTAINER_OF(link, struct process, link));
        free(world->hosts[i]);
    }
    world_forget_names(world);
    heap_release(&world->happenings);
}

/* What the simulator itself cannot get ends it: there is nobody to hand it to. */
static void *must_alloc(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory)
        abort();
    return memory;
}

struct host *world_host(struct world *world, const char *ip)
{
    struct host *host = must_alloc(sizeof(*host));

    assert(world->host_count < WORLD_HOSTS_MAX);
    host->world = world;
    host->index = world->host_count;
    snprintf(host->name, sizeof(host->name), "%s", ip);
    list_init(&host->processes);
    host->next_port = 32768;
    if (ip_parse(slice_str(ip), &host->ip) < 0)
        abort();
    world->hosts[world->host_count++] = host;
    return host;
}

struct process *host_process(struct host *host, const char *name, bool is_proxy)
{
    struct process *process = must_alloc(sizeof(*process));

    *process = (struct process){.sys = {&net_sys_ops}, .host = host, .name = name, .is_proxy = is_proxy, .open_max = 4096};
    list_push(&host->processes, &process->link);
    return process;
}

void world_add_loop(struct world *world, struct world_loop *world_loop, struct loop *loop, const char *name)
{
    world_loop->loop = loop;
    world_loop->process = process_of(loop->sys);
    world_loop->name = name;
    list_push(&world->loops, &world_loop->link);
    world->loop_count++;
}

void world_remove_loop(struct world_loop *world_loop)
{
    if (!world_loop->loop || list_empty(&world_loop->link))
        return;
    list_remove(&world_loop->link);
    world_of(world_loop->loop->sys)->loop_count--;
}

/* --- chance and time --- */

int64_t world_between(struct world *world, int64_t least, int64_t most)
{
    return least + (int64_t)rng_below(&world->rng, (uint64_t)(most - least) + 1);
}

bool world_one_in(struct world *world, unsigned n)
{
    return n && rng_below(&world->rng, n) == 0;
}

void happening_set(struct world *world, struct happening *happening, int64_t at_ns,
                   void (*happen)(struct happening *happening))
{
    heap_remove(&world->happenings, &happening->entry);
    happening->happen = happen;
    if (heap_add(&world->happenings, &happening->entry, (uint64_t)(at_ns > world->now_ns ? at_ns : world->now_ns)) < 0)
        abort();
}

void happening_cancel(struct world *world, struct happening *happening)
{
    heap_remove(&world->happenings, &happening->entry);
}

/* --- the trace --- */

static void hash(struct world *world, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        world->trace = (world->trace ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
}

void world_note(struct world *world, const char *format, ...)
{
    char line[1024];
    va_list args;
    int len = snprintf(line, sizeof(line), "%lld ", (long long)(world->now_ns / 1000));

    va_start(args, format);
    len += vsnprintf(line + len, sizeof(line) - (size_t)len, format, args);
    va_end(args);
    if (len >= (int)sizeof(line))
        len = sizeof(line) - 1;
    hash(world, line, (size_t)len);
    if (world->tracing)
        printf("%.*s\n", len, line);
}

void world_fail(struct world *world, const char *invariant, const char *format, ...)
{
    va_list args;

    if (world->failure)
        return;
    world->failure = invariant;
    va_start(args, format);
    vsnprintf(world->failure_text, sizeof(world->failure_text), format, args);
    va_end(args);
    world_note(world, "VIOLATED %s: %s", invariant, world->failure_text);
}

/* --- turning --- */

/* Exactly when the real loop would not block, or would be woken: not because of a flush that nobody would run. */
static bool may_turn(const struct loop *loop, int64_t now_ns)
{
    const struct heap_entry *first = heap_first(&loop->timers);

    return loop->stop || !list_empty(&loop->tasks) || atomic_load_explicit(&loop->woken, memory_order_relaxed) ||
           net_poll_ready(loop->poll) || (first && (int64_t)first->key <= now_ns);
}

static struct world_loop *pick_loop(struct world *world)
{
    struct world_loop *picked = NULL;
    unsigned found = 0;

    LIST_FOR_EACH (link, &world->loops) {
        struct world_loop *world_loop = CONTAINER_OF(link, struct world_loop, link);

        if (!world_loop->starting && !may_turn(world_loop->loop, world->now_ns))
            continue;
        if (rng_below(&world->rng, ++found) == 0)
            picked = world_loop;
    }
    return picked;
}

static void turn(struct world *world, struct world_loop *world_loop)
{
    world->turns++;
    if (world_loop->starting) {
        void (*starting)(struct world_loop *) = world_loop->starting;

        world_loop->starting = NULL;
        starting(world_loop);
        return;
    }
    if (world_loop->loop->stop) {
        world_remove_loop(world_loop);
        if (world_loop->stopped)
            world_loop->stopped(world_loop);
        return;
    }
    world_note(world, "turn %s/%s", world_loop->process->host->name, world_loop->name);
    loop_turn(world_loop->loop, 0);
}

/* The next moment at which anything can happen by itself. */
static int64_t next_moment(struct world *world)
{
    const struct heap_entry *first = heap_first(&world->happenings);
    int64_t next = first ? (int64_t)first->key : INT64_MAX;

    LIST_FOR_EACH (link, &world->loops) {
        const struct heap_entry *timer = heap_first(&CONTAINER_OF(link, struct world_loop, link)->loop->timers);

        if (timer && (int64_t)timer->key < next)
            next = (int64_t)timer->key;
    }
    return next;
}

static bool happen_next(struct world *world)
{
    struct heap_entry *first = heap_first(&world->happenings);
    struct happening *happening;

    if (!first || (int64_t)first->key > world->now_ns)
        return false;
    happening = CONTAINER_OF(first, struct happening, entry);
    heap_remove(&world->happenings, first);
    happening->happen(happening);
    return true;
}

/* One thing: what is due on the network, or a turn of a loop. False: nothing until `until_ns`, and it is that time now. */
static bool step(struct world *world, int64_t until_ns)
{
    const struct heap_entry *due = heap_first(&world->happenings);
    struct world_loop *world_loop;
    int64_t next;

    if (due && (int64_t)due->key <= world->now_ns && !world_one_in(world, 4) && happen_next(world))
        return true;
    world_loop = pick_loop(world);
    if (world_loop) {
        turn(world, world_loop);
        world->now_ns += world_between(world, 1, 10) * NS_PER_US;
        return true;
    }
    if (happen_next(world))
        return true;
    next = next_moment(world);
    if (next > until_ns) {
        world->now_ns = until_ns > world->now_ns ? until_ns : world->now_ns;
        return false;
    }
    world->now_ns = next;
    return true;
}

bool world_run_until(struct world *world, bool (*done)(struct world *world), int64_t until_ns)
{
    while (!world->failure) {
        if (done && done(world))
            return true;
        if (world->now_ns >= until_ns || !step(world, until_ns))
            return done && done(world);
        if (world->look)
            world->look(world);
        if (++world->steps > STEPS_MAX)
            world_fail(world, "something turns without end", "%u loops, %llu turns", world->loop_count,
                       (unsigned long long)world->turns);
    }
    return false;
}

void world_run(struct world *world, int64_t until_ns)
{
    world_run_until(world, NULL, until_ns);
}
