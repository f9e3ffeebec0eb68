/* count: reads a ledger from standard input and prints `KIND TOTAL UNIT` for each kind. */
#include "ledger.h"

#include <stdio.h>

int main(void) {
    ledger ledger = {0};
    char line[256];
    for (int number = 1; fgets(line, sizeof line, stdin); number++) {
        const char *wrong = ledger_add(&ledger, line);
        if (wrong) {
            fprintf(stderr, "count: line %d: %s\n", number, wrong);
            return 1;
        }
    }
    for (int i = 0; i < KINDS; i++) printf("%s %ld %s\n", kinds[i].name, ledger.totals[i], kinds[i].unit);
    return 0;
}
