/*
 * sim/run: runs scenarios by seed.
 *
 *     run --seeds 1..1000 [--scenario NAME]     each scenario with each seed; the first violation ends it
 *     run --seed 7 --scenario NAME [--trace]    one run; --trace prints everything that happens
 *     run --repeat ...                          runs each seed twice and compares the traces
 *     run --list
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <unistd.h>

#include "base/duration.h"
#include "sim/mesh.h"

struct options {
    uint64_t from, to;
    const char *scenario;
    bool trace, repeat;
};

struct result {
    uint64_t trace, turns;
    bool failed;
};

static struct mesh *mesh; /* large; one run at a time */

/* For when an assertion or a sanitizer ends the process. */
static struct {
    const char *scenario, *program;
    uint64_t seed;
} running;

static void tell_which(int number)
{
    char text[256];
    int len = snprintf(text, sizeof(text), "FAILED scenario %s, seed %llu: the program ended\n  again: %s --scenario %s --seed %llu --trace\n",
                       running.scenario, (unsigned long long)running.seed, running.program, running.scenario, (unsigned long long)running.seed);

    (void)!write(STDERR_FILENO, text, (size_t)len);
    signal(number, SIG_DFL);
    raise(number);
}

static struct result run_one(const struct scenario *scenario, uint64_t seed, const struct options *options, bool trace)
{
    struct result result;

    running.scenario = scenario->name;
    running.seed = seed;
    mesh->world.seed = seed;
    mesh->world.tracing = trace;
    scenario->run(mesh);
    fflush(stdout);
    result = (struct result){mesh->world.trace, mesh->world.turns, mesh->world.failure};
    if (result.failed)
        printf("FAILED scenario %s, seed %llu: %s: %s\n  again: %s --scenario %s --seed %llu --trace\n", scenario->name,
               (unsigned long long)seed, mesh->world.failure, mesh->world.failure_text, running.program, scenario->name, (unsigned long long)seed);
    return result;
}

static bool run_seed(const struct scenario *scenario, uint64_t seed, const struct options *options)
{
    struct result first = run_one(scenario, seed, options, options->trace), second;

    if (options->from == options->to)
        printf("scenario %s, seed %llu: %llu turns, trace %016llx\n", scenario->name, (unsigned long long)seed,
               (unsigned long long)first.turns, (unsigned long long)first.trace);
    if (first.failed || !options->repeat)
        return !first.failed;
    second = run_one(scenario, seed, options, false);
    if (second.trace == first.trace)
        return true;
    printf("FAILED scenario %s, seed %llu: a seed is a run: traces %016llx and %016llx\n", scenario->name,
           (unsigned long long)seed, (unsigned long long)first.trace, (unsigned long long)second.trace);
    return false;
}

static int read_options(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        char *end;

        if (strcmp(argv[i], "--trace") == 0) {
            options->trace = true;
        } else if (strcmp(argv[i], "--repeat") == 0) {
            options->repeat = true;
        } else if (strcmp(argv[i], "--scenario") == 0) {
            options->scenario = value;
            i++;
        } else if (strcmp(argv[i], "--seed") == 0 || strcmp(argv[i], "--seeds") == 0) {
            options->from = options->to = strtoull(value, &end, 10);
            if (strncmp(end, "..", 2) == 0)
                options->to = strtoull(end + 2, &end, 10);
            if (*end || end == value || options->to < options->from)
                return -1;
            i++;
        } else {
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {.from = 1, .to = 20};
    unsigned runs = 0;

    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; scenarios[i]; i++)
            printf("%-12s %s\n", scenarios[i]->name, scenarios[i]->about);
        return 0;
    }
    running.program = argv[0];
    signal(SIGABRT, tell_which);
    mesh = calloc(1, sizeof(*mesh));
    if (!mesh || read_options(argc, argv, &options) < 0) {
        fprintf(stderr, "usage: run [--seeds FROM..TO | --seed N] [--scenario NAME] [--trace] [--repeat] | --list\n");
        return 64;
    }
    for (uint64_t seed = options.from; seed <= options.to; seed++)
        for (size_t i = 0; scenarios[i]; i++) {
            if (options.scenario && strcmp(options.scenario, scenarios[i]->name) != 0)
                continue;
            runs++;
            if (!run_seed(scenarios[i], seed, &options)) {
                free(mesh);
                return 1;
            }
        }
    printf("%u runs, none violated anything\n", runs);
    free(mesh);
    return runs ? 0 : 64;
}
