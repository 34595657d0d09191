//! The value of an expression, within bounds.

use std::rc::Rc;

use proxy_wasm_abi::limits::{EXPRESSION_ITERATIONS_MAX, EXPRESSION_STEPS_MAX};

use super::attributes::{self, Attributes};
use super::compile::{Comprehension, Node};
use super::functions::Function;
use super::value::{Value, find};

/// The reason why an evaluation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Something in it has none. Logic can do without.
    Error,
    /// It is too much work, whatever logic could do.
    Limit,
}

/// The steps that reading an attribute counts as.
const ATTRIBUTE_STEPS: usize = 16;

/// The steps that listing attributes counts as: headers are copied as a whole.
pub(super) const LISTING_STEPS: usize = 1000;

pub(super) type Outcome = Result<Value, Fault>;

/// An evaluation.
pub(super) struct Evaluation<'a, A> {
    pub(super) attributes: &'a A,
    /// The variables of the loops around, the innermost last. An accumulator can hold an error.
    variables: Vec<(&'a str, Outcome)>,
    steps: usize,
    iterations: usize,
}

impl<'a, A: Attributes> Evaluation<'a, A> {
    pub(super) fn new(attributes: &'a A) -> Self {
        Self { attributes, variables: Vec::new(), steps: EXPRESSION_STEPS_MAX, iterations: EXPRESSION_ITERATIONS_MAX }
    }

