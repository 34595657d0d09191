//! `api/envoy.binpb.zlib` is what Envoy knows: the descriptors in its program, without what reading JSON does not want.
//!
//! Envoy's path is in ENVOY, as `tests/run` sets it; without it nothing is compared. `api/build.sh` writes the file.
#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

use std::path::{Path, PathBuf};
use std::process::Command;

use prost::Message as _;
use prost::encoding::{DecodeContext, decode_key, skip_field};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, FieldOptions, FileDescriptorProto, FileDescriptorSet,
    MessageOptions,
};
use sha2::{Digest, Sha256};

/// Where the C++ that protobuf generates has the descriptors of its files.
const SECTION: &[u8] = b"protodesc_cold";
/// The best that there is, and slow; it is done once.
const LEVEL: u8 = 10;

#[test]
fn it_is_that_of_envoy() {
    let Some(envoy) = std::env::var_os("ENVOY").map(PathBuf::from) else { return };
    let program = std::fs::read(&envoy).unwrap_or_else(|error| panic!("{}: {error}", envoy.display()));
    let is_written = std::env::var_os("BLESS").is_some();
    let Some(found) = section(&program) else {
        // Envoy for another system says the same, in a file of another format.
        assert!(!is_written, "{} has no section of descriptors: give Envoy for Linux, of 64 bits", envoy.display());
        return;
    };
    let set = FileDescriptorSet { file: files(found) };
    let bytes = miniz_oxide::deflate::compress_to_vec_zlib(&set.encode_to_vec(), LEVEL);
    let description = format!(
        "# Written by adapter/migrate/api/build.sh, out of Envoy.\nenvoy = \"{}\"\nfiles = {}\nartifact = \"{}\"\nbytes = {}\n",
        version(&envoy),
        set.file.len(),
        Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        bytes.len(),
    );
    let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("api");
    let (binary, text) = (api.join("envoy.binpb.zlib"), api.join("envoy.toml"));
    if is_written {
        std::fs::write(&binary, &bytes).unwrap();
        std::fs::write(&text, &description).unwrap();
    }
    let is_same = std::fs::read(&binary).ok().as_deref() == Some(&bytes);
    assert!(is_same, "{} is not that of this Envoy: run `adapter/migrate/api/build.sh`", binary.display());
    assert_eq!(std::fs::read_to_string(&text).unwrap(), description);
}

/// A section of an ELF file of 64 bits, little-endian.
fn section(program: &[u8]) -> Option<&[u8]> {
    let number = |at: usize, size: usize| {
        let bytes = program.get(at..at.checked_add(size)?)?;
        bytes.iter().rev().try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))
    };
    program.starts_with(b"\x7fELF\x02\x01").then_some(())?;
    let (headers, size, names) = (number(0x28, 8)?, number(0x3a, 2)?, number(0x3e, 2)?);
    // Its name, counted from where the names are, where it begins, and its length.
    let header = |index: usize| {
        let at = headers.checked_add(index.checked_mul(size)?)?;
        Some((number(at, 4)?, number(at + 0x18, 8)?, number(at + 0x20, 8)?))
    };
    let names = header(names)?.1;
    (0..number(0x3c, 2)?).find_map(|index| {
        let (name, start, length) = header(index)?;
        let name = program.get(names.checked_add(name)?..)?;
        let is_it = name.strip_prefix(SECTION).is_some_and(|rest| rest.first() == Some(&0));
        is_it.then(|| program.get(start..start.checked_add(length)?))?
    })
}

/// The descriptors in a section, by their names. There are tables of numbers between them, and nothing tells their length.
fn files(mut section: &[u8]) -> Vec<FileDescriptorProto> {
    let mut files = Vec::new();
    while !section.is_empty() {
        let length = if is_start(section) { length(section) } else { 1 };
        let (file, rest) = section.split_at(length);
        if length > 1 {
            files.push(bare(FileDescriptorProto::decode(file).unwrap()));
        }
        section = rest;
    }
    files.sort_by(|one, other| one.name().cmp(other.name()));
    files
}

/// Whether a descriptor begins here: with its first field, its name.
fn is_start(bytes: &[u8]) -> bool {
    let [0x0a, length @ ..=0x7f, rest @ ..] = bytes else { return false };
    let name = rest.get(..usize::from(*length)).unwrap_or_default();
    name.ends_with(b".proto") && name.iter().all(u8::is_ascii_graphic)
}

/// The length of the descriptor that begins here. It ends where no field begins: at the zero behind it.
fn length(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while rest.first().is_some_and(|byte| *byte != 0) {
        let (tag, wire_type) = decode_key(&mut rest).unwrap();
        skip_field(wire_type, tag, &mut rest, DecodeContext::default()).unwrap();
    }
    bytes.len() - rest.len()
}

/// Without what only compilers want.
fn bare(mut file: FileDescriptorProto) -> FileDescriptorProto {
    file.message_type = file.message_type.into_iter().map(bare_message).collect();
    file.enum_type.iter_mut().for_each(bare_enum);
    file.extension.clear();
    file.service.clear();
    (file.options, file.source_code_info) = (None, None);
    file
}

fn bare_message(mut message: DescriptorProto) -> DescriptorProto {
    for field in &mut message.field {
        let packed = field.options.as_ref().and_then(|options| options.packed);
        field.options = packed.map(|packed| FieldOptions { packed: Some(packed), ..FieldOptions::default() });
    }
    message.enum_type.iter_mut().for_each(bare_enum);
    message.oneof_decl.iter_mut().for_each(|oneof| oneof.options = None);
    let is_entry = message.options.as_ref().is_some_and(MessageOptions::map_entry);
    message.options = is_entry.then(|| MessageOptions { map_entry: Some(true), ..MessageOptions::default() });
    message.nested_type = message.nested_type.into_iter().map(bare_message).collect();
    message.extension.clear();
    message.extension_range.clear();
    (message.reserved_range, message.reserved_name) = (Vec::new(), Vec::new());
    message
}

fn bare_enum(kind: &mut EnumDescriptorProto) {
    let has_aliases = kind.options.as_ref().is_some_and(EnumOptions::allow_alias);
    kind.options = has_aliases.then(|| EnumOptions { allow_alias: Some(true), ..EnumOptions::default() });
    (kind.reserved_range, kind.reserved_name) = (Vec::new(), Vec::new());
    kind.value.iter_mut().for_each(|value| value.options = None);
}

/// `1.40.0`, out of `envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`.
fn version(envoy: &Path) -> String {
    let printed = Command::new(envoy).arg("--version").output().unwrap().stdout;
    let printed = String::from_utf8(printed).unwrap();
    let version = printed.split_once("version: ").and_then(|(_, said)| said.split('/').nth(1));
    version.unwrap_or_else(|| panic!("Envoy's version is {printed:?}")).to_owned()
}
