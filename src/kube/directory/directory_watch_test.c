#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kube/directory/directory_watch.h"
#include "kube/kube_fixture.h"

#define NEXT "\n---\n"
#define SA(name) "{apiVersion: v1, kind: ServiceAccount, metadata: {name: " name "}}" NEXT
#define SA_NEW(name) "{apiVersion: v1, kind: ServiceAccount, metadata: {name: " name ", labels: {v: '2'}}}" NEXT

/* Linux, but time is what the test says. The kernel queues inotify's events before a system call returns. */
struct world {
    struct sys sys;
    struct sys_ops ops;
    int64_t now_ns;
    struct loop loop;
    struct fixture f;
    struct directory_watch *watch;
    char top[40], dir[60]; /* the directory is inside `top`, so that it can be moved away */
};

static int64_t world_now(struct sys *sys)
{
    return CONTAINER_OF(sys, struct world, sys)->now_ns;
}

static void in(const struct world *w, const char *name, char path[300])
{
    snprintf(path, 300, "%s/%s", w->dir, name);
}

static void write_file(const struct world *w, const char *name, const char *text)
{
    char path[300];
    FILE *file;

    in(w, name, path);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void move(const struct world *w, const char *from, const char *to)
{
    char a[300], b[300];

    in(w, from, a);
    in(w, to, b);
    assert_int_equal(rename(a, b), 0);
}

static void put_file(const struct world *w, const char *name, const char *text)
{
    write_file(w, ".new", text);
    move(w, ".new", name);
}

static void delete (const struct world *w, const char *name)
{
    char path[300];

    in(w, name, path);
    assert_int_equal(remove(path), 0);
}

static void make_folder(const struct world *w, const char *name)
{
    char path[300];

    in(w, name, path);
    assert_int_equal(mkdir(path, 0700), 0);
}

/* Everything that is ready, then everything that is due after that much more time. */
static void pass(struct world *w, int64_t ns)
{
    while (loop_turn(&w->loop, 0))
        ;
    w->now_ns += ns;
    while (loop_turn(&w->loop, 0))
        ;
}

static void world_init(struct world *w)
{
    struct errmsg msg = {""};

    *w = (struct world){.top = "/tmp/clinkerd-watch-XXXXXX", .now_ns = NS_PER_S};
    w->ops = *sys_linux()->ops;
    w->ops.now = world_now;
    w->sys.ops = &w->ops;
    assert_non_null(mkdtemp(w->top));
    snprintf(w->dir, sizeof(w->dir), "%s/manifests", w->top);
    assert_int_equal(mkdir(w->dir, 0700), 0);
    assert_int_equal(loop_init(&w->loop, &w->sys, 16), 0);
    fixture_init(&w->f, false);
    put_file(w, "a.yaml", SA("a"));
    assert_int_equal(directory_watch_new(&w->loop, w->f.directory, w->f.store, w->dir, &w->f.reporter, &w->watch, &msg),
                     0);
    assert_true(store_is_synced(w->f.store));
    fixture_expect_events(&w->f, "+ ServiceAccount default/a\n");
    pass(w, 0);
}

static void world_release(struct world *w)
{
    char command[200];

    fixture_expect_events(&w->f, "");
    fixture_expect_reports(&w->f, "");
    directory_watch_free(w->watch);
    fixture_release(&w->f);
    loop_release(&w->loop);
    snprintf(command, sizeof(command), "rm -rf '%s'", w->top);
    assert_int_equal(system(command), 0);
}

static void renames_and_removals_are_taken_up_when_it_is_quiet(void **state)
{
    struct world w;

    world_init(&w);
    put_file(&w, "a.yaml", SA_NEW("a"));
    put_file(&w, "b.yaml", SA("b"));
    pass(&w, DIRECTORY_QUIET_NS - 1);
    fixture_expect_events(&w.f, "");
    pass(&w, 1);
    fixture_expect_events(&w.f, "~ ServiceAccount default/a\n+ ServiceAccount default/b\n");
    /* What belongs together comes together: a renamed file is no removal. */
    move(&w, "b.yaml", "c.yaml");
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "~ ServiceAccount default/b\n");
    delete (&w, "c.yaml");
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "- ServiceAccount default/b\n");
    write_file(&w, "notes.txt", "x");
    write_file(&w, ".a.yaml.swp", "x");
    pass(&w, NS_PER_S);
    fixture_expect_events(&w.f, "");
    world_release(&w);
}

