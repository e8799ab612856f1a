/*
 * Credential plug-ins: programs that a kubeconfig names (`exec`) and that print a token or a client certificate. Run on the loop; nothing waits for
 * them but who needs what they print.
 *
 *     if (!exec_plugin_ready(access, wall_ns))
 *         exec_plugin_start(access, loop, done, owner, &msg)  ->  done()
 *     kube_access_authorization(access), kube_access_tls(access)      use what it gave
 *     exec_plugin_refused(access, exec_plugin_generation(access))     after a 401: what it gave is no good any more
 *
 * The program is told what kubectl tells it (KUBERNETES_EXEC_INFO, the kubeconfig's arguments and variables). It has standard input only
 * where it may ask the user and that is a terminal; its standard error is ours. It is ended after a minute, or five where it may ask. What it prints is bounded
 * (LIMIT_EXEC_OUTPUT), and kept until the time that it names. A static token of the same user makes a plug-in unnecessary.
 *
 * The state hangs on the access, which is used by one thread and one client.
 */
#pragma once

#include "event/loop.h"
#include "kube/access/access.h"

struct exec_plugin;

int exec_plugin_new(struct exec_plugin **ret_plugin); /* 0 or -ENOMEM */
/* Must not run. NULL is allowed. */
void exec_plugin_free(struct exec_plugin *plugin);

/* What it gave last; NULL: nothing yet. Until the next done(). */
const struct exec_credential *exec_plugin_credential(const struct exec_plugin *plugin);

/* Whether requests can be made: there is no plug-in, or what it gave is good. */
bool exec_plugin_ready(const struct kube_access *access, int64_t wall_ns);
/* Counts what it gave; 0: nothing yet. And its certificates that differed. */
unsigned exec_plugin_generation(const struct kube_access *access);
unsigned exec_plugin_certificates(const struct kube_access *access);
/* What it gave as this generation is no good; of an earlier one, nothing happens. */
void exec_plugin_refused(const struct kube_access *access, unsigned generation);

/*
 * Runs it; done() follows from the loop, with 0, or a negative errno and a sentence. -EBUSY: it runs already; -ENOENT: there is no such
 * program; -ENOTTY: it must ask the user, and there is none; or what the system says.
 */
int exec_plugin_start(const struct kube_access *access, struct loop *loop, void (*done)(void *owner, int error, const struct errmsg *msg), void *owner,
                      struct errmsg *msg);
/* Ends it; done() is not called any more. Does nothing when it does not run. */
void exec_plugin_stop(const struct kube_access *access);
