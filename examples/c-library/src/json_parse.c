#include "pinch/json.h"
#include "pinch/utf8.h"

#include <locale.h>
#include <stdlib.h>

typedef struct parser {
    pn_arena *arena;
    pn_str all;
    size_t at;
    const char *message; /* set once, by the first error, with `at` where it is */
} parser;

static bool fail(parser *p, const char *message) {
    if (!p->message) p->message = message;
    return false;
}

/* The next byte, or -1 at the end. */
static int peek(const parser *p) {
    return p->at < p->all.len ? (unsigned char)p->all.at[p->at] : -1;
}

static bool take(parser *p, char c) {
    if (peek(p) != (unsigned char)c) return false;
    p->at++;
    return true;
}

static void skip_space(parser *p) {
    while (take(p, ' ') || take(p, '\n') || take(p, '\r') || take(p, '\t')) {}
}

static bool word(parser *p, const char *text) {
    for (size_t i = 0; text[i]; i++)
        if (!take(p, text[i])) return fail(p, "not a value");
    return true;
}

static bool hex4(parser *p, uint32_t *out) {
    *out = 0;
    for (int i = 0; i < 4; i++) {
        int c = peek(p);
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return fail(p, "expected four hexadecimal digits");
        *out = *out << 4 | (uint32_t)digit;
        p->at++;
    }
    return true;
}

/* What follows a backslash, written to `*to`, which moves on. Never longer than its spelling. */
static bool escape(parser *p, char **to) {
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    int c = peek(p);
    const char *found = c > 0 ? strchr(from, c) : NULL;
    if (found) {
        *(*to)++ = into[found - from];
        p->at++;
        return true;
    }
    uint32_t point, low;
    if (!take(p, 'u')) return fail(p, "unknown escape");
    if (!hex4(p, &point)) return false;
    if (point >= 0xd800 && point < 0xdc00) {
        if (!take(p, '\\') || !take(p, 'u')) return fail(p, "half of a surrogate pair");
        if (!hex4(p, &low)) return false;
        if (low < 0xdc00 || low > 0xdfff) return fail(p, "half of a surrogate pair");
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    size_t len = pn_utf8_encode(point, *to);
    if (len == 0) return fail(p, "half of a surrogate pair");
    *to += len;
    return true;
}

static bool string(parser *p, pn_str *out) {
    if (!take(p, '"')) return fail(p, "expected a string");
    size_t end = p->at; /* of the spelling, which bounds the length of what it means */
    while (end < p->all.len && p->all.at[end] != '"') end += p->all.at[end] == '\\' ? 2 : 1;
    if (end >= p->all.len) {
        p->at = p->all.len;
        return fail(p, "string without an end");
    }
    char *start = pn_alloc(p->arena, end - p->at + 1);
    if (!start) return fail(p, "out of memory");
    char *to = start;
    while (!take(p, '"')) {
        if (take(p, '\\')) {
            if (!escape(p, &to)) return false;
            continue;
        }
        if (peek(p) < 0x20) return fail(p, "control character in a string");
        pn_str rest = {p->all.at + p->at, p->all.len - p->at};
        if (pn_utf8_next(&rest) == PN_UTF8_BAD) return fail(p, "not UTF-8");
        while (p->all.at + p->at < rest.at) *to++ = p->all.at[p->at++];
    }
    *out = (pn_str){start, (size_t)(to - start)};
    return true;
}

static bool digits(parser *p) {
    if (peek(p) < '0' || peek(p) > '9') return fail(p, "expected a digit");
    while (peek(p) >= '0' && peek(p) <= '9') p->at++;
    return true;
}

/* strtod reads the locale's decimal point, so that is what it is given. */
static bool to_double(parser *p, pn_str text, double *out) {
    const char *point = localeconv()->decimal_point;
    size_t dot = 0;
    while (dot < text.len && text.at[dot] != '.') dot++;
    char *copy = pn_alloc(p->arena, text.len + strlen(point) + 1);
    if (!copy) return fail(p, "out of memory");
    memcpy(copy, text.at, dot);
    if (dot < text.len) {
        strcpy(copy + dot, point);
        memcpy(copy + dot + strlen(point), text.at + dot + 1, text.len - dot - 1);
    }
    *out = strtod(copy, NULL);
    return true;
}

static bool number(parser *p, pn_json *into) {
    size_t start = p->at;
    take(p, '-');
    if (!take(p, '0') && !digits(p)) return false;
    if (take(p, '.') && !digits(p)) return false;
    if (take(p, 'e') || take(p, 'E')) {
        if (!take(p, '+')) take(p, '-');
        if (!digits(p)) return false;
    }
    into->text = pn_arena_copy(p->arena, (pn_str){p->all.at + start, p->at - start});
    if (!into->text.at) return fail(p, "out of memory");
    return to_double(p, into->text, &into->number);
}

static bool value(parser *p, pn_json *into, unsigned depth);

/* The elements or members of `into`, up to `close`. */
static bool children(parser *p, pn_json *into, char close, unsigned depth) {
    if (depth == PN_JSON_DEPTH) return fail(p, "nested too deeply");
    pn_json **link = &into->first;
    skip_space(p);
    if (take(p, close)) return true;
    do {
        pn_json *child = pn_alloc(p->arena, sizeof *child);
        if (!child) return fail(p, "out of memory");
        skip_space(p);
        if (into->kind == PN_OBJECT) {
            if (!string(p, &child->name)) return false;
            skip_space(p);
            if (!take(p, ':')) return fail(p, "expected `:`");
            skip_space(p);
        }
        if (!value(p, child, depth + 1)) return false;
        *link = child;
        link = &child->next;
        into->count++;
        skip_space(p);
    } while (take(p, ','));
    return take(p, close) || fail(p, close == ']' ? "expected `,` or `]`" : "expected `,` or `}`");
}

static bool value(parser *p, pn_json *into, unsigned depth) {
    switch (peek(p)) {
    case 'n': into->kind = PN_NULL; return word(p, "null");
    case 't': into->kind = PN_BOOL; into->truth = true; return word(p, "true");
    case 'f': into->kind = PN_BOOL; return word(p, "false");
    case '"': into->kind = PN_STRING; return string(p, &into->text);
    case '[': into->kind = PN_ARRAY; p->at++; return children(p, into, ']', depth);
    case '{': into->kind = PN_OBJECT; p->at++; return children(p, into, '}', depth);
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        into->kind = PN_NUMBER;
        return number(p, into);
    default: return fail(p, "expected a value");
    }
}

const pn_json *pn_json_parse(pn_arena *arena, pn_str text, pn_json_error *error) {
    parser p = {arena, text, 0, NULL};
    pn_json *root = pn_alloc(arena, sizeof *root);
    if (!root) fail(&p, "out of memory");
    skip_space(&p);
    if (root && value(&p, root, 0)) {
        skip_space(&p);
        if (p.at == text.len) return root;
        fail(&p, "expected the end");
    }
    if (error) {
        *error = (pn_json_error){1, 1, p.message};
        for (size_t i = 0; i < p.at; i++) {
            error->column++;
            if (text.at[i] == '\n') {
                error->line++;
                error->column = 1;
            }
        }
    }
    return NULL;
}

const pn_json *pn_json_get(const pn_json *value, const char *name) {
    const pn_json *found = NULL;
    if (!value || value->kind != PN_OBJECT) return NULL;
    for (const pn_json *member = value->first; member; member = member->next)
        if (pn_str_equal(member->name, pn_cstr(name))) found = member;
    return found;
}
