#include "ledger.h"

#include <stdio.h>
#include <string.h>

static int failures;

static void check(int holds, const char *what) {
    if (holds) return;
    failures++;
    fprintf(stderr, "not so: %s\n", what);
}

#define CHECK(condition) check((condition), #condition)

static long sum(const ledger *ledger) {
    long sum = 0;
    for (int i = 0; i < KINDS; i++) sum += ledger->totals[i];
    return sum;
}

int main(void) {
    ledger ledger = {0};
    CHECK(ledger_add(&ledger, "jam 5\n") == NULL);
    CHECK(ledger_add(&ledger, "jam -2") == NULL);
    CHECK(ledger_add(&ledger, "# jam 100\n") == NULL && ledger_add(&ledger, "\n") == NULL);
    CHECK(sum(&ledger) == 3);
    static const char *const bad[] = {"jam", "jam x\n", "jam 1 2\n", "jam -4\n", "jam 99999999999999999999\n", "ja 1\n", " 1\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(ledger_add(&ledger, bad[i]) != NULL);
    CHECK(sum(&ledger) == 3);
    if (!failures) puts("ledger: all well");
    return failures != 0;
}
