/*
 * A path is a const table of named steps, and this runs it. The table is the
 * documentation of what happens to a connection or a request, in order; the name
 * of the step that somebody is in stands in the logs and on /connections.
 *
 * A step is told why it runs, looks, and returns what comes next. Before it
 * returns STEP_WAIT it has arranged for what wakes it (readiness, a timer, a
 * watch) and for a deadline. It runs again with that reason. On WHY_CANCEL it
 * takes back what it arranged; its return value is then ignored.
 *
 * A walker is embedded in what walks. walk() is called from the loop only, never
 * from inside a step of the same walker.
 */
#pragma once

#include <stdbool.h>

struct walker;

enum why {
    WHY_START,  /* the walker came to this step */
    WHY_IO,     /* readiness of a connection */
    WHY_TIMER,  /* the walker's deadline */
    WHY_WATCH,  /* discovery, policy, a pool or a balancer has news */
    WHY_CANCEL, /* it is over: the peer left, a drain, a revoked permit */
};

enum step_result {
    STEP_NEXT,   /* go on with the next step */
    STEP_AGAIN,  /* go on with the step that the walker's `at` was set to (a retry goes back to `backend`) */
    STEP_WAIT,   /* not yet */
    STEP_SWITCH, /* go on with the first step of the table that the walker's `path` was set to */
    STEP_DONE,   /* the end */
    STEP_FAIL,   /* the end; the reason was noted */
};

struct step {
    const char *name;
    enum step_result (*run)(struct walker *walker, enum why why);
};

struct walker {
    const struct step *path; /* ends with a step without a name */
    unsigned at;
    bool walking, over;
    void (*finish)(struct walker *walker, bool failed); /* called once, after STEP_DONE, STEP_FAIL or cancel */
};

void walker_init(struct walker *walker, const struct step *path, void (*finish)(struct walker *walker, bool failed));
/* Runs the step that it is at, and those after it as far as they go. Does nothing once it is over. */
void walk(struct walker *walker, enum why why);
/* Ends it from outside, between steps: the step gets WHY_CANCEL, then finish is called. */
void walk_cancel(struct walker *walker);
static inline const char *walker_step(const struct walker *walker)
{
    return walker->over ? "ended" : walker->path[walker->at].name;
}
