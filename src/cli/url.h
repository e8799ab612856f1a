/*
 * What is at an http or https address, whole, for `linkerd inject https://...`: over kube/api/api_client.h, so through the proxy that the environment
 * names, by HTTP/2 where the server has it, and believing the authorities of the system. Redirections are followed, at most LIMIT_REDIRECTIONS, and
 * never from https to http. Blocks, at most half a minute.
 */
#pragma once

#include "base/buffer.h"
#include "base/errmsg.h"

bool url_is(const char *text);
/* Appends at most as many bytes as the buffer may hold. Sentences begin with the URL. */
int url_read(const char *url, struct errmsg *msg, struct buffer *ret_bytes);

/* Where a Location leads from the URL, both as text. 0, -EINVAL or -ENOMEM. */
int url_join(struct slice url, struct slice location, struct buffer *ret_url);
