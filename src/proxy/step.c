#include "proxy/step.h"

#include <assert.h>

void walker_init(struct walker *walker, const struct step *path, void (*finish)(struct walker *walker, bool failed))
{
    *walker = (struct walker){.path = path, .finish = finish};
}

static void end(struct walker *walker, bool failed)
{
    walker->over = true;
    walker->walking = false;
    walker->finish(walker, failed);
}

void walk(struct walker *walker, enum why why)
{
    if (walker->over)
        return;
    assert(!walker->walking);
    walker->walking = true;
    for (;; why = WHY_START) {
        switch (walker->path[walker->at].run(walker, why)) {
        case STEP_NEXT:
            walker->at++;
            assert(walker->path[walker->at].name);
            break;
        case STEP_AGAIN:
            break;
        case STEP_SWITCH:
            walker->at = 0;
            break;
        case STEP_WAIT:
            walker->walking = false;
            return;
        case STEP_DONE:
            end(walker, false);
            return;
        case STEP_FAIL:
            end(walker, true);
            return;
        }
    }
}

void walk_cancel(struct walker *walker)
{
    if (walker->over)
        return;
    assert(!walker->walking);
    walker->walking = true;
    (void)walker->path[walker->at].run(walker, WHY_CANCEL);
    end(walker, true);
}