static void half_a_file_is_not_read(void **state)
{
    char path[300];
    struct world w;
    int fd;

    world_init(&w);
    in(&w, "a.yaml", path);
    fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    pass(&w, DIRECTORY_WRITER_NS - 1);
    fixture_expect_events(&w.f, "");
    assert_int_equal(write(fd, SA_NEW("a"), sizeof(SA_NEW("a")) - 1), sizeof(SA_NEW("a")) - 1);
    pass(&w, DIRECTORY_WRITER_NS - 1);
    fixture_expect_events(&w.f, "");
    assert_int_equal(write(fd, SA("b"), sizeof(SA("b")) - 1), sizeof(SA("b")) - 1);
    assert_int_equal(close(fd), 0);
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "~ ServiceAccount default/a\n+ ServiceAccount default/b\n");
    /* A writer that forgets to close. */
    fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, SA("c"), sizeof(SA("c")) - 1), sizeof(SA("c")) - 1);
    pass(&w, DIRECTORY_WRITER_NS);
    fixture_expect_events(&w.f, "+ ServiceAccount default/c\n");
    assert_int_equal(close(fd), 0);
    pass(&w, DIRECTORY_QUIET_NS);
    /* Folders come while a file is being written: everything else is read, the file is not. */
    fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    make_folder(&w, "sub");
    put_file(&w, "sub/d.yaml", SA("d"));
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "+ ServiceAccount default/d\n");
    assert_int_equal(write(fd, SA("a"), sizeof(SA("a")) - 1), sizeof(SA("a")) - 1);
    assert_int_equal(close(fd), 0);
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "~ ServiceAccount default/a\n- ServiceAccount default/b\n- ServiceAccount default/c\n");
    world_release(&w);
}

static void a_busy_file_is_read_in_the_end(void **state)
{
    struct world w;
    int turns = 0;

    world_init(&w);
    for (; turns < 100; turns++) {
        put_file(&w, "a.yaml", SA_NEW("a"));
        pass(&w, DIRECTORY_QUIET_NS / 2);
        if (w.f.events.len)
            break;
    }
    assert_in_range(turns, 15, 25);
    pass(&w, NS_PER_S);
    fixture_expect_events(&w.f, "~ ServiceAccount default/a\n");
    world_release(&w);
}

static void folders_come_and_go(void **state)
{
    struct world w;

    world_init(&w);
    make_folder(&w, "sub");
    put_file(&w, "sub/b.yaml", SA("b"));
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "+ ServiceAccount default/b\n");
    put_file(&w, "sub/b.yaml", SA_NEW("b"));
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "~ ServiceAccount default/b\n");
    move(&w, "sub", "other");
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "~ ServiceAccount default/b\n");
    put_file(&w, "other/c.yaml", SA("c"));
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "+ ServiceAccount default/c\n");
    delete (&w, "other/b.yaml");
    delete (&w, "other/c.yaml");
    delete (&w, "other");
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "- ServiceAccount default/b\n- ServiceAccount default/c\n");
    world_release(&w);
}

