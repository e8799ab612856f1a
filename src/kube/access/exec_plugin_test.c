/* Credential plug-ins: shell scripts, run for requests to the server that api_world.h plays. */
#include "kube/api/api_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/duration.h"
#include "kube/access/exec_plugin.h"

#define V1 "client.authentication.k8s.io/v1"
#define CREDENTIAL(status) "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"status\":{" status "}}"
/* Counts its runs in a file, and gives the count as token. */
#define COUNTS "echo x >> runs; n=$(wc -l < runs); "
#define TOKEN COUNTS "echo '" CREDENTIAL("\"token\":\"t'$n'\"") "'"

static struct api_world world;
static char folder[] = "/tmp/exec_plugin_test.XXXXXX", program[300], before[4096];
static struct slice words[4];
static char last_failure[600]; /* of a call that had no answer at all */

struct asked {
    struct api_call *call; /* NULL: over */
    int status, error;
    char why[600];
};

static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct asked *asked = api_call_owner(call);

    asked->call = NULL;
    asked->status = answer->status;
    asked->error = answer->error;
    snprintf(asked->why, sizeof(asked->why), "%s", answer->why ? answer->why : "");
    snprintf(last_failure, sizeof(last_failure), "%s", answer->status ? "" : asked->why);
}

static void get(struct asked *asked)
{
    static const struct api_call_events events = {.on_end = on_end};

    *asked = (struct asked){0};
    assert_int_equal(api_call_start(world.client, &(struct api_request){.path = SLICE_LIT("/version")}, &events, asked, &asked->call), 0);
}

