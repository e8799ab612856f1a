/*
 * /connections: who is connected, since when, and in which step of its path; below an HTTP connection its requests, with
 * their own step, age, status so far, bytes of bodies passed on, method and path. The
 * workers write their part of the list themselves, between turns, so that no lock
 * is needed on a path. Workers never block, so the admin waits for them.
 */
#pragma once

#include "base/buffer.h"
#include "proxy/proxy.h"

void connections_page(struct proxy *proxy, struct buffer *out);
