//! Glob patterns as KEYS, SCAN, PSUBSCRIBE, CONFIG GET and ACL rules take them.
//!
//! `*` is any run of bytes, `?` one byte, `[a-z]` one byte of a class, `[^a-z]` one byte outside of it, `\x` the byte `x`.
//! Malformed patterns match something all the same, and like Redis: a class that nobody closes ends with the pattern, a range's
//! ends may be in either order, a `\` at the very end is itself, and `]` straight after `[` or `[^` closes the class.
//!
//! Every element except `*` takes one byte of text, so when a match fails only the last `*` needs to be tried again, one byte
//! further on: no recursion, and O(pattern * text) at worst. Recursion per `*` is what made Redis hang and overflow its stack
//! (CVE-2022-36021, CVE-2024-31228). Compiling the pattern was rejected: most matches end within the literal prefix.
//!
//! As in Redis only the empty pattern matches the empty text: not even `*` does, but commands that take it for everything
//! (KEYS, SCAN) do not come here with it. One difference, on purpose: bytes are unsigned in ranges (in Redis as the C
//! compiler has it).

/// Whether ASCII letters match their other case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `a` is not `A`.
    Sensitive,
    /// `a` is `A`.
    Insensitive,
}

/// Whether the pattern matches the whole text. O(pattern * text) at worst, constant memory.
pub fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    let prefix = literal_prefix(pattern);
    if text.is_empty() || prefix.len() == pattern.len() {
        return is_equal(pattern, text, case);
    }
    if text.len() < prefix.len() || !is_equal(prefix, &text[..prefix.len()], case) {
        return false;
    }
    matches_special(&pattern[prefix.len()..], &text[prefix.len()..], case)
}

/// The pattern's bytes up to the first special one: each text that matches starts with them (in some case).
pub fn literal_prefix(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|&byte| is_special(byte)).unwrap_or(pattern.len());
    &pattern[..end]
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[' | b'\\')
}

fn is_equal(left: &[u8], right: &[u8], case: Case) -> bool {
    match case {
        Case::Sensitive => left == right,
        Case::Insensitive => left.eq_ignore_ascii_case(right),
    }
}

fn matches_special(pattern: &[u8], text: &[u8], case: Case) -> bool {
    let mut pattern_at = 0;
    let mut text_at = 0;
    // Where to go on when a match fails: behind the last star, with the star grown to end here.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match pattern.get(pattern_at) {
            Some(b'*') => {
                pattern_at += 1;
                if pattern_at == pattern.len() {
                    return true;
                }
                retry = Some((pattern_at, text_at));
                continue;
            }
            // What is left of the pattern takes at least one byte; a longer star would leave it fewer.
            Some(_) if text_at == text.len() => return false,
            Some(_) => {
                if let Some(next) = step(pattern, pattern_at, text[text_at], case) {
                    pattern_at = next;
                    text_at += 1;
                    continue;
                }
            }
            None if text_at == text.len() => return true,
            None => {}
        }
        let Some((star_end, star_text)) = retry else { return false };
        let Some(next_text) = next_candidate(pattern[star_end], text, star_text + 1, case) else {
            return false;
        };
        retry = Some((star_end, next_text));
        pattern_at = star_end;
        text_at = next_text;
    }
}

/// The first place from `from` on where the element that starts with `first` may match.
fn next_candidate(first: u8, text: &[u8], from: usize, case: Case) -> Option<usize> {
    if is_special(first) || case == Case::Insensitive {
        return Some(from);
    }
    text.get(from..)?.iter().position(|&byte| byte == first).map(|distance| from + distance)
}

/// Matches the element at `at`, which is not a star, with one byte; returns where the next element starts.
fn step(pattern: &[u8], at: usize, byte: u8, case: Case) -> Option<usize> {
    match pattern[at] {
        b'?' => Some(at + 1),
        b'[' => step_class(pattern, at + 1, byte, case),
        b'\\' if at + 1 < pattern.len() => {
            (fold(pattern[at + 1], case) == fold(byte, case)).then_some(at + 2)
        }
        literal => (fold(literal, case) == fold(byte, case)).then_some(at + 1),
    }
}

