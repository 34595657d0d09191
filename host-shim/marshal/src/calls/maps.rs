//! Header maps.

use proxy_wasm_abi::enums::{MapType, Status};
use proxy_wasm_semantics::Guest;

use crate::caller::{Caller, Memory, Outcome};

impl<G: Guest + Memory> Caller<'_, G> {
    pub(crate) fn get_header_map_value(&self, map: u32, key: u32, key_len: u32, ptr: u32, size: u32) -> Outcome {
        known_map(map)?;
        let key = self.text(key, key_len)?;
        let value = self.state().get_header_map_value(map, &key)?;
        self.give(&value, ptr, size)
    }

    pub(crate) fn get_header_map_pairs(&self, map: u32, ptr: u32, size: u32) -> Outcome {
        let pairs = self.state().get_header_map_pairs(map)?;
        self.give(&pairs, ptr, size)
    }

    pub(crate) fn get_header_map_size(&self, map: u32, size: u32) -> Outcome {
        let bytes = self.state().get_header_map_size(map)?;
        self.put_u32(size, bytes)
    }

    pub(crate) fn add_header_map_value(&self, map: u32, key: u32, key_len: u32, value: u32, value_len: u32) -> Outcome {
        known_map(map)?;
        let (key, value) = (self.text(key, key_len)?, self.text(value, value_len)?);
        self.state().add_header_map_value(map, &key, &value)
    }

    pub(crate) fn replace_header_map_value(
        &self,
        map: u32,
        key: u32,
        key_len: u32,
        value: u32,
        value_len: u32,
    ) -> Outcome {
        known_map(map)?;
        let (key, value) = (self.text(key, key_len)?, self.text(value, value_len)?);
        self.state().replace_header_map_value(map, &key, &value)
    }

    pub(crate) fn remove_header_map_value(&self, map: u32, key: u32, key_len: u32) -> Outcome {
        known_map(map)?;
        let key = self.text(key, key_len)?;
        self.state().remove_header_map_value(map, &key)
    }

    pub(crate) fn set_header_map_pairs(&self, map: u32, pairs: u32, len: u32) -> Outcome {
        known_map(map)?;
        let pairs = self.bytes(pairs, len)?;
        self.state().set_header_map_pairs(map, &pairs)
    }
}

/// An unknown map is a bad argument before any pointer is looked at.
fn known_map(map: u32) -> Outcome {
    MapType::from_u32(map).map(|_| ()).ok_or(Status::BadArgument)
}
