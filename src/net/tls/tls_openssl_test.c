/*
 * The programs `openssl s_client` and `openssl s_server` as peers over TCP, with changes of keys on their initiative.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/tls/tls_fixture.h"
#include "net/tls/tls_internal.h"

#define SERVER "web.shop.serviceaccount.identity.linkerd.cluster.local"
#define CLIENT "cart.shop.serviceaccount.identity.linkerd.cluster.local"
#define AT_TIME "1700000000" /* FIXTURE_WALL */

static const struct san server_id = {SAN_DNS, {SERVER, sizeof(SERVER) - 1}};
static const struct san client_id = {SAN_DNS, {CLIENT, sizeof(CLIENT) - 1}};

struct fixture {
    struct tls_world world;
    struct authority authority;
    struct workload server, client;
    struct tls_context *server_ctx, *client_ctx;
    struct tls_end end;
    char directory[64];
    pid_t pid;        /* of the program */
    int in, out;      /* its standard input and output */
    char text[65536]; /* what it has said */
    size_t len;
};

static void path_of(const struct fixture *f, const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", f->directory, name);
}

static void write_file(const struct fixture *f, const char *name, const struct buffer *bytes)
{
    char path[128];
    FILE *file;

    path_of(f, name, path);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes->data, 1, bytes->len, file), bytes->len);
    fclose(file);
}

static void write_workload(const struct fixture *f, const struct workload *workload, const char *cert, const char *key)
{
    struct buffer pem;

    buffer_init(&pem, 1 << 16);
    for (size_t i = 0; i < workload->chain.count; i++)
        x509_cert_write_pem(workload->chain.certs[i], &pem);
    write_file(f, cert, &pem);
    buffer_clear(&pem);
    x509_key_write_pem(workload->key, &pem);
    write_file(f, key, &pem);
    buffer_release(&pem);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct buffer pem;

    signal(SIGPIPE, SIG_IGN);
    snprintf(f->directory, sizeof(f->directory), "/tmp/tls-openssl-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    tls_world_init(&f->world);
    authority_init(&f->authority, "root");
    workload_init(&f->server, &f->authority, server_id);
    workload_init(&f->client, &f->authority, client_id);
    f->server_ctx = tls_world_context(&f->world, &f->server, server_id, &f->authority.anchors);
    f->client_ctx = tls_world_context(&f->world, &f->client, client_id, &f->authority.anchors);
    write_workload(f, &f->server, "server.crt", "server.key");
    write_workload(f, &f->client, "client.crt", "client.key");
    buffer_init(&pem, 1 << 16);
    x509_cert_write_pem(f->authority.anchor, &pem);
    write_file(f, "ca.crt", &pem);
    buffer_release(&pem);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"server.crt", "server.key", "client.crt", "client.key", "ca.crt"};
    struct fixture *f = *state;
    char path[128];

    if (f->pid > 0) {
        kill(f->pid, SIGKILL);
        waitpid(f->pid, NULL, 0);
        close(f->in);
        close(f->out);
    }
    io_close(&f->end.stack, true);
    tls_context_unref(f->server_ctx);
    tls_context_unref(f->client_ctx);
    workload_release(&f->server);
    workload_release(&f->client);
    authority_release(&f->authority);
    tls_world_release(&f->world);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        path_of(f, names[i], path);
        unlink(path);
    }
    rmdir(f->directory);
    free(f);
    return 0;
}

