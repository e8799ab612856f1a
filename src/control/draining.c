#include <signal.h>

#include "base/duration.h"
#include "control/program.h"

static const int64_t DRAIN_LOOK_NS = 50 * NS_PER_MS;
static const int64_t LINGER_NS = 5 * NS_PER_S; /* until nodes and API servers have heard that this endpoint goes */

static void on_grace_over(struct timer *timer)
{
    struct program *program = CONTAINER_OF(timer, struct program, grace);

    log_line(program->controller.log, LOG_WARN, "shutdown", "the grace period is over: open connections are broken off");
    loop_stop(&program->controller.loop);
}

static void look_if_drained(struct timer *timer)
{
    struct program *program = CONTAINER_OF(timer, struct program, drained);
    unsigned open = 0;

    if (program->webhook && !program->webhook_drains) {
        webhook_drain(program->webhook);
        program->webhook_drains = true;
    }
    for (unsigned i = 0; i < program->listening_count; i++)
        open += grpc_listener_connections(program->listening[i].listener);
    if (program->webhook)
        open += webhook_connections(program->webhook);
    if (open)
        timer_set(&program->controller.loop, timer, program->controller.loop.now_ns + DRAIN_LOOK_NS);
    else
        loop_stop(&program->controller.loop);
}

static void end_calls(struct program *program)
{
    if (program->destination)
        destination_end_calls(program->destination);
    if (program->policy)
        policy_end_calls(program->policy);
    if (program->identity)
        identity_service_end_calls(program->identity);
}

/*
 * How long a webhook's port stays open: an API server that still comes here, and finds it closed, asks nobody else, and makes a pod without a
 * proxy. Whoever calls our other ports tries the next controller.
 */
static int64_t linger_ns(const struct program *program)
{
    return program->webhook && program->cluster ? LINGER_NS : 0;
}

static void on_signal(struct signals *signals, int number)
{
    struct program *program = CONTAINER_OF(signals, struct program, signals);
    struct loop *loop = &program->controller.loop;

    if (program->draining) {
        log_line(program->controller.log, LOG_INFO, "shutdown", "told again: ending at once");
        loop_stop(loop);
        return;
    }
    log_line(program->controller.log, LOG_INFO, "shutdown", "draining");
    program->draining = true;
    for (unsigned i = 0; i < program->listening_count; i++)
        grpc_listener_drain(program->listening[i].listener);
    end_calls(program);
    writer_end(program->status_writer);
    writer_end(program->slice_writer);
    timer_set(loop, &program->grace, loop->now_ns + linger_ns(program) + program->settings.grace_ns);
    timer_set(loop, &program->drained, loop->now_ns + linger_ns(program) + DRAIN_LOOK_NS);
}

int program_await_end(struct program *program)
{
    static const int numbers[] = {SIGTERM, SIGINT, 0};
    struct loop *loop = &program->controller.loop;
    int r = timer_init(loop, &program->grace, on_grace_over);

    if (r == 0)
        r = timer_init(loop, &program->drained, look_if_drained);
    return r < 0 ? r : signals_start(&program->signals, loop, numbers, on_signal);
}

void program_forget_end(struct program *program)
{
    struct loop *loop = &program->controller.loop;

    timer_release(loop, &program->grace);
    timer_release(loop, &program->drained);
    signals_stop(&program->signals);
}
