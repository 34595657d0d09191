//! From the parser's tree to one in which every operation is known to exist.

use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::parser::pratt_parser::{Lexer, TokenKind};
use cel::parser::{Expression, PrattParser};
use proxy_wasm_abi::limits::{EXPRESSION_DEPTH_MAX, EXPRESSION_MAX_BYTES};

use super::functions::Function;
use super::value::Value;

/// A part of an expression.
#[derive(Debug)]
pub(super) enum Node {
    Literal(Value),
    Name(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// A field, or whether there is one.
    Select {
        operand: Box<Node>,
        field: String,
        test: bool,
    },
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Conditional(Box<[Node; 3]>),
    /// Whether the operand is anything but `false`; errors count as such.
    NotStrictlyFalse(Box<Node>),
    Call(Function, Vec<Node>),
    Comprehension(Box<Comprehension>),
}

/// A loop that accumulates a value: macros such as `all` stand for one.
#[derive(Debug)]
pub(super) struct Comprehension {
    pub(super) range: Node,
    pub(super) variable: String,
    pub(super) accumulator: String,
    pub(super) init: Node,
    pub(super) condition: Node,
    pub(super) step: Node,
    pub(super) result: Node,
}

/// The reason why an expression is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is malformed, or too large.
    Syntax,
    /// It asks for what there is not.
    Meaning,
}

pub(super) fn compile(source: &[u8]) -> Result<Node, Refusal> {
    let source = std::str::from_utf8(source).map_err(|_| Refusal::Syntax)?;
    if source.len() > EXPRESSION_MAX_BYTES || operators_in_a_row(source) > OPERATORS_MAX {
        return Err(Refusal::Syntax);
    }
    let tree = PrattParser::new().error_recovery_limit(0).parse(source).map_err(|_| Refusal::Syntax)?;
    // The parser counts what it recurses for, which is less.
    if is_deeper(&tree, EXPRESSION_DEPTH_MAX) {
        dismantle(tree);
        return Err(Refusal::Syntax);
    }
    node(tree)
}

/// Operators, dots and brackets that a tree can hang on one another. The parser recurses for few of them, but drops its tree
/// as deep as it is.
const OPERATORS_MAX: usize = 500;

/// No less than the levels of the tree that the parser makes of it.
fn operators_in_a_row(source: &str) -> usize {
    let mut lexer = Lexer::new(source);
    // For each bracket around: how many operators stand before it in its operand.
    let mut around: Vec<usize> = Vec::new();
    let (mut here, mut most) = (0, 0);
    let mut outside = 0;
    loop {
        match lexer.lex().kind {
            TokenKind::TokEnd | TokenKind::TokError => return most,
            TokenKind::TokLeftBracket | TokenKind::TokLeftBrace | TokenKind::TokLeftParen => {
                around.push(here);
                outside += here + 1;
                here = 0;
            }
            TokenKind::TokRightBracket | TokenKind::TokRightBrace | TokenKind::TokRightParen => {
                // A bracket behind an operand, as in `a[0]`, goes around it.
                here = around.pop().unwrap_or(0);
                outside = outside.saturating_sub(here + 1);
                here += 1;
            }
            // Their operands are siblings; of logic the tree is made flat.
            TokenKind::TokComma | TokenKind::TokLogicalAnd | TokenKind::TokLogicalOr => here = 0,
            TokenKind::TokWhitespace
            | TokenKind::TokComment
            | TokenKind::TokIdent
            | TokenKind::TokInt
            | TokenKind::TokUint
            | TokenKind::TokFloat
            | TokenKind::TokString
            | TokenKind::TokBytes
            | TokenKind::TokNull
            | TokenKind::TokTrue
            | TokenKind::TokFalse => {}
            _ => here += 1,
        }
        most = most.max(outside + here);
    }
}

/// Whether the tree has more levels than this.
fn is_deeper(tree: &Expression, depth: usize) -> bool {
    let mut open = vec![(tree, 1)];
    while let Some((expression, level)) = open.pop() {
        if level > depth {
            return true;
        }
        each_part(expression, |part| open.push((part, level + 1)));
        if let Expr::Comprehension(loops) = &expression.expr {
            open.push((&loops.loop_step, level + 1));
        }
    }
    false
}

