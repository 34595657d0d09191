//! `expr_create`, `expr_evaluate`, `expr_delete`: expressions in CEL, the Common Expression Language.
//!
//! The parser is that of the crate `cel`. The evaluation is ours: it does what Envoy's does with values of different
//! types, errors and attributes, and bounds its work, which the crate's can't do; nor does it bring the world's time zones.

pub mod attributes;
mod compile;
mod evaluate;
mod functions;
mod times;
mod value;

use proxy_wasm_abi::enums::Status;
use proxy_wasm_abi::limits::EXPRESSIONS_MAX_BYTES;

use attributes::Attributes;
use compile::{Node, Refusal};
use evaluate::Evaluation;

/// The expressions of a root context.
#[derive(Debug, Default)]
pub struct Expressions {
    next: u32,
    /// With the token and the bytes of each.
    all: Vec<(u32, usize, Node)>,
}

impl Expressions {
    /// Keeps an expression; the token to call it by.
    ///
    /// # Errors
    /// `BAD_ARGUMENT` for a malformed expression; `INTERNAL_FAILURE` where there are too many.
    pub fn create(&mut self, source: &[u8]) -> Result<u32, Status> {
        if self.all.iter().map(|(_, bytes, _)| bytes).sum::<usize>() + source.len() > EXPRESSIONS_MAX_BYTES {
            return Err(Status::InternalFailure);
        }
        let compiled = compile::compile(source);
        if compiled.as_ref().is_err_and(|refusal| *refusal == Refusal::Syntax) {
            return Err(Status::BadArgument);
        }
        // An expression that can't be evaluated has taken its token. Source:
        // `proxy_call_foreign_function/expr-create-of-what-can-not-be-compiled`.
        let token = self.next;
        self.next = self.next.wrapping_add(1);
        let node = compiled.map_err(|_| Status::BadArgument)?;
        self.all.push((token, source.len(), node));
        Ok(token)
    }

    /// The value of an expression, serialized.
    ///
    /// # Errors
    /// `NOT_FOUND` for an unknown token; `INTERNAL_FAILURE` where the expression has no value; `SERIALIZATION_FAILURE` where
    /// the value has no form.
    pub fn evaluate(&self, token: u32, attributes: &impl Attributes) -> Result<Vec<u8>, Status> {
        let (.., node) = self.all.iter().find(|(known, ..)| *known == token).ok_or(Status::NotFound)?;
        let mut evaluation = Evaluation::new(attributes);
        let value = evaluation.value(node).map_err(|_| Status::InternalFailure)?;
        evaluation.spend_on(&value).map_err(|_| Status::InternalFailure)?;
        value.serialize(attributes)
    }

    /// Forgets an expression, if there is one.
    pub fn delete(&mut self, token: u32) {
        self.all.retain(|(known, ..)| *known != token);
    }
}

/// The token that a filter hands over.
///
/// # Errors
/// `BAD_ARGUMENT`
pub fn token(arguments: &[u8]) -> Result<u32, Status> {
    arguments.try_into().map(u32::from_le_bytes).map_err(|_| Status::BadArgument)
}

#[cfg(test)]
mod tests;
