//! Gives what a module refers to the numbers that it has in the joined one.

use wasm_encoder::reencode::{Error, Reencode};

use super::failed;
use super::module::{Modules, OfEach, Space};
use crate::error::Internal;

/// The numbers of one module's things.
pub(super) struct Renumber {
    types: u32,
    elements: u32,
    data: u32,
    numbers: OfEach<Vec<u32>>,
}

impl Renumber {
    pub(super) fn new(modules: &Modules<'_>, index: usize) -> Result<Self, Internal> {
        let before = modules.before(index);
        let mut numbers: OfEach<Vec<u32>> = Default::default();
        for space in Space::ALL {
            numbers[space as usize] = modules.numbers(index, space)?;
        }
        Ok(Self {
            types: before.iter().map(|module| module.types).sum(),
            elements: before.iter().map(|module| module.elements).sum(),
            data: before.iter().map(|module| module.data).sum(),
            numbers,
        })
    }

    /// The new number of each function.
    pub(super) fn functions(&self) -> &[u32] {
        &self.numbers[Space::Function as usize]
    }

    fn number(&self, space: Space, number: u32) -> Result<u32, Error<Internal>> {
        let new = self.numbers[space as usize].get(number as usize).copied();
        new.ok_or_else(|| Error::UserError(failed(format!("there is no {space:?} {number}"))))
    }
}

impl Reencode for Renumber {
    type Error = Internal;

    fn type_index(&mut self, ty: u32) -> Result<u32, Error<Internal>> {
        Ok(self.types + ty)
    }

    fn element_index(&mut self, element: u32) -> Result<u32, Error<Internal>> {
        Ok(self.elements + element)
    }

    fn data_index(&mut self, data: u32) -> Result<u32, Error<Internal>> {
        Ok(self.data + data)
    }

    fn function_index(&mut self, function: u32) -> Result<u32, Error<Internal>> {
        self.number(Space::Function, function)
    }

    fn table_index(&mut self, table: u32) -> Result<u32, Error<Internal>> {
        self.number(Space::Table, table)
    }

    fn memory_index(&mut self, memory: u32) -> Result<u32, Error<Internal>> {
        self.number(Space::Memory, memory)
    }

    fn global_index(&mut self, global: u32) -> Result<u32, Error<Internal>> {
        self.number(Space::Global, global)
    }
}