static void write_text(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static char *read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void write_program(const char *script)
{
    char text[2000];

    snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", script);
    write_text(program, text, 0755);
}

static int setup(void **state)
{
    assert_non_null(getcwd(before, sizeof(before)));
    snprintf(folder, sizeof(folder), "/tmp/exec_plugin_test.XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    snprintf(program, sizeof(program), "%s/plug-in", folder);
    api_world_init(&world, false);
    last_failure[0] = '\0';
    world.access.token = SLICE_LIT("");
    world.access.exec = (struct kube_exec){.command = slice_str(program), .version = SLICE_LIT(V1), .arguments = words, .variables = words + 2};
    assert_int_equal(exec_plugin_new(&world.access.plugin), 0);
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"plug-in", "runs", "seen", "go", "first", "second"};

    api_world_release(&world);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(names[i]);
    assert_int_equal(chdir(before), 0);
    return rmdir(folder);
}

/* Waits for a program's end: real events, while the world's time stands still. */
static void until_served(void)
{
    struct served *newest;

    do {
        if (last_failure[0])
            fail_msg("%s", last_failure);
        loop_turn(&world.loop, 20 * NS_PER_S);
        newest = list_empty(&world.served) ? NULL : CONTAINER_OF(world.served.prev, struct served, link);
    } while (!newest || newest->taken);
    api_settle(&world);
}

static void until_over(const struct asked *asked)
{
    while (asked->call)
        loop_turn(&world.loop, 20 * NS_PER_S);
}

static struct served *next(const char *authorization)
{
    struct served *served;

    until_served();
    served = api_next(&world, "GET /version");
    assert_string_equal(served->authorization, authorization);
    return served;
}

static unsigned count_runs(void)
{
    char text[100];

    return (unsigned)strlen(read_text("runs", text, sizeof(text))) / 2;
}

/* One run for all that wait; another after a 401, and one alone for all that it was said to. */
static void test_token(void **state)
{
    struct asked one, two;
    struct served *first, *second;

    write_program(TOKEN);
    get(&one);
    get(&two);
    first = next("Bearer t1");
    second = next("Bearer t1");
    api_answer(first, 401, NULL, "{}");
    api_answer(second, 401, NULL, "{}");
    first = next("Bearer t2");
    second = next("Bearer t2");
    api_answer(first, 200, NULL, "{}");
    api_answer(second, 401, NULL, "{}"); /* a second time is final */
    assert_int_equal(one.status, 200);
    assert_int_equal(two.error, -EACCES);
    assert_int_equal(count_runs(), 2);
}

static void test_expiry(void **state)
{
    struct asked asked;

    write_program(COUNTS "echo '" CREDENTIAL("\"token\":\"t\",\"expirationTimestamp\":\"2100-01-01T00:00:00Z\"") "'");
    for (int turn = 0; turn < 2; turn++) {
        get(&asked);
        api_answer(next("Bearer t"), 200, NULL, "{}");
    }
    assert_int_equal(count_runs(), 1);
    /* One whose time is over when it comes is used all the same, and once only. */
    exec_plugin_refused(&world.access, exec_plugin_generation(&world.access));
    write_program(COUNTS "echo '" CREDENTIAL("\"token\":\"t'$n'\",\"expirationTimestamp\":\"1999-01-01T00:00:00Z\"") "'");
    get(&asked);
    api_answer(next("Bearer t2"), 200, NULL, "{}");
    get(&asked);
    api_answer(next("Bearer t3"), 200, NULL, "{}");
    assert_int_equal(count_runs(), 3);
}

/* What it is told: information, arguments and variables; and that ours do not reach it twice. */
static void test_told(void **state)
{
    struct asked asked;
    char seen[4000];

    world.access.exec.provide_cluster = true;
    world.access.ca_pem = SLICE_LIT("");
    world.access.insecure = true;
    world.access.exec.cluster_config = SLICE_LIT("[1]");
    words[0] = SLICE_LIT("get");
    words[1] = SLICE_LIT("a token");
    words[2] = SLICE_LIT("PLUG_IN_TEST=from the kubeconfig");
    world.access.exec.argument_count = 2;
    world.access.exec.variable_count = 1;
    setenv("PLUG_IN_TEST", "ours", 1);
    write_program("{ echo \"$KUBERNETES_EXEC_INFO\"; for a; do echo \"<$a>\"; done; env | grep ^PLUG_IN_TEST; cat; } > seen; " TOKEN);
    get(&asked);
    api_answer(next("Bearer t1"), 200, NULL, "{}");
    unsetenv("PLUG_IN_TEST");
    assert_string_equal(read_text("seen", seen, sizeof(seen)),
                        "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"spec\":{\"interactive\":false,\"cluster\":{\"server\":\"https://10.96.0.1:443\","
                        "\"tls-server-name\":\"kubernetes.test\",\"insecure-skip-tls-verify\":true,\"config\":[1]}}}\n<get>\n<a token>\nPLUG_IN_TEST=from the kubeconfig\n");
}

static void test_failures(void **state)
{
    static const struct {
        const char *script, *says;
    } cases[] = {
        {"exit 3", "plug-in\": it ended with status 3; it says why above"},
        {"kill -9 $$", "plug-in\": signal 9 ended it"},
        {"echo Please log in", "plug-in\": what it printed: line 1: it is no JSON"},
        {"exec cat /dev/zero", "plug-in\": it printed more than a credential may have"},
        {NULL, "there is no such program\nApt has it"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct asked asked;

        write_program(cases[i].script ? cases[i].script : "");
        if (!cases[i].script) {
            world.access.exec.command = SLICE_LIT("no-such-plug-in-anywhere");
            world.access.exec.install_hint = SLICE_LIT("Apt has it");
        }
        get(&asked);
        until_over(&asked);
        assert_int_equal(asked.status, 0);
        assert_true(asked.error < 0);
        if (!strstr(asked.why, cases[i].says))
            fail_msg("%zu: %s", i, asked.why);
        api_pass(&world, 600 * NS_PER_S); /* no pause is left of it */
    }
}

static void test_must_ask(void **state)
{
    struct asked asked;

    world.access.exec.interactive = EXEC_ALWAYS;
    write_program(TOKEN);
    get(&asked);
    until_over(&asked);
    assert_non_null(strstr(asked.why, "standard input is no terminal"));
}

/* Its time is not the call's, whose own deadline is 30 s; but it has one itself. */
static void test_time(void **state)
{
    struct asked asked;

    write_program("while ! [ -e go ]; do sleep 0.01; done; " TOKEN);
    get(&asked);
    api_pass(&world, 50 * NS_PER_S);
    assert_non_null(asked.call);
    write_text("go", "", 0644);
    api_answer(next("Bearer t1"), 200, NULL, "{}");
    assert_int_equal(asked.status, 200);

    unlink("go");
    exec_plugin_refused(&world.access, 1);
    get(&asked);
    api_pass(&world, 61 * NS_PER_S);
    until_over(&asked);
    assert_non_null(strstr(asked.why, "plug-in\": it did not end in time"));
}

/* A client that goes ends it. */
static void test_given_up(void **state)
{
    struct asked asked;

    write_program("exec sleep 1000");
    get(&asked);
    api_settle(&world);
}

static void test_static_token(void **state)
{
    struct asked asked;

    world.access.token = SLICE_LIT("static");
    write_program("exit 1");
    get(&asked);
    api_answer(next("Bearer static"), 200, NULL, "{}");
}

static void write_certificate(const char *path, const struct authority *authority)
{
    struct workload workload;
    struct buffer pem, key, text;

    workload_init(&workload, authority, (struct san){SAN_DNS, SLICE_LIT("me.test")});
    buffer_init(&pem, 1 << 16);
    buffer_init(&key, 1 << 16);
    buffer_init(&text, 1 << 16);
    for (size_t i = 0; i < workload.chain.count; i++)
        assert_int_equal(x509_cert_write_pem(workload.chain.certs[i], &pem), 0);
    assert_int_equal(x509_key_write_pem(workload.key, &key), 0);
    buffer_add_lit(&text, "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"status\":{\"clientCertificateData\":");
    buffer_add_json(&text, buffer_slice(&pem));
    buffer_add_lit(&text, ",\"clientKeyData\":");
    buffer_add_json(&text, buffer_slice(&key));
    buffer_add_lit(&text, "}}\n");
    buffer_add_byte(&text, '\0');
    write_text(path, text.data, 0600);
    buffer_release(&pem);
    buffer_release(&key);
    buffer_release(&text);
    workload_release(&workload);
}

/* Another certificate needs another connection; the same one does not. */
static void test_certificate(void **state)
{
    struct asked asked;
    struct served *served;

    write_certificate("first", &world.authority);
    write_certificate("second", &world.authority);
    write_program(COUNTS "if [ $n -lt 3 ]; then cat first; else cat second; fi");
    get(&asked);
    served = next("");
    assert_int_equal(world.connects, 1);
    api_answer(served, 401, NULL, "{}");
    served = next("");
    assert_int_equal(world.connects, 1);
    api_answer(served, 200, NULL, "{}");
    get(&asked);
    api_answer(next(""), 401, NULL, "{}");
    served = next("");
    assert_int_equal(world.connects, 2);
    api_answer(served, 200, NULL, "{}");
    assert_int_equal(asked.status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_token, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_must_ask, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_static_token, setup, teardown),
        cmocka_unit_test_setup_teardown(test_certificate, setup, teardown),
    };
    int null = open("/dev/null", O_RDONLY);

    dup2(null, STDIN_FILENO); /* nobody is there to be asked */
    close(null);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
