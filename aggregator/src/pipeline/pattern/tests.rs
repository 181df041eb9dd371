//! Expressions: what both ways of matching must agree on, and what linear time means.

use super::engine::{Cache, Engine, Verdict};
use super::*;

fn own(pattern: &str, text: &str) -> Option<(usize, usize)> {
    own_groups(pattern, text)?[0]
}

/// The whole match, and the groups.
fn own_groups(pattern: &str, text: &str) -> Option<Vec<Option<(usize, usize)>>> {
    let parsed = syntax::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    let engine = Engine::new(&parsed).unwrap();
    let mut cache = Cache::default();
    match engine.find(text, 0, &mut cache) {
        Verdict::Match => {
            let groups = (0..parsed.names.len()).map(|index| cache.capture(index));
            Some(std::iter::once(Some(cache.span())).chain(groups).collect())
        }
        Verdict::NoMatch => None,
        Verdict::GaveUp => panic!("{pattern} gave up on {text}"),
    }
}

#[test]
fn agrees_with_the_regex_crate() {
    let patterns = [
        "a",
        "abc",
        "a|b",
        "a*",
        "a+?b",
        "(?:ab|a)(?:c|bcd)",
        "^a.c$",
        r"\bfoo\b",
        r"\d+\.\d*",
        "[^a-c]+",
        "(a|ab)(c|bcd)(d*)",
        "x*?y",
        "(?:a*)*b",
        "(?:a|b|)+c",
        "a{2,3}",
        "a{2}b?",
        "(?i)AbC",
        r"[\w.]+@[\w.]+",
        "é+",
        "[à-ü]x",
        r"\s\S",
        "(?:)*a",
        "a{0}b",
        "(?:x?){3}y",
        r"\Aab\z",
        "b$",
        "(?:a?b?)*?c",
        "[[:alpha:]]+",
        r"\h+z",
        "(?:ab)*?ab$",
        ".*foo",
        ".*?foo.",
        ".*?é",
        r"\S*?à",
        "[^ü]*ü",
        "(.+?)à( ?)",
        "([^ ]*) (.*?)x(.*)",
        "(é*?)(à*)x",
        "(?:(a)|(b))*?(c)",
        r"\A(?:ab|é)",
        r"\Aa(b?)",
        r"\A(?:)c*",
        "[a&&[^b]]+",
        "(?:(?:[ab]{1,2}c){3}d|(?:[ab]{1,2}c){2}x|(?:[ab]{1,2}c){1}b|a)",
        "(?:(?:[ab]{1,2}c){2}|(?:[ab]{1,2}c)+d|(?:[ab]{1,2}c){1,2}b?)",
        "(?:(a){2}|(a){1}b|(a)+c)",
        "",
    ];
    let texts = [
        "",
        "a",
        "b",
        "ab",
        "abc",
        "aab",
        "abcd",
        "abcbcd",
        "foo bar",
        "a foo.",
        "12.5",
        "xyxxy",
        "aaab",
        "ABC abc",
        "me@x.org",
        "éàx üx",
        " z",
        "a\nabc\nb",
        "abab",
        "deadbeefz",
        "aaaa",
        "x x xy",
        "ñandú",
        "ccc",
    ];
    for pattern in patterns {
        let parsed = syntax::parse(pattern).unwrap();
        let mut rust = String::new();
        assert!(write(&parsed.node, &parsed.names, &mut rust), "{pattern}");
        let regex = regex::Regex::new(&rust).unwrap_or_else(|error| panic!("{pattern} as {rust}: {error}"));
        for text in texts {
            let captures = regex.captures(text);
            let expected = captures
                .as_ref()
                .map(|all| all.iter().map(|group| group.map(|found| (found.start(), found.end()))).collect::<Vec<_>>());
            assert_eq!(own_groups(pattern, text), expected, "{pattern} (as {rust}) on {text:?}");
            // The quick looks that come first change nothing.
            assert_eq!(Pattern::new(pattern).unwrap().is_match(text), expected.is_some(), "{pattern} on {text:?}");
        }
    }
}

#[test]
fn looks_around() {
    assert_eq!(own(r"(?<![0-9])\d{2}(?![0-9])", "123 45 6"), Some((4, 6)));
    assert_eq!(own(r"(?<=foo|ba)r", "bar foor"), Some((2, 3)));
    assert_eq!(own(r"(?<=foo|bax)r", "bar foor"), Some((7, 8)));
    assert_eq!(own(r"a(?=.*z)", "ab az"), Some((0, 1)));
    assert_eq!(own(r"a(?!.*z)", "az a"), Some((3, 4)));
    assert_eq!(own(r"(?<!ä)b", "äb b"), Some((4, 5)));
    assert!(syntax::parse("(?<=a*)b").map(|parsed| Engine::new(&parsed)).unwrap().is_err());
}

/// A group inside of a look-around that fails in the end has found nothing.
#[test]
fn groups_of_what_failed_are_empty() {
    let groups = |pattern, text| own_groups(pattern, text).unwrap()[1..].to_vec();
    assert_eq!(groups("(?!(a)b)a(c)", "ac"), [None, Some((1, 2))]);
    assert_eq!(groups("(?<!(x)y)(a)", "za"), [None, Some((1, 2))]);
    assert_eq!(groups("(?=(a))a(c)", "ac"), [Some((0, 1)), Some((1, 2))]);
}

