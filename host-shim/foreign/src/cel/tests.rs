use proptest::prelude::*;

use super::*;

/// A request with the attributes that the tests read.
struct Request;

impl Attributes for Request {
    fn get(&self, path: &[u8]) -> Result<Vec<u8>, Status> {
        match path {
            b"request" | b"filter_state" => Err(Status::SerializationFailure),
            b"request\0path" => Ok(b"/p".to_vec()),
            b"request\0size" => Ok(7_i64.to_le_bytes().to_vec()),
            b"request\0headers" => {
                Ok(proxy_wasm_abi::pairs::encode([(&b"a"[..], &b"1"[..]), (b"b", b"2")].into_iter()))
            }
            b"request\0headers\0a" => Ok(b"1".to_vec()),
            b"request\0headers\0b" => Ok(b"2".to_vec()),
            b"stored" => Ok(b"\xff".to_vec()),
            _ => Err(Status::NotFound),
        }
    }
}

fn evaluate(source: &str) -> Result<Vec<u8>, Status> {
    let mut expressions = Expressions::default();
    let token = expressions.create(source.as_bytes())?;
    expressions.evaluate(token, &Request)
}

fn is_true(source: &str) {
    assert_eq!(evaluate(source), Ok(vec![1]), "{source}");
}

#[test]
fn tokens_are_not_given_twice() {
    let mut expressions = Expressions::default();
    assert_eq!(expressions.create(b"1"), Ok(0));
    assert_eq!(expressions.create(b"1 +"), Err(Status::BadArgument));
    assert_eq!(expressions.create(b"2"), Ok(1));
    assert_eq!(expressions.create(b"f(1)"), Err(Status::BadArgument));
    assert_eq!(expressions.create(b"3"), Ok(3));
    expressions.delete(1);
    expressions.delete(1);
    assert_eq!(expressions.evaluate(1, &Request), Err(Status::NotFound));
    assert_eq!(expressions.evaluate(3, &Request), Ok(3_i64.to_le_bytes().to_vec()));
    assert_eq!(token(b"\x03\0\0\0"), Ok(3));
    assert_eq!(token(b"\x03\0\0"), Err(Status::BadArgument));
}

