//! Expressions: each is refused, has a value or has none, in bounded work, whatever its attributes are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy_wasm_abi::enums::Status;
use proxy_wasm_foreign::cel::Expressions;
use proxy_wasm_foreign::cel::attributes::Attributes;

/// Every attribute is these bytes.
struct Same<'a>(&'a [u8]);

impl Attributes for Same<'_> {
    fn get(&self, path: &[u8]) -> Result<Vec<u8>, Status> {
        if path.len() % 5 == 4 { Err(Status::NotFound) } else { Ok(self.0.to_vec()) }
    }
}

fuzz_target!(|input: (&[u8], &[u8])| {
    let (attribute, source) = input;
    let mut expressions = Expressions::default();
    let Ok(token) = expressions.create(source) else { return };
    let first = expressions.evaluate(token, &Same(attribute));
    let second = expressions.evaluate(token, &Same(attribute));
    assert_eq!(first.is_ok(), second.is_ok(), "an expression has no state");
    expressions.delete(token);
    assert_eq!(expressions.evaluate(token, &Same(attribute)), Err(Status::NotFound));
});
