//! Values as they stand in a message's bytes.

use std::collections::BTreeMap;

use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{Cardinality, FieldDescriptor, Kind};

/// A value of one field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wire {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    Bytes(Vec<u8>),
}

impl Wire {
    pub(super) fn double(number: f64) -> Self {
        Self::Fixed64(number.to_le_bytes())
    }

    /// The value that a field of this kind has where none is said.
    pub(super) fn zero(kind: &Kind) -> Self {
        match kind {
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Self::Fixed64([0; 8]),
            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Self::Fixed32([0; 4]),
            Kind::String | Kind::Bytes | Kind::Message(_) => Self::Bytes(Vec::new()),
            _ => Self::Varint(0),
        }
    }

    /// Goes by the bits: `-0.0` is not zero.
    fn is_zero(&self) -> bool {
        match self {
            Self::Varint(number) => *number == 0,
            Self::Fixed32(bytes) => *bytes == [0; 4],
            Self::Fixed64(bytes) => *bytes == [0; 8],
            Self::Bytes(bytes) => bytes.is_empty(),
        }
    }

    fn wire_type(&self) -> WireType {
        match self {
            Self::Varint(_) => WireType::Varint,
            Self::Fixed32(_) => WireType::ThirtyTwoBit,
            Self::Fixed64(_) => WireType::SixtyFourBit,
            Self::Bytes(_) => WireType::LengthDelimited,
        }
    }

    /// Writes it as the field of this number.
    pub(super) fn write(&self, number: u32, bytes: &mut Vec<u8>) {
        encode_key(number, self.wire_type(), bytes);
        if let Self::Bytes(within) = self {
            encode_varint(within.len() as u64, bytes);
        }
        self.write_bare(bytes);
    }

    /// Writes it as one of several that stand together.
    fn write_bare(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Varint(number) => encode_varint(*number, bytes),
            Self::Fixed32(four) => bytes.extend_from_slice(four),
            Self::Fixed64(eight) => bytes.extend_from_slice(eight),
            Self::Bytes(within) => bytes.extend_from_slice(within),
        }
    }
}

/// The fields of a message that are said, by their numbers, in whose order Envoy writes them.
#[derive(Default)]
pub(super) struct Fields(BTreeMap<u32, (FieldDescriptor, Vec<Wire>)>);

impl Fields {
    pub(super) fn set(&mut self, field: &FieldDescriptor, wire: Wire) {
        self.0.insert(field.number(), (field.clone(), vec![wire]));
    }

    pub(super) fn push(&mut self, field: &FieldDescriptor, wire: Wire) {
        self.0.entry(field.number()).or_insert_with(|| (field.clone(), Vec::new())).1.push(wire);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, (field, wires)) in self.0 {
            let is_repeated = field.cardinality() == Cardinality::Repeated;
            if is_repeated && field.is_packed() {
                let mut packed = Vec::new();
                wires.iter().for_each(|wire| wire.write_bare(&mut packed));
                Wire::Bytes(packed).write(number, &mut bytes);
                continue;
            }
            let is_said = |wire: &&Wire| is_repeated || field.supports_presence() || !wire.is_zero();
            wires.iter().filter(is_said).for_each(|wire| wire.write(number, &mut bytes));
        }
        bytes
    }
}
