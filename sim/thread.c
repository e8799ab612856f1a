/*
 * In the place of src/event/thread.c: a thread's loop is turned by the world, in an order that the seed chooses. start()
 * and finish() run as steps of their own, as they would in the thread.
 */
#include "event/thread.h"

#include <assert.h>

#include "sim/world.h"

struct sim_thread {
    struct world_loop turned;
    struct thread *thread;
};

int thread_prepare(struct thread *thread, struct sys *sys, size_t max_pages)
{
    return loop_init(&thread->loop, sys, max_pages);
}

static void stopped(struct world_loop *turned)
{
    struct sim_thread *sim = CONTAINER_OF(turned, struct sim_thread, turned);

    sim->thread->finish(sim->thread);
    free(sim);
}

static void starting(struct world_loop *turned)
{
    struct thread *thread = CONTAINER_OF(turned, struct sim_thread, turned)->thread;

    thread->result = thread->start(thread);
    if (thread->result < 0)
        loop_stop(&thread->loop);
}

int thread_start(struct thread *thread)
{
    struct sim_thread *sim = calloc(1, sizeof(*sim));

    if (!sim)
        abort();
    sim->thread = thread;
    sim->turned.starting = starting;
    sim->turned.stopped = stopped;
    world_add_loop(world_of(thread->loop.sys), &sim->turned, &thread->loop, thread->name);
    return 0;
}

/* Whoever joins has let the world run until the loop stopped: there is no waiting here. */
void thread_join(struct thread *thread)
{
    LIST_FOR_EACH (link, &world_of(thread->loop.sys)->loops)
        assert(CONTAINER_OF(link, struct world_loop, link)->loop != &thread->loop);
}

void thread_release(struct thread *thread)
{
    loop_release(&thread->loop);
}
