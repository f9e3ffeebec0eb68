/* A test harness of one macro: CHECK counts, names what failed, and goes on. `return check_report();` ends main. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

static int check_count, check_failures;

#define CHECK(condition)                                                          \
    do {                                                                          \
        check_count++;                                                            \
        if (!(condition)) {                                                       \
            check_failures++;                                                     \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
        }                                                                         \
    } while (0)

static int check_report(void) {
    printf("%d checks, %d failed\n", check_count, check_failures);
    return check_failures != 0;
}

#endif
