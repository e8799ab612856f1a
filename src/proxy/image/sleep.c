#include "proxy/image/names.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STATUS_FAILED = 1, STATUS_NOT_FOUND = 127, WORD_MAX = 64 };

static const double SECONDS_MAX = 1e9; /* thirty years; "infinity" is as long */

/* "30", "1.5m", "infinity". 0 or -EINVAL. */
static int read_seconds(const char *word, double *ret_seconds)
{
    static const char units[] = "smhd";
    static const double factors[] = {1, 60, 3600, 86400};
    const char *unit;
    char *end;
    double value = strtod(word, &end);

    if (end == word || !(value >= 0))
        return -EINVAL;
    if (*end) {
        unit = end[1] == '\0' ? strchr(units, *end) : NULL;
        if (!unit)
            return -EINVAL;
        value *= factors[unit - units];
    }
    *ret_seconds = value;
    return 0;
}

static void sleep_for(double seconds)
{
    struct timespec left = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};

    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        ;
}

int image_sleep_main(int argc, char *const argv[])
{
    double total = 0, seconds;

    for (int i = 1; i < argc; i++) {
        if (read_seconds(argv[i], &seconds) < 0) {
            fprintf(stderr, "sleep: \"%s\" is not a time; expected such as 30, 1.5m, 2h\n", argv[i]);
            return STATUS_FAILED;
        }
        total = fmin(total + seconds, SECONDS_MAX);
    }
    if (argc < 2) {
        fprintf(stderr, "sleep: a time is missing; expected such as 30, 1.5m, 2h\n");
        return STATUS_FAILED;
    }
    sleep_for(total);
    return 0;
}

/* The last word of "sleep WORD", copied without the blanks around it. 0 or -EINVAL. */
static int sleep_word(const char *script, char ret_word[WORD_MAX])
{
    char rest = '\0';

    return sscanf(script, " sleep %63[0-9.smhd] %c", ret_word, &rest) == 1 ? 0 : -EINVAL;
}

int image_bash_main(int argc, char *const argv[])
{
    char name[] = "sleep", word[WORD_MAX], *sleep_argv[] = {name, word, NULL};

    if (argc == 3 && strcmp(argv[1], "-c") == 0 && sleep_word(argv[2], word) == 0)
        return image_sleep_main(2, sleep_argv);
    fprintf(stderr, "bash: this image has no shell; all it does is bash -c \"sleep SECONDS\"\n");
    return STATUS_NOT_FOUND;
}
