#include "pinch/glob.h"

/* If `pattern` at `at` (an opening bracket) is a set, stores where it ends and returns whether `c` is in it. */
static bool in_set(pn_str pattern, size_t at, unsigned char c, size_t *end, bool *closed) {
    size_t i = at + 1;
    bool negated = i < pattern.len && (pattern.at[i] == '!' || pattern.at[i] == '^');
    if (negated) i++;
    bool found = false;
    for (size_t first = i; i < pattern.len; i++) {
        if (pattern.at[i] == ']' && i > first) {
            *end = i + 1;
            *closed = true;
            return found != negated && c != '/';
        }
        if (pattern.at[i] == '\\' && i + 1 < pattern.len) i++;
        unsigned char low = (unsigned char)pattern.at[i], high = low;
        if (i + 2 < pattern.len && pattern.at[i + 1] == '-' && pattern.at[i + 2] != ']') {
            i += 2;
            if (pattern.at[i] == '\\' && i + 1 < pattern.len) i++;
            high = (unsigned char)pattern.at[i];
        }
        found = found || (c >= low && c <= high);
    }
    *closed = false;
    return false;
}

/* Whether the single element of `pattern` at `*at` matches `c`; then `*at` is moved past it. */
static bool match_one(pn_str pattern, size_t *at, char c) {
    char p = pattern.at[*at];
    size_t end = *at + 1;
    if (p == '?') {
        if (c == '/') return false;
    } else if (p == '[') {
        bool closed;
        bool inside = in_set(pattern, *at, (unsigned char)c, &end, &closed);
        if (closed ? !inside : c != '[') return false;
    } else {
        if (p == '\\' && end < pattern.len) p = pattern.at[end++];
        if (p != c) return false;
    }
    *at = end;
    return true;
}

/* Length of `**` with its slash at `at`, if it is a whole component; else 0. */
static size_t globstar(pn_str pattern, size_t at) {
    if (pattern.len - at < 2 || pattern.at[at] != '*' || pattern.at[at + 1] != '*') return 0;
    if (at > 0 && pattern.at[at - 1] != '/') return 0;
    if (at + 2 == pattern.len) return 2;
    return pattern.at[at + 2] == '/' ? 3 : 0;
}

bool pn_glob(pn_str pattern, pn_str path) {
    size_t const none = SIZE_MAX;
    size_t p = 0, t = 0;
    size_t star = none, star_text = 0; /* after the last `*`, and where its match ends so far */
    size_t deep = none, deep_text = 0; /* the same for the last double star, in whole components */
    for (;;) {
        bool ok;
        if (p < pattern.len && pattern.at[p] == '*') {
            size_t len = globstar(pattern, p);
            if (len == 2) return path.len > 0;
            if (len == 3) {
                p += 3;
                deep = p;
                deep_text = t;
                star = none;
            } else {
                while (p < pattern.len && pattern.at[p] == '*') p++;
                star = p;
                star_text = t;
            }
            continue;
        }
        if (p == pattern.len) {
            if (t == path.len) return true;
            ok = false;
        } else {
            ok = t < path.len && match_one(pattern, &p, path.at[t]);
        }
        if (ok) {
            t++;
        } else if (star != none && star_text < path.len && path.at[star_text] != '/') {
            t = ++star_text;
            p = star;
        } else if (deep != none) {
            while (deep_text < path.len && path.at[deep_text] != '/') deep_text++;
            if (deep_text == path.len) return false;
            t = ++deep_text;
            p = deep;
            star = none;
        } else {
            return false;
        }
    }
}
