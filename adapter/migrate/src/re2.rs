//! Regular expressions as RE2 reads them, which Envoy has, written for the crate that reads them in the component.
//!
//! RE2 takes a brace that begins no repetition for itself, quotes by `\Q…\E`, and has no operations on classes; it refuses what
//! repeats a repetition or repeats more than 1000 times (measured on Envoy 1.40).

use std::iter::Peekable;
use std::str::Chars;

/// The most repetitions that RE2 allows.
const REPETITIONS_MAX: u32 = 1000;

/// Why there is no expression for the component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is none of RE2's.
    ByEnvoy,
    /// RE2 reads it, and the component can't: this is in it.
    Here(&'static str),
}

const UNICODE: Refused = Refused::Here("a class of Unicode");

/// The expression in the syntax that the component reads.
pub(crate) fn translate(regex: &str) -> Result<String, Refused> {
    let mut out = String::new();
    let mut rest = regex.chars().peekable();
    // A repetition of a repetition is none.
    let mut is_repeated = false;
    while let Some(c) = rest.next() {
        let mut repeats = false;
        match c {
            '\\' if rest.peek() == Some(&'Q') => {
                rest.next();
                quoted(&mut rest, &mut out);
            }
            '\\' => escape(&mut rest, &mut out, false)?,
            '[' => class(&mut rest, &mut out)?,
            '{' => match repetition(&rest) {
                Some((length, most)) => {
                    if most > REPETITIONS_MAX || is_repeated {
                        return Err(Refused::ByEnvoy);
                    }
                    out.push('{');
                    out.extend(rest.by_ref().take(length));
                    repeats = true;
                }
                None => out.push_str("\\{"),
            },
            '}' => out.push_str("\\}"),
            '*' | '+' | '?' => {
                if is_repeated {
                    return Err(Refused::ByEnvoy);
                }
                out.push(c);
                repeats = true;
            }
            '(' => {
                out.push('(');
                group(&rest)?;
                if rest.peek() == Some(&'?') {
                    // It repeats nothing here.
                    out.extend(rest.next());
                }
            }
            c => out.push(c),
        }
        if repeats && rest.peek() == Some(&'?') {
            out.extend(rest.next());
        }
        is_repeated = repeats;
    }
    if regex_syntax::parse(&out).is_err() {
        return Err(Refused::ByEnvoy);
    }
    if regex_lite::Regex::new(&out).is_err() {
        return Err(Refused::Here("more than the component has room for"));
    }
    Ok(out)
}

/// What stands between `\Q` and `\E`, or the end.
fn quoted(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    while let Some(c) = rest.next() {
        if c == '\\' && rest.peek() == Some(&'E') {
            rest.next();
            return;
        }
        out.push_str(&regex_lite::escape(c.encode_utf8(&mut [0; 4])));
    }
}

/// What stands behind a backslash.
fn escape(rest: &mut Peekable<Chars<'_>>, out: &mut String, is_in_class: bool) -> Result<(), Refused> {
    let c = rest.next().ok_or(Refused::ByEnvoy)?;
    match c {
        'p' | 'P' => return Err(UNICODE),
        'C' => return Err(Refused::Here("`\\C`, which is any byte")),
        '0'..='7' => {
            let is_octal = |c: &char| ('0'..='7').contains(c);
            if c != '0' && !rest.peek().is_some_and(is_octal) {
                return Err(Refused::ByEnvoy);
            }
            let mut value = c.to_digit(8).unwrap_or(0);
            for _ in 0..2 {
                let Some(digit) = rest.peek().copied().filter(|c| is_octal(c)) else { break };
                rest.next();
                value = value * 8 + digit.to_digit(8).unwrap_or(0);
            }
            out.push_str(&format!("\\x{{{value:x}}}"));
        }
        'A' | 'b' | 'B' | 'z' if is_in_class => return Err(Refused::ByEnvoy),
        'A' | 'b' | 'B' | 'z' | 'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'x' | 'd' | 'D' | 's' | 'S' | 'w' | 'W' => {
            out.extend(['\\', c]);
        }
        c if c.is_ascii_alphanumeric() || !c.is_ascii() => return Err(Refused::ByEnvoy),
        // With a backslash they are the ends of words to the crate.
        '<' | '>' => out.push(c),
        c => out.extend(['\\', c]),
    }
    Ok(())
}

