#include "control/watched_files.h"

#include <sys/stat.h>

#include "base/duration.h"
#include "base/map.h"

static const int64_t LOOK_NS = 1 * NS_PER_S;
enum { ATTEMPTS = 2 };

static uint64_t look_at(const struct watched_files *files)
{
    int64_t seen[WATCHED_FILES_MAX][5] = {{0}};
    struct stat st;

    for (int i = 0; i < WATCHED_FILES_MAX; i++) {
        if (!files->paths[i] || stat(files->paths[i], &st) < 0)
            continue;
        seen[i][0] = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
        seen[i][1] = (int64_t)st.st_ino;
        seen[i][2] = st.st_size;
        seen[i][3] = (int64_t)st.st_dev;
        seen[i][4] = 1;
    }
    return siphash13(seen, sizeof(seen), 1, 2);
}

static void load(struct watched_files *files, unsigned attempts)
{
    struct errmsg msg = {""};
    int r = files->load(files, &msg);

    files->attempts = r < 0 ? files->attempts + 1 : 0;
    if (files->on_result && (r == 0 || files->attempts == attempts))
        files->on_result(files, r, msg.text[0] ? msg.text : "no memory");
}

static void look(struct timer *timer)
{
    struct watched_files *files = CONTAINER_OF(timer, struct watched_files, timer);
    uint64_t seen = look_at(files);

    if (seen != files->seen)
        files->attempts = 0;
    if (seen != files->seen || (files->attempts > 0 && files->attempts < ATTEMPTS)) {
        files->seen = seen;
        load(files, ATTEMPTS);
    }
    timer_set(&files->controller->loop, timer, files->controller->loop.now_ns + LOOK_NS);
}

int watched_files_start(struct watched_files *files)
{
    int r = timer_init(&files->controller->loop, &files->timer, look);

    if (r < 0)
        return r;
    files->seen = look_at(files);
    load(files, 1); /* at the start nothing is changing */
    timer_set(&files->controller->loop, &files->timer, files->controller->loop.now_ns + LOOK_NS);
    return 0;
}

void watched_files_stop(struct watched_files *files)
{
    timer_release(&files->controller->loop, &files->timer);
}
