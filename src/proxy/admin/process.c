#include "proxy/admin/process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/duration.h"

static size_t read_proc(const char *path, char *to, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t n;

    if (!file)
        return 0;
    n = fread(to, 1, size - 1, file);
    fclose(file);
    to[n] = '\0';
    return n;
}

static void gauge(struct buffer *out, const char *name, const char *type, const char *help, double value)
{
    buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name, value);
}

static unsigned count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    if (!dir)
        return 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count > 3 ? count - 3 : 0; /* without ".", ".." and the directory's own */
}

/* The fields of /proc/self/stat behind the name, which may hold spaces: utime is the 12th, stime the 13th ... (proc(5)). */
static void from_stat(struct buffer *out)
{
    char text[2048], *at;
    unsigned long utime = 0, stime = 0, vsize = 0;
    long threads = 0, rss = 0;
    unsigned long long started = 0;
    long hz = sysconf(_SC_CLK_TCK);

    if (!read_proc("/proc/self/stat", text, sizeof(text)) || !(at = strrchr(text, ')')))
        return;
    if (sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %ld %*d %llu %lu %ld", &utime,
               &stime, &threads, &started, &vsize, &rss) != 6)
        return;
    gauge(out, "process_cpu_seconds_total", "counter", "CPU time used, user and system, in seconds.",
          (double)(utime + stime) / (double)hz);
    gauge(out, "process_threads", "gauge", "Threads.", (double)threads);
    gauge(out, "process_virtual_memory_bytes", "gauge", "Virtual memory.", (double)vsize);
    gauge(out, "process_resident_memory_bytes", "gauge", "Resident memory.", (double)rss * (double)sysconf(_SC_PAGESIZE));
}

static void from_net(struct buffer *out)
{
    char text[16384], *line;
    double received = 0, sent = 0;

    if (!read_proc("/proc/self/net/dev", text, sizeof(text)))
        return;
    for (line = strchr(text, '\n'); line && (line = strchr(line + 1, '\n'));) {
        unsigned long long rx, tx;
        char name[32];

        if (sscanf(line + 1, " %31[^:]: %llu %*u %*u %*u %*u %*u %*u %*u %llu", name, &rx, &tx) == 3) {
            received += (double)rx;
            sent += (double)tx;
        }
    }
    gauge(out, "process_network_receive_bytes_total", "counter", "Bytes received by the network namespace.", received);
    gauge(out, "process_network_transmit_bytes_total", "counter", "Bytes sent by the network namespace.", sent);
}

void process_metrics(struct proxy *proxy, struct buffer *out)
{
    struct rlimit limit;
    double wall = (double)proxy->sys->ops->wall(proxy->sys) / (double)NS_PER_S;

    gauge(out, "process_start_time_seconds", "gauge", "When the process started, seconds since 1970.",
          (double)proxy->started_wall_ns / (double)NS_PER_S);
    gauge(out, "process_clock_time_seconds", "gauge", "The wall clock now.", wall);
    gauge(out, "process_uptime_seconds_total", "counter", "Seconds since the process started.",
          wall - (double)proxy->started_wall_ns / (double)NS_PER_S);
    from_stat(out);
    gauge(out, "process_open_fds", "gauge", "Open file descriptors.", count_fds());
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        gauge(out, "process_max_fds", "gauge", "File descriptors that may be open.", (double)limit.rlim_cur);
    from_net(out);
    buffer_printf(out, "# HELP proxy_build_info The build.\n# TYPE proxy_build_info gauge\n"
                       "proxy_build_info{date=\"\",git_sha=\"\",profile=\"release\",vendor=\"clinkerd\",version=\"%s\"} 1\n",
                  CLINKERD_VERSION);
}