/// A class, behind its bracket.
fn class(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), Refused> {
    out.push('[');
    if rest.peek() == Some(&'^') {
        out.extend(rest.next());
    }
    let mut is_first = true;
    while let Some(c) = rest.next() {
        match c {
            ']' if is_first => out.push_str("\\]"),
            ']' => {
                out.push(']');
                return Ok(());
            }
            '\\' => escape(rest, out, true)?,
            '[' if rest.peek() == Some(&':') => {
                out.push('[');
                for c in rest.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '-' if rest.peek() == Some(&'-') => return Err(Refused::Here("a class with `--`")),
            '[' | '&' | '~' => out.extend(['\\', c]),
            c => out.push(c),
        }
        is_first = false;
    }
    Err(Refused::ByEnvoy)
}

/// How long a repetition is behind its brace, and its larger number; nothing, if the brace begins none.
fn repetition(rest: &Peekable<Chars<'_>>) -> Option<(usize, u32)> {
    let text: String = rest.clone().take_while(|c| *c != '}').collect();
    let (least, most) = text.split_once(',').unwrap_or((&text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if least.is_empty() || !is_number(least) || !is_number(most) || rest.clone().nth(text.len()) != Some('}') {
        return None;
    }
    let number = |text: &str| if text.is_empty() { 0 } else { text.parse().unwrap_or(u32::MAX) };
    Some((text.len() + 1, number(least).max(number(most))))
}

/// Whether RE2 knows such a group: no lookaround, and no flags but its own.
fn group(rest: &Peekable<Chars<'_>>) -> Result<(), Refused> {
    let text: String = rest.clone().take_while(|c| !matches!(c, ')' | ':')).collect();
    let Some(text) = text.strip_prefix('?') else { return Ok(()) };
    let is_named = ["P<", "<"].iter().any(|start| {
        text.strip_prefix(start).is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
    });
    let is_flags = text.chars().all(|c| "imsU-".contains(c));
    if is_named || is_flags { Ok(()) } else { Err(Refused::ByEnvoy) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each was given to Envoy 1.40.
    #[test]
    fn what_envoy_reads() {
        for (regex, matching, other) in [
            ("/a{x}", "/a{x}", "/ax"),
            ("/a{,3}", "/a{,3}", "/aaa"),
            ("/a{2,3}", "/aaa", "/a"),
            (r"/\Qa.b*\E+", "/a.b**", "/aab"),
            (r"/\Qa.b", "/a.b", "/axb"),
            ("/[a&&b]+", "/&", "/c"),
            ("/[[a]+", "/[a", "/b"),
            ("/[]a]+", "/]", "/b"),
            ("/[[:alpha:]]+", "/xY", "/1"),
            (r"/\_\/\-\<", "/_/-<", "/_/-"),
            (r"/\101\07?", "/A", "/B"),
            ("(?i)/A+?", "/aa", "/b"),
            ("/(?P<x>a)(?<y>b)(?:c)", "/abc", "/ab"),
            (r"/a\z", "/a", "/ab"),
        ] {
            let translated = translate(regex).unwrap_or_else(|refused| panic!("{regex}: {refused:?}"));
            let whole = regex_lite::Regex::new(&format!("^(?:{translated})$")).unwrap();
            assert!(whole.is_match(matching), "{regex} as {translated}: {matching}");
            assert!(!whole.is_match(other), "{regex} as {translated}: {other}");
        }
    }

    /// Each was given to Envoy 1.40.
    #[test]
    fn what_envoy_refuses() {
        for regex in
            ["/a**", "/a{2000}", "a(?=b)", "a(?<!b)", r"(a)\1", "(?x)a", r"\u0041", "(", "[a", r"a\", "a{2}{3}"]
        {
            assert_eq!(translate(regex), Err(Refused::ByEnvoy), "{regex}");
        }
    }

    #[test]
    fn what_the_component_cannot() {
        assert_eq!(translate(r"\p{L}"), Err(UNICODE));
        assert!(matches!(translate(r"\C"), Err(Refused::Here(_))));
        assert!(matches!(translate("(?:a{1000}){1000}"), Err(Refused::Here(_) | Refused::ByEnvoy)));
    }
}