static void run(struct fixture *f, const char *const arguments[])
{
    int to[2], from[2];

    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    f->pid = fork();
    assert_true(f->pid >= 0);
    if (f->pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        dup2(from[1], 2);
        if (chdir(f->directory) == 0)
            execvp("openssl", (char *const *)arguments);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    f->in = to[1];
    f->out = from[0];
    fcntl(f->out, F_SETFL, O_NONBLOCK);
}

static void say(struct fixture *f, const char *line)
{
    assert_int_equal(write(f->in, line, strlen(line)), strlen(line));
}

static void listen_to(struct fixture *f)
{
    ssize_t n = read(f->out, f->text + f->len, sizeof(f->text) - 1 - f->len);

    if (n > 0)
        f->len += (size_t)n;
    f->text[f->len] = '\0';
}

static void note_ready(struct io_stack *stack)
{
}

/* Turns the loop, waiting for sockets and for the program, until it is so; ten seconds of silence fail the test. */
static void turn(struct fixture *f)
{
    struct pollfd fds = {f->out, POLLIN, 0};

    loop_turn(&f->world.loop, 10000000);
    (void)poll(&fds, 1, 0);
    listen_to(f);
}

static const char *wait_for(struct fixture *f, const char *what)
{
    for (int i = 0; i < 1000; i++) {
        const char *at = strstr(f->text, what);

        if (at)
            return at;
        turn(f);
    }
    fail_msg("never said \"%s\": %s", what, f->text);
    return NULL;
}

static void shake(struct fixture *f)
{
    int r = -EAGAIN;
    struct errmsg msg;

    for (int i = 0; i < 1000 && r == -EAGAIN; i++) {
        r = tls_handshake(&f->end.stack);
        if (r == -EAGAIN)
            turn(f);
    }
    tls_failure_text(&f->end.stack, &msg);
    if (r != 0)
        fail_msg("%d: %s; %s", r, msg.text, f->text);
}

static void expect_line(struct fixture *f, const char *line)
{
    char bytes[256];
    size_t got = 0;

    for (int i = 0; i < 1000 && got < strlen(line); i++) {
        ssize_t n = io_read(&f->end.stack, bytes + got, sizeof(bytes) - got);

        if (n == -EAGAIN)
            turn(f);
        else if (n <= 0)
            fail_msg("read: %zd; %s", n, f->text);
        else
            got += (size_t)n;
    }
    assert_int_equal(got, strlen(line));
    assert_memory_equal(bytes, line, got);
}

/* Their change of keys has come, and ours has gone where it was asked for: both directions count from 0 again. */
static void expect_new_keys(struct fixture *f, bool ours)
{
    const struct tls *tls = tls_of(&f->end.stack);
    char byte;

    for (int i = 0; i < 1000 && tls->rx.sequence > 0; i++) {
        assert_int_equal(io_read(&f->end.stack, &byte, 1), -EAGAIN);
        turn(f);
    }
    assert_int_equal(tls->rx.sequence, 0);
    assert_true(ours ? tls->tx.sequence == 0 : tls->tx.sequence > 0);
}

static void converse(struct fixture *f)
{
    for (int i = 0; i < 3; i++) {
        char line[32];

        say(f, "to us\n");
        expect_line(f, "to us\n");
        snprintf(line, sizeof(line), "to them %d\n", i);
        tls_write(&f->world, &f->end, line, strlen(line));
        wait_for(f, line);
        say(f, i ? "K\n" : "k\n"); /* new keys of theirs; then also of ours */
        expect_new_keys(f, i > 0); /* a line that it reads together with a command would be lost */
    }
    say(f, "end\n");
    expect_line(f, "end\n");
}

static void test_s_client(void **state)
{
    char address[ADDR_TEXT_MAX];
    const char *arguments[] = {"openssl",
                               "s_client",
                               "-connect",
                               address,
                               "-servername",
                               SERVER,
                               "-cert",
                               "client.crt",
                               "-cert_chain",
                               "client.crt",
                               "-key",
                               "client.key",
                               "-CAfile",
                               "ca.crt",
                               "-verify_return_error",
                               "-verify_hostname",
                               SERVER,
                               "-attime",
                               AT_TIME,
                               "-verify",
                               "4",
                               NULL};
    struct fixture *f = *state;
    const struct sys_ops *ops = f->world.sys.ops;
    struct addr any = {ip_v4(0x7f000001), 0}, addr, peer;
    struct tls_peer who;
    int listener = ops->listen(&f->world.sys, any, 1), fd = -EAGAIN;

    assert_true(listener >= 0);
    assert_int_equal(ops->local_addr(&f->world.sys, listener, &addr), 0);
    addr_format(addr, address);
    run(f, arguments);
    for (int i = 0; i < 1000 && fd == -EAGAIN; i++) {
        fd = ops->accept(&f->world.sys, listener, &peer);
        if (fd == -EAGAIN)
            turn(f);
    }
    assert_true(fd >= 0);
    ops->close(&f->world.sys, listener, false);
    assert_int_equal(io_open(&f->end.stack, &f->world.loop, fd, note_ready), 0);
    assert_int_equal(tls_push_server(&f->end.stack, f->server_ctx, NULL, 0), 0);
    shake(f);
    assert_true(tls_peer(&f->end.stack, &who));
    assert_true(san_eq(who.id, client_id));
    wait_for(f, "Verify return code: 0 (ok)");
    converse(f);
}

static void test_s_server(void **state)
{
    const char *arguments[] = {"openssl",    "s_server",    "-accept",    "127.0.0.1:0", "-cert",
                               "server.crt", "-cert_chain", "server.crt", "-key",        "server.key",
                               "-CAfile",    "ca.crt",      "-Verify",    "4",           "-verify_return_error",
                               "-attime",    AT_TIME,       "-naccept",   "1",           NULL};
    struct tls_client options = {.server_name = server_id.name, .expected = server_id};
    struct fixture *f = *state;
    struct tls_peer who;
    struct addr addr;
    const char *at;
    size_t len;
    int fd;

    run(f, arguments);
    at = wait_for(f, "ACCEPT 127.0.0.1:") + strlen("ACCEPT ");
    while (!strchr(at, '\n'))
        turn(f);
    len = strcspn(at, "\r\n");
    assert_int_equal(addr_parse(slice_of(at, len), &addr), 0);
    fd = f->world.sys.ops->connect(&f->world.sys, addr);
    assert_true(fd >= 0);
    assert_int_equal(io_open(&f->end.stack, &f->world.loop, fd, note_ready), 0);
    assert_int_equal(tls_push_client(&f->end.stack, f->client_ctx, &options), 0);
    while (!f->end.stack.writable)
        turn(f);
    shake(f);
    assert_true(tls_peer(&f->end.stack, &who));
    assert_true(san_eq(who.id, server_id));
    wait_for(f, "CIPHER is TLS_AES_128_GCM_SHA256");
    converse(f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_s_client), TEST(test_s_server)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
