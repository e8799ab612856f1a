/*
 * Stands in for libFuzzer: runs LLVMFuzzerTestOneInput once over every file that
 * is named on the command line, or lies in a directory named there. So the
 * corpora serve as regression tests with any compiler. Each input lies alone in
 * memory of its exact size, so that AddressSanitizer sees the first byte too far.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned inputs;

static int replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size ? size : 1);
    int r = -1;

    if (file && data && fread(data, 1, size, file) == size) {
        LLVMFuzzerTestOneInput(size ? data : NULL, size);
        inputs++;
        r = 0;
    } else {
        fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
    }
    free(data);
    if (file)
        fclose(file);
    return r;
}

static int replay(const char *path)
{
    struct dirent **names;
    struct stat what;
    int count, r = 0;

    if (stat(path, &what) < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    if (!S_ISDIR(what.st_mode))
        return replay_file(path, (size_t)what.st_size);
    count = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char inner[4096];

        snprintf(inner, sizeof(inner), "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && replay(inner) < 0)
            r = -1;
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    return count < 0 ? -1 : r;
}

int main(int argc, char **argv)
{
    int failed = 0;

    for (int i = 1; i < argc; i++)
        if (replay(argv[i]) < 0)
            failed = 1;
    fprintf(stderr, "%u inputs\n", inputs);
    return failed || inputs == 0; /* an empty corpus proves nothing */
}