/// The parts but for a macro's own.
fn each_part<'a>(expression: &'a Expression, mut visit: impl FnMut(&'a Expression)) {
    match &expression.expr {
        Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).for_each(visit),
        Expr::Comprehension(loops) => {
            visit(&loops.iter_range);
        }
        Expr::List(list) => list.elements.iter().for_each(visit),
        Expr::Map(map) => map.entries.iter().for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => {
                visit(&entry.key);
                visit(&entry.value);
            }
            EntryExpr::StructField(field) => visit(&field.value),
        }),
        Expr::Select(select) => visit(&select.operand),
        Expr::Struct(structure) => structure.entries.iter().for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => visit(&entry.value),
            EntryExpr::StructField(field) => visit(&field.value),
        }),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

/// Drops a tree part by part: as a whole, the stack would have to be as deep.
fn dismantle(tree: Expression) {
    let mut open = vec![tree];
    while let Some(expression) = open.pop() {
        match expression.expr {
            Expr::Call(call) => open.extend(call.target.into_iter().map(|target| *target).chain(call.args)),
            Expr::Select(select) => open.push(*select.operand),
            Expr::List(list) => open.extend(list.elements),
            // The parser counts the other kinds.
            _ => {}
        }
    }
}

fn node(expression: Expression) -> Result<Node, Refusal> {
    let boxed = |expression| node(expression).map(Box::new);
    match expression.expr {
        Expr::Literal(literal) => Ok(Node::Literal(value(&literal))),
        Expr::Ident(name) => Ok(Node::Name(name)),
        Expr::Select(select) => {
            Ok(Node::Select { operand: boxed(*select.operand)?, field: select.field, test: select.test })
        }
        Expr::List(list) => list.elements.into_iter().map(node).collect::<Result<_, _>>().map(Node::List),
        Expr::Map(map) => {
            let entries = map.entries.into_iter().map(|entry| match entry.expr {
                EntryExpr::MapEntry(entry) => Ok((node(entry.key)?, node(entry.value)?)),
                EntryExpr::StructField(_) => Err(Refusal::Syntax),
            });
            entries.collect::<Result<_, _>>().map(Node::Map)
        }
        Expr::Call(call) => self::call(call),
        Expr::Comprehension(loops) => {
            let loops = *loops;
            if loops.iter_var2.is_some() {
                return Err(Refusal::Meaning);
            }
            Ok(Node::Comprehension(Box::new(Comprehension {
                range: node(loops.iter_range)?,
                variable: loops.iter_var,
                accumulator: loops.accu_var,
                init: node(loops.accu_init)?,
                condition: node(loops.loop_cond)?,
                step: node(loops.loop_step)?,
                result: node(loops.result)?,
            })))
        }
        Expr::Struct(_) => Err(Refusal::Meaning),
        Expr::Unspecified => Err(Refusal::Syntax),
    }
}

fn call(call: CallExpr) -> Result<Node, Refusal> {
    let member = call.target.is_some();
    let arguments = call.target.into_iter().map(|target| *target).chain(call.args);
    let arguments = arguments.map(node).collect::<Result<Vec<Node>, _>>()?;
    let pair = |arguments: Vec<Node>| arguments.try_into().map(Box::new).map_err(|_| Refusal::Meaning);
    match call.func_name.as_str() {
        operators::LOGICAL_AND if !member => pair(arguments).map(Node::And),
        operators::LOGICAL_OR if !member => pair(arguments).map(Node::Or),
        operators::CONDITIONAL if !member => {
            arguments.try_into().map(|parts| Node::Conditional(Box::new(parts))).map_err(|_| Refusal::Meaning)
        }
        operators::NOT_STRICTLY_FALSE if !member => {
            let [operand]: [Node; 1] = arguments.try_into().map_err(|_| Refusal::Meaning)?;
            Ok(Node::NotStrictlyFalse(Box::new(operand)))
        }
        name => {
            let function = Function::named(name, member, arguments.len()).ok_or(Refusal::Meaning)?;
            Ok(Node::Call(function, arguments))
        }
    }
}

fn value(literal: &LiteralValue) -> Value {
    match literal {
        LiteralValue::Null => Value::Null,
        LiteralValue::Boolean(value) => Value::Bool(*value.inner()),
        LiteralValue::Int(value) => Value::Int(*value.inner()),
        LiteralValue::UInt(value) => Value::Uint(*value.inner()),
        LiteralValue::Double(value) => Value::Double(*value.inner()),
        LiteralValue::String(value) => Value::string(value.inner()),
        LiteralValue::Bytes(value) => Value::Bytes(value.inner().into()),
    }
}