    /// Counts work.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Fault> {
        self.steps = self.steps.checked_sub(steps).ok_or(Fault::Limit)?;
        Ok(())
    }

    /// Counts the work of looking at all of a value. Values in it may be the same ones many times over.
    pub(super) fn spend_on(&mut self, value: &Value) -> Result<(), Fault> {
        self.spend(value.weight())?;
        match value {
            Value::List(list) => list.iter().try_for_each(|element| self.spend_on(element)),
            Value::Map(map) => map.iter().try_for_each(|(key, value)| {
                // In another map, a key is looked for among all.
                self.spend(map.len())?;
                self.spend_on(key)?;
                self.spend_on(value)
            }),
            _ => Ok(()),
        }
    }

    /// Counts the work of asking for an attribute, and gives it.
    fn attribute(&mut self, attribute: Option<Value>) -> Result<Option<Value>, Fault> {
        self.spend(ATTRIBUTE_STEPS + attribute.as_ref().map_or(0, Value::weight))?;
        Ok(attribute)
    }

    pub(super) fn value(&mut self, node: &'a Node) -> Outcome {
        self.spend(1)?;
        match node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Name(name) => self.named(name),
            Node::List(elements) => {
                let elements = elements.iter().map(|element| self.value(element)).collect::<Result<Vec<_>, _>>()?;
                Ok(Value::List(Rc::new(elements)))
            }
            Node::Map(entries) => self.map(entries),
            Node::Select { operand, field, test } => {
                let operand = self.value(operand)?;
                match (self.field(&operand, field)?, test) {
                    (found, true) => Ok(Value::Bool(found.is_some())),
                    (found, false) => found.ok_or(Fault::Error),
                }
            }
            Node::And(sides) => self.logic(sides, false),
            Node::Or(sides) => self.logic(sides, true),
            Node::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                match self.value(condition)? {
                    Value::Bool(true) => self.value(yes),
                    Value::Bool(false) => self.value(no),
                    _ => Err(Fault::Error),
                }
            }
            Node::NotStrictlyFalse(operand) => match self.value(operand) {
                Err(Fault::Limit) => Err(Fault::Limit),
                value => Ok(Value::Bool(!matches!(value, Ok(Value::Bool(false))))),
            },
            Node::Call(function, arguments) => {
                let arguments = arguments.iter().map(|argument| self.value(argument)).collect::<Result<Vec<_>, _>>()?;
                function.call(self, &arguments)
            }
            Node::Comprehension(comprehension) => {
                let outer = self.variables.len();
                let value = self.comprehension(comprehension);
                self.variables.truncate(outer);
                value
            }
        }
    }

    fn named(&mut self, name: &str) -> Outcome {
        if let Some((_, value)) = self.variables.iter().rev().find(|(variable, _)| *variable == name) {
            return value.clone();
        }
        const TYPES: [&str; 10] =
            ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];
        if let Some(name) = TYPES.iter().find(|known| **known == name) {
            return Ok(Value::Type(name));
        }
        self.attribute(attributes::named(name, self.attributes))?.ok_or(Fault::Error)
    }

    fn map(&mut self, entries: &'a [(Node, Node)]) -> Outcome {
        let mut map: Vec<(Value, Value)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key = self.value(key)?;
            let is_key = matches!(key, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::String(_));
            self.spend(map.len() * key.weight())?;
            // The same number in another type is another key.
            let twice = |(present, _): &(Value, Value)| present.type_name() == key.type_name() && present.equals(&key);
            if !is_key || map.iter().any(twice) {
                return Err(Fault::Error);
            }
            map.push((key, self.value(value)?));
        }
        Ok(Value::Map(Rc::new(map)))
    }

    /// A field of a map; nothing where it is not there.
    fn field(&mut self, operand: &Value, field: &str) -> Result<Option<Value>, Fault> {
        match operand {
            Value::Attribute(attribute) => self.attribute(attribute.field(field, self.attributes)),
            Value::Map(map) => {
                self.spend(map.len())?;
                Ok(map
                    .iter()
                    .find(|(key, _)| matches!(key, Value::String(key) if **key == *field))
                    .map(|(_, v)| v.clone()))
            }
            _ => Err(Fault::Error),
        }
    }

    /// `container[key]`
    pub(super) fn index(&mut self, container: &Value, key: &Value) -> Outcome {
        let found = match (container, key) {
            (Value::List(list), key) => {
                let index = match key {
                    Value::Int(index) => usize::try_from(*index).ok(),
                    Value::Uint(index) => usize::try_from(*index).ok(),
                    Value::Double(index) if index.fract() == 0.0 && (0.0..1e9).contains(index) => Some(*index as usize),
                    _ => None,
                };
                index.and_then(|index| list.get(index).cloned())
            }
            (Value::Map(map), key) => {
                self.spend(map.len() * key.weight())?;
                find(map, key).cloned()
            }
            (Value::Attribute(attribute), Value::String(key)) => {
                self.attribute(attribute.field(key, self.attributes))?
            }
            _ => None,
        };
        found.ok_or(Fault::Error)
    }

    /// `value in container`
    pub(super) fn contains(&mut self, container: &Value, value: &Value) -> Outcome {
        let contains = match container {
            Value::List(list) => {
                self.spend_on(container)?;
                list.iter().any(|element| element.equals(value))
            }
            Value::Map(map) => {
                self.spend(map.len() * value.weight())?;
                find(map, value).is_some()
            }
            Value::Attribute(attribute) => match value {
                Value::String(key) => self.attribute(attribute.field(key, self.attributes))?.is_some(),
                _ => false,
            },
            _ => return Err(Fault::Error),
        };
        Ok(Value::Bool(contains))
    }

    /// `&&` and `||`: one side that decides is enough, even where the other has no value.
    fn logic(&mut self, [left, right]: &'a [Node; 2], deciding: bool) -> Outcome {
        let mut side = |node| match self.value(node) {
            Ok(Value::Bool(value)) => Ok(Some(value)),
            Err(Fault::Limit) => Err(Fault::Limit),
            Ok(_) | Err(Fault::Error) => Ok(None),
        };
        let left = side(left)?;
        if left == Some(deciding) {
            return Ok(Value::Bool(deciding));
        }
        let right = side(right)?;
        match (left, right) {
            (_, Some(value)) if value == deciding => Ok(Value::Bool(value)),
            (Some(_), Some(value)) => Ok(Value::Bool(value)),
            _ => Err(Fault::Error),
        }
    }

    fn comprehension(&mut self, parts: &'a Comprehension) -> Outcome {
        let range = match self.value(&parts.range)? {
            Value::List(list) => list,
            Value::Map(map) => {
                self.spend(map.len())?;
                Rc::new(map.iter().map(|(key, _)| key.clone()).collect())
            }
            Value::Attribute(attribute) => {
                self.spend(LISTING_STEPS)?;
                Rc::new(attribute.keys(self.attributes))
            }
            _ => return Err(Fault::Error),
        };
        let init = self.value(&parts.init)?;
        let accumulator = self.variables.len();
        self.variables.push((&parts.accumulator, Ok(init)));
        self.variables.push((&parts.variable, Err(Fault::Error)));
        for element in range.iter() {
            self.iterations = self.iterations.checked_sub(1).ok_or(Fault::Limit)?;
            // The condition does not see the variable.
            self.variables[accumulator + 1].1 = Err(Fault::Error);
            if !matches!(self.value(&parts.condition)?, Value::Bool(true)) {
                break;
            }
            self.variables[accumulator + 1].1 = Ok(element.clone());
            let next = match self.appended(&parts.step, accumulator) {
                Some(appended) => appended,
                None => self.value(&parts.step),
            };
            if matches!(next, Err(Fault::Limit)) {
                return next;
            }
            self.variables[accumulator].1 = next;
        }
        self.variables.truncate(accumulator + 1);
        self.value(&parts.result)
    }

    /// `map` and `filter` append an element to their list; without a copy of it each time.
    fn appended(&mut self, step: &'a Node, accumulator: usize) -> Option<Outcome> {
        let is_accumulator = |node: &Node| matches!(node, Node::Name(name) if *name == self.variables[accumulator].0);
        match step {
            Node::Conditional(parts) if is_accumulator(&parts[2]) => match self.value(&parts[0]) {
                Ok(Value::Bool(true)) => self.appended(&parts[1], accumulator).or_else(|| Some(self.value(&parts[1]))),
                Ok(Value::Bool(false)) => Some(self.take(accumulator)),
                Ok(_) => Some(Err(Fault::Error)),
                Err(fault) => Some(Err(fault)),
            },
            Node::Call(Function::Add, sides) => match &sides[..] {
                [left, Node::List(elements)] if is_accumulator(left) => match &elements[..] {
                    [element] => {
                        let element = match self.value(element) {
                            Ok(element) => element,
                            Err(fault) => return Some(Err(fault)),
                        };
                        let Ok(Value::List(mut list)) = self.take(accumulator) else { return Some(Err(Fault::Error)) };
                        Rc::make_mut(&mut list).push(element);
                        Some(Ok(Value::List(list)))
                    }
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    fn take(&mut self, variable: usize) -> Outcome {
        std::mem::replace(&mut self.variables[variable].1, Err(Fault::Error))
    }
}