#[test]
fn attributes_have_types() {
    is_true(r#"request.path == "/p" && request.size == 7 && stored == b"\xff""#);
    is_true(r#"has(request.headers.a) && !has(request.headers.c) && "b" in request.headers"#);
    is_true(r#"request.headers.exists(name, request.headers[name] == "2")"#);
    is_true("type(request) == map && size(request) == 0 && request.headers.size() == 2");
    assert_eq!(evaluate("request"), Err(Status::SerializationFailure));
    assert_eq!(evaluate("request.nothing"), Err(Status::InternalFailure));
    assert_eq!(evaluate("nothing"), Err(Status::InternalFailure));
}

#[test]
fn errors_are_passed_over_by_logic_only() {
    is_true("1 / 0 == 1 || true");
    is_true("!(1 / 0 == 1 && false)");
    is_true("[0, 1].exists(x, 1 / x == 1)");
    for source in ["1 / 0 == 1 || false", "[0, 1].all(x, 1 / x == 1)", "[1 / 0]", "1 / 0 == 1 ? 1 : 2"] {
        assert_eq!(evaluate(source), Err(Status::InternalFailure), "{source}");
    }
}

#[test]
fn loops_make_lists() {
    is_true("[1, 2, 3].map(x, x * 2) == [2, 4, 6]");
    is_true("[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]");
    is_true("[1, 2, 3].filter(x, x != 2) == [1, 3]");
    is_true("[[1], [2]].map(x, x.map(y, y + 1)) == [[2], [3]]");
    is_true("[1, 2].exists_one(x, x == 2) && ![2, 2].exists_one(x, x == 2)");
    assert_eq!(evaluate("[1].filter(x, 1)"), Err(Status::InternalFailure));
}

/// Each is large in its own way; none hangs, and none needs a deep stack.
#[test]
fn bombs_are_bounded() {
    let nested = |levels: usize| {
        let list = "[1,2,3,4,5,6,7,8,9,10]";
        format!("{}{}", vec![format!("{list}.all(x, "); levels].concat(), "true".to_owned() + &")".repeat(levels))
    };
    assert_eq!(evaluate(&nested(3)), Ok(vec![1]));
    assert_eq!(evaluate(&nested(12)), Err(Status::InternalFailure));
    let doubled = |start: &str, times: usize| format!("[{start}]{}[0].size() > 0", ".map(x, x + x)".repeat(times));
    assert_eq!(evaluate(&doubled("\"a\"", 10)), Ok(vec![1]));
    assert_eq!(evaluate(&doubled("\"a\"", 25)), Err(Status::InternalFailure));
    assert_eq!(evaluate(&doubled("[1]", 25)), Err(Status::InternalFailure));
    assert_eq!(evaluate(&format!("\"{}\".matches(\"(a*)*b\")", "a".repeat(4000))), Ok(vec![0]));
    // Lists that have the same list in them many times over take no memory, until they are looked at.
    let shared = format!("[1]{}", ".map(x, [x, x, x, x, x, x, x, x])".repeat(20));
    for look in ["", " == []", "[0] == 1", ".exists(x, x == [[]])"] {
        assert!(matches!(evaluate(&format!("{shared}{look}")), Err(Status::InternalFailure) | Ok(_)), "{look}");
    }
    assert_eq!(evaluate(&shared), Err(Status::InternalFailure));
    assert_eq!(evaluate(&format!("{shared} == {shared}")), Err(Status::InternalFailure));
    let long = "[\"aaaaaaaaaaaaaaaa\"].map(x, x + x)".to_owned() + &".map(x, x + x)".repeat(10);
    assert_eq!(evaluate(&format!("{long}.all(x, x.matches(\"a{{1000}}b\"))")), Err(Status::InternalFailure));
    assert_eq!(evaluate(&format!("{long}.all(x, x.matches(\"^a+$\"))")), Ok(vec![1]));
    assert_eq!(evaluate("\"a\".matches(\"((((a{30}){30}){30}){30}){30}\")"), Err(Status::InternalFailure));
    for deep in [
        "[".repeat(4000) + &"]".repeat(4000),
        "{1:".repeat(2000) + "1" + &"}".repeat(2000),
        "request".to_owned() + &".a".repeat(4000),
        "a".to_owned() + &"[0]".repeat(2500),
        vec!["1"; 4000].join("+"),
        "f(".repeat(4000) + &")".repeat(4000),
        "true?1:".repeat(1100) + "1",
        "-(".repeat(2500) + "1" + &")".repeat(2500),
        "a".repeat(9000),
        "[1].all(x,".repeat(700) + "true" + &")".repeat(700),
    ] {
        assert_eq!(evaluate(&deep), Err(Status::BadArgument), "{}…", &deep[..20]);
    }
    // Parentheses alone make nothing deeper.
    assert_eq!(evaluate(&("(".repeat(400) + "true" + &")".repeat(400))), Ok(vec![1]));
    // Width is not limited, only depth.
    assert_eq!(evaluate(&vec!["request.size + 1 > 2"; 300].join(" && ")), Ok(vec![1]));
    assert_eq!(evaluate(&format!("size([{}]) == 4000", vec!["1"; 4000].join(","))), Ok(vec![1]));
    // Broken, and deep before the parser sees that.
    for deep in ["request".to_owned() + &".a".repeat(4000) + "(", vec!["1"; 4000].join("+") + "+"] {
        assert_eq!(evaluate(&deep), Err(Status::BadArgument));
    }
}

#[test]
fn all_expressions_together_are_bounded() {
    let mut expressions = Expressions::default();
    let large = "a".repeat(8000);
    let kept = (0..1000).filter(|_| expressions.create(large.as_bytes()).is_ok()).count();
    assert_eq!(kept, EXPRESSIONS_MAX_BYTES / large.len());
    assert_eq!(expressions.create(large.as_bytes()), Err(Status::InternalFailure));
    expressions.delete(0);
    assert!(expressions.create(large.as_bytes()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = Expressions::default().create(&bytes);
    }

    /// Words of the language in any order, some of which are expressions.
    #[test]
    fn any_words_are_answered(words in proptest::collection::vec(proptest::sample::select(vec![
        "1", "2u", "1.5", "-9223372036854775808", "\"a\"", "b\"\\xff\"", "r'x'", "true", "null", "x", "request", ".headers",
        ".a", "[", "]", "{", "}", "(", ")", ",", ":", "?", "+", "-", "*", "/", "%", "==", "!=", "<", ">=", "in", "&&", "||", "!",
        "size(", ".size()", ".map(x,", ".all(x,", ".exists_one(x,", ".filter(x,", "has(", "int(", "string(", "timestamp(",
        "duration(\"1s\")", ".getHours()", ".matches(", "type(", "\u{e9}", "'''", "\\", "0x", "// y\n", "`", "for", ";", "@",
    ]), 0..14)) {
        let _ = evaluate(&words.concat());
        let _ = evaluate(&words.join(" "));
    }
}
