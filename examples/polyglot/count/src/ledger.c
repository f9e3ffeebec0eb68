#include "ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 1000000000 };

const char *ledger_add(ledger *ledger, const char *line) {
    size_t length = strcspn(line, " \r\n");
    if (line[0] == '#' || (length == 0 && line[0] != ' ')) return NULL;
    for (int i = 0; i < KINDS; i++) {
        if (strlen(kinds[i].name) != length || memcmp(kinds[i].name, line, length) != 0) continue;
        char *end;
        errno = 0;
        long amount = strtol(line + length, &end, 10);
        if (end == line + length || end[strspn(end, " \r\n")] != '\0') return "the amount is no number";
        if (errno != 0 || amount > LARGEST || amount < -LARGEST) return "the amount is too large";
        if (ledger->totals[i] + amount < 0) return "there is not so much of it";
        if (ledger->totals[i] + amount > LARGEST) return "there is too much of it";
        ledger->totals[i] += amount;
        return NULL;
    }
    return "no such kind";
}
