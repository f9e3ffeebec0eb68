/* Glob patterns over paths with `/`.
 *
 *   ?      one byte, not `/`              [a-z]  one byte of the set; [!a-z] one that is not in it; never `/`
 *   *      any bytes, not `/`             **     as a whole component: any number of components, also none
 *   \x     the byte x itself
 *
 * A pattern without a closing bracket matches `[` literally. Matching needs no memory, and its time is bounded by
 * |pattern| x |path|^2 whatever the pattern.
 */
#ifndef PINCH_GLOB_H
#define PINCH_GLOB_H

#include "pinch/str.h"

/* Whether `pattern` matches all of `path`. */
bool pn_glob(pn_str pattern, pn_str path);

#endif
