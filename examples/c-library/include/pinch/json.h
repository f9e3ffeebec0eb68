/* JSON (RFC 8259): a strict parser into an arena, and a writer.
 *
 * The parser accepts what the RFC accepts and nothing else: valid UTF-8, no comments, no trailing commas, one value.
 * Nesting is limited to PN_JSON_DEPTH; memory by the arena's limit. Numbers keep the text they were written with, so
 * that large integers survive a round trip. A name that occurs twice in an object is kept twice.
 */
#ifndef PINCH_JSON_H
#define PINCH_JSON_H

#include "pinch/arena.h"
#include "pinch/buf.h"

#define PN_JSON_DEPTH 128

typedef enum pn_json_kind { PN_NULL, PN_BOOL, PN_NUMBER, PN_STRING, PN_ARRAY, PN_OBJECT } pn_json_kind;

typedef struct pn_json {
    pn_json_kind kind;
    bool truth;            /* PN_BOOL */
    double number;         /* PN_NUMBER, to the nearest double; infinite if too large */
    pn_str text;           /* PN_STRING: its bytes, NUL-terminated, maybe with NULs inside; PN_NUMBER: as written */
    pn_str name;           /* of a member of an object */
    struct pn_json *first; /* PN_ARRAY, PN_OBJECT: elements or members, linked by `next` */
    struct pn_json *next;
    size_t count; /* number of elements or members */
} pn_json;

typedef struct pn_json_error {
    size_t line, column;  /* from 1; columns are bytes */
    const char *message;  /* static */
} pn_json_error;

/* The value that `text` spells, allocated in `arena`; NULL on error, described in `*error` (unless that is NULL). */
const pn_json *pn_json_parse(pn_arena *arena, pn_str text, pn_json_error *error);

/* The member of an object with that name (the last, if there are several), or NULL. NULL also if `value` is no object or
 * is NULL, so that look-ups can be chained. */
const pn_json *pn_json_get(const pn_json *value, const char *name);

/* Writes a parsed value; `indent` spaces per level, or compact on one line if 0. */
void pn_json_write(pn_buf *out, const pn_json *value, unsigned indent);

/* Writes `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void pn_json_write_string(pn_buf *out, pn_str text);

#endif
