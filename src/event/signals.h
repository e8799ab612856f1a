/*
 * Signals as events of the first thread's loop (signalfd). SIGPIPE is ignored
 * for the whole process.
 */
#pragma once

#include "event/loop.h"

struct signals {
    struct loop *loop;
    struct watch watch;
    void (*on_signal)(struct signals *signals, int number); /* may be called many times in a turn */
};

/* Blocks the signals listed (ending with 0) for this thread and those it starts, and reads them from now on. */
int signals_start(struct signals *signals, struct loop *loop, const int *numbers,
                  void (*on_signal)(struct signals *signals, int number));
void signals_stop(struct signals *signals);
