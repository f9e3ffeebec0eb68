/* A ledger: lines that say `KIND AMOUNT`, such as `flour 500` or `jam -1`, and what they come to.
 *
 * Empty lines and those that begin with # are passed over. Totals are one per kind, in the order of kinds.h.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "kinds.h"

typedef struct ledger {
    long totals[KINDS];
} ledger;

/* Adds one line (its newline may be there). NULL if that was well, else what is wrong; then nothing has changed. */
const char *ledger_add(ledger *ledger, const char *line);

#endif
