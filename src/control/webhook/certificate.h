/*
 * What a webhook's port proves itself by: a certificate with its key, from files (as a Secret is mounted) or given by whoever makes them
 * (control/webhook/own_certificate.h). It may change at any time: new connections get the new one, those there are stay as they are. What
 * cannot be used changes nothing and is logged.
 */
#pragma once

#include "base/errmsg.h"
#include "control/controller.h"
#include "net/tls/tls_web.h"

struct webhook_certificate;

/* The family webhook_certificate_expiration_timestamp_seconds, before the first shard: its id or a negative errno, for the controller. */
int webhook_certificate_register(struct metrics *metrics);

/*
 * `name` is for the log. Files that are not there yet are no error: they are waited for. With `certificate_file` NULL there are none, and
 * webhook_certificate_give() is the only way. 0 or -ENOMEM.
 */
int webhook_certificate_new(struct controller *controller, const char *name, const char *certificate_file, const char *key_file,
                            struct webhook_certificate **ret_certificate);
/* After the ports that use it. NULL is allowed. */
void webhook_certificate_free(struct webhook_certificate *certificate);
/* PEM. 0, or -EINVAL, -EKEYREJECTED, -ENOMEM with a sentence; then the one before stays. */
int webhook_certificate_give(struct webhook_certificate *certificate, struct slice chain, struct slice key, struct errmsg *msg);
/* Borrowed; NULL while there is none. */
struct tls_context *webhook_certificate_context(const struct webhook_certificate *certificate);