fn step_class(pattern: &[u8], start: usize, byte: u8, case: Case) -> Option<usize> {
    let mut at = start;
    let is_negated = pattern.get(at) == Some(&b'^');
    if is_negated {
        at += 1;
    }
    let byte = fold(byte, case);
    let mut is_member = false;
    loop {
        match pattern[at..] {
            [] => break,
            [b'\\', escaped, ..] => {
                is_member |= fold(escaped, case) == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [first, b'-', last, ..] => {
                let (low, high) = if first <= last { (first, last) } else { (last, first) };
                is_member |= (fold(low, case)..=fold(high, case)).contains(&byte);
                at += 3;
            }
            [single, ..] => {
                is_member |= fold(single, case) == byte;
                at += 1;
            }
        }
    }
    (is_member != is_negated).then_some(at)
}

fn fold(byte: u8, case: Case) -> u8 {
    match case {
        Case::Sensitive => byte,
        Case::Insensitive => byte.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of `texts` that the pattern matches, all texts being listed in `expected` or not.
    #[track_caller]
    fn check(pattern: &str, expected: &[&str]) {
        const TEXTS: [&str; 13] =
            ["", "-oo", "FOO", "[", "[]", "\\", "]oo", "f", "foo", "foo[", "foo\\", "oo", "z"];
        let found: Vec<&str> = TEXTS
            .into_iter()
            .filter(|text| matches(pattern.as_bytes(), text.as_bytes(), Case::Sensitive))
            .collect();
        assert_eq!(found, expected, "{pattern:?}");
    }

    #[test]
    fn patterns_match_what_they_match_in_redis() {
        check("foo", &["foo"]);
        check("", &[""]);
        check("f?o", &["foo"]);
        check("foo*", &["foo", "foo[", "foo\\"]);
        check("foo**", &["foo", "foo[", "foo\\"]);
        check("**o", &["-oo", "]oo", "foo", "oo"]);
        check("[f]oo", &["foo"]);
        check("[f]o[", &[]);
        check("[-f]oo", &["-oo", "foo"]);
        check("[e-g]oo", &["foo"]);
        check("[z-a]oo", &["foo"]);
        check("[^\\f]oo", &["-oo", "]oo"]);
        check("[\\f]oo", &["foo"]);
        check("foo\\\\", &["foo\\"]);
        check("foo\\[", &["foo["]);
        check("*[[]", &["[", "foo["]);
    }

    #[test]
    fn malformed_patterns_match_as_in_redis() {
        check("[fo", &["f"]);
        check("[f-", &["f"]);
        check("f[n-", &[]);
        check("foo\\", &["foo\\"]);
        check("*\\", &["\\", "foo\\"]);
        check("\\", &["\\"]);
        check("[", &[]);
        check("[]", &[]);
        check("[^", &["[", "\\", "f", "z"]);
        check("[^]", &["[", "\\", "f", "z"]);
        check("[^f", &["[", "\\", "z"]);
        check("[]foo", &[]);
        check("[^]oo", &["-oo", "]oo", "foo"]);
        check("f[^]oo", &[]);
        check("[a-]oo", &[]);
        check("[f-\\z]oo", &["]oo", "foo"]);
        check("[f\\]oo", &["f"]);
        check("foo[^", &["foo[", "foo\\"]);
        check("foo[a", &[]);
        check("[^\\", &["[", "f", "z"]);
        check("f[\\", &[]);
    }

    #[test]
    fn case_is_ignored_on_request() {
        for (pattern, text) in
            [("MAXmemory*", "maxmemory-policy"), ("[A-C]x", "bX"), ("\\A*z", "abcZ"), ("*B", "abb")]
        {
            assert!(matches(pattern.as_bytes(), text.as_bytes(), Case::Insensitive), "{pattern} {text}");
            assert!(!matches(pattern.as_bytes(), text.as_bytes(), Case::Sensitive), "{pattern} {text}");
        }
    }

    #[test]
    fn stars_cost_no_more_than_pattern_times_text() {
        let text = vec![b'a'; 20_000];
        let pattern = [b"a*".repeat(300), b"b".to_vec()].concat();
        assert!(!matches(&pattern, &text, Case::Sensitive));
        assert!(!matches(&b"*?".repeat(30_000), &text, Case::Sensitive));
        assert!(matches(&b"*?".repeat(20_000), &text, Case::Sensitive));
        assert!(matches(&b"*".repeat(100_000), &text, Case::Sensitive));
    }

    /// All patterns and texts over a small alphabet against the recursive definition.
    #[test]
    fn agrees_with_the_recursive_definition() {
        fn model(pattern: &[u8], text: &[u8]) -> bool {
            match pattern {
                [] => text.is_empty(),
                [b'*', rest @ ..] => (0..=text.len()).any(|skip| model(rest, &text[skip..])),
                [b'?', rest @ ..] => !text.is_empty() && model(rest, &text[1..]),
                [byte, rest @ ..] => text.first() == Some(byte) && model(rest, &text[1..]),
            }
        }
        fn words(alphabet: &[u8], length_max: u32) -> Vec<Vec<u8>> {
            let base = alphabet.len();
            (0..=length_max)
                .flat_map(|length| {
                    (0..base.pow(length)).map(move |number| {
                        (0..length).map(|place| alphabet[number / base.pow(place) % base]).collect()
                    })
                })
                .collect()
        }
        let texts = words(b"ab", 5);
        for pattern in words(b"ab*?", 5) {
            for text in &texts {
                let expected = if text.is_empty() { pattern.is_empty() } else { model(&pattern, text) };
                assert_eq!(matches(&pattern, text, Case::Sensitive), expected, "{pattern:?} {text:?}");
            }
        }
    }
}
