/* The step that serves HTTP on an accepted connection, in both directions. */
#pragma once

#include "proxy/conn.h"

enum step_result serve_http(struct walker *walker, enum why why);