#[test]
fn atomic_groups_give_nothing_back() {
    assert_eq!(own("(?>a*)ab", "aaab"), None);
    assert_eq!(own("(?>a|ab)c", "abc"), None);
    assert_eq!(own("a++b", "aab"), Some((0, 3)));
    assert_eq!(own("(?>(?<x>a)|b)+c", "abc"), Some((0, 3)));
    assert_eq!(own("(?>ab){1,2}abc", "ababc"), Some((0, 5)));
    assert_eq!(own("(?>a{2})?ab", "aab"), Some((1, 3)));
    assert_eq!(own("x(?>(?>ab){2}|ab)abc", "xababc"), None);
}

#[test]
fn captures_are_those_of_the_last_round() {
    let engine = Engine::new(&syntax::parse("(?:(?<a>x)|(?<b>y))+").unwrap()).unwrap();
    let mut cache = Cache::default();
    assert_eq!(engine.find("xyx", 0, &mut cache), Verdict::Match);
    assert_eq!((cache.capture(0), cache.capture(1)), (Some((2, 3)), Some((1, 2))));
}

/// Expressions that take a backtracking matcher longer than the universe lasts.
#[test]
fn stays_linear() {
    let many = "a".repeat(5_000);
    for pattern in [
        "(?:a*)*b",
        "(?:a|a)*b",
        "(?:a|aa)+$x",
        "(?:.*a){12}b",
        "(?>(?:a*)*)b",
        "(?:a+)+b",
        "(?<!x)(?:a+)+b",
        "a*a*a*a*a*b",
    ] {
        assert_eq!(own(pattern, &many), None, "{pattern}");
    }
    // Look-around is bounded by steps instead of memory: it may give up, but not hang.
    let engine = Engine::new(&syntax::parse("(?=(?:a*)*b)(?:a*)*c").unwrap()).unwrap();
    assert_ne!(engine.find(&many, 0, &mut Cache::default()), Verdict::Match);
}

#[test]
fn replaces() {
    let replace =
        |pattern: &str, text: &str, with: &str| Pattern::new(pattern).unwrap().replace_all(text, with).into_owned();
    assert_eq!(replace("a(.)", "abac", r"<\1>"), "<b><c>");
    assert_eq!(replace("(?<x>a)b", "ab", r"\k<x>\\\0"), r"a\ab");
    assert_eq!(replace("x*", "ab", "-"), "-a-b-");
    assert_eq!(replace("(?<=a)b", "abb", "-"), "a-b");
    assert_eq!(replace("b", "abb", "$1"), "a$1$1");
}

#[test]
fn refuses_what_is_wrong() {
    for wrong in ["(", ")", "[a", "*a", r"(a)\1", "a{3,2}", "a{2000}", r"\p{Nothing}", "(?<>a)", "[z-a]", r"\"] {
        assert!(Pattern::new(wrong).is_err(), "{wrong}");
    }
    for right in ["a{", "{firstname}", "%{x}", "]", "a]", "[]a]", "[a-]", r"[\w-x]", "a{,3}"] {
        assert!(Pattern::new(right).is_ok(), "{right}");
    }
}

/// What is quickly seen to be missing must be missing.
#[test]
fn what_a_text_needs_is_needed() {
    let patterns = [
        r"\A\d{4}-\d\d x",
        r"\A(?:ab|ac)d",
        r"\Aab?cd",
        r"\A(?:a|)bcd",
        r"\A\S+\.rb:\d+:in .*Error\)",
        r"\A\b(a{2}){2}b+cdef",
        r"\A[é-ü]{2}abcd",
        r"\A[a-zé]x",
        r"\A(?:x?){3}abcd",
        r"\A\w+=(?:a|b)cdefg",
        r"\A(\w+\.)+\w*(Exception|Error)(:|\s|\z)",
        r"kernel(: | - ).*(oom|I/O error)",
        "abcd.*z",
    ];
    let texts = [
        "2026-03 x",
        "2026-0",
        "202é-03 x",
        "abd",
        "acd",
        "ad",
        "abcd",
        "acd ",
        "bcd",
        "abcdef",
        "aaaabcdef",
        "aaaabbcdef",
        "aaabcdef",
        "éüabcd",
        "éabcd",
        "ééabcd",
        "éx",
        "ax",
        "x",
        "xxxabcd",
        "xabcd",
        "xxxxabcd",
        "k=acdefg",
        "k=cdefg",
        "kk=bcdefg and more",
        "app.rb:12:in `x': no (Some::Error)",
        "app.rb:12:in (Error",
        "a b.rb:1:in Error)",
        "a.b.SomeException: x",
        "a.b.SomeError",
        "SomeError",
        "kernel: oom",
        "kernel - I/O error",
        "kernel oom and a few words more to be longer",
        "  abcd z",
        "abcd",
        "",
    ];
    let mut met = 0;
    for pattern in patterns {
        let ours = Pattern::new(pattern).unwrap();
        let theirs = regex::Regex::new(&pattern.replace("\\w", "[0-9A-Za-z_]")).unwrap();
        for text in texts {
            assert_eq!(ours.is_match(text), theirs.is_match(text), "{pattern} on {text}");
            met += usize::from(ours.is_match(text));
        }
    }
    assert!(met >= patterns.len(), "{met} texts were matched");
}