/* As kubelet updates a mounted ConfigMap: files are links through ..data, which is swapped. */
static void swapped_links_are_followed(void **state)
{
    char path[300];
    struct world w;

    world_init(&w);
    make_folder(&w, "..1");
    make_folder(&w, "..2");
    write_file(&w, "..1/b.yaml", SA("b"));
    write_file(&w, "..2/b.yaml", SA_NEW("b"));
    in(&w, "..data", path);
    assert_int_equal(symlink("..1", path), 0);
    in(&w, "b.yaml", path);
    assert_int_equal(symlink("..data/b.yaml", path), 0);
    pass(&w, DIRECTORY_WRITER_NS);
    fixture_expect_events(&w.f, "+ ServiceAccount default/b\n");
    in(&w, "..tmp", path);
    assert_int_equal(symlink("..2", path), 0);
    move(&w, "..tmp", "..data");
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "~ ServiceAccount default/b\n");
    world_release(&w);
}

static void a_directory_that_is_gone_stays_in_force(void **state)
{
    struct world w;
    char away[80], want[300];

    world_init(&w);
    snprintf(away, sizeof(away), "%s/away", w.top);
    assert_int_equal(rename(w.dir, away), 0);
    pass(&w, DIRECTORY_QUIET_NS);
    pass(&w, 3 * DIRECTORY_LOOK_NS);
    fixture_expect_events(&w.f, "");
    snprintf(want, sizeof(want),
             "error %s: cannot be read; what it said before stays in force until it is back: No such "
             "file or directory\n",
             w.dir);
    fixture_expect_reports(&w.f, want);
    /* Made anew, with something else in it. */
    assert_int_equal(mkdir(w.dir, 0700), 0);
    put_file(&w, "a.yaml", SA_NEW("a"));
    pass(&w, DIRECTORY_LOOK_NS);
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "~ ServiceAccount default/a\n");
    fixture_expect_reports(&w.f, "info the directory is back and was read\n");
    /* And it is followed again. */
    put_file(&w, "b.yaml", SA("b"));
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "+ ServiceAccount default/b\n");
    /* Swapped for another one at once. */
    assert_int_equal(renameat2(AT_FDCWD, w.dir, AT_FDCWD, away, RENAME_EXCHANGE), 0);
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "~ ServiceAccount default/a\n- ServiceAccount default/b\n");
    put_file(&w, "b.yaml", SA("b"));
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "+ ServiceAccount default/b\n");
    world_release(&w);
}

static void broken_files_are_reported(void **state)
{
    struct world w;

    world_init(&w);
    put_file(&w, "a.yaml", "{apiVersion: v1, kind: ServiceAccount, metadata: {name: a, labels: 7}}\n");
    pass(&w, DIRECTORY_QUIET_NS);
    fixture_expect_events(&w.f, "");
    fixture_expect_reports(
        &w.f, "error a.yaml:1: ServiceAccount default/a: metadata.labels: expected a map of texts, found the number 7\n"
              "warning a.yaml: ServiceAccount default/a: the last good version (then on line 1) stays in force\n");
    world_release(&w);
}

static void what_is_no_directory_is_refused(void **state)
{
    struct errmsg msg = {""};
    struct directory_watch *watch = NULL;
    struct world w;
    char path[300];

    world_init(&w);
    in(&w, "a.yaml", path);
    assert_true(directory_watch_new(&w.loop, w.f.directory, w.f.store, path, NULL, &watch, &msg) < 0);
    assert_non_null(strstr(msg.text, "cannot watch the directory"));
    assert_non_null(strstr(msg.text, "Not a directory"));
    assert_null(watch);
    directory_watch_free(NULL);
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renames_and_removals_are_taken_up_when_it_is_quiet),
        cmocka_unit_test(half_a_file_is_not_read),
        cmocka_unit_test(a_busy_file_is_read_in_the_end),
        cmocka_unit_test(folders_come_and_go),
        cmocka_unit_test(swapped_links_are_followed),
        cmocka_unit_test(a_directory_that_is_gone_stays_in_force),
        cmocka_unit_test(broken_files_are_reported),
        cmocka_unit_test(what_is_no_directory_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
