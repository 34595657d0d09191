//! What a file is that is no WebAssembly, and how one gets to the filter from there.

use miniz_oxide::inflate::decompress_to_vec_with_limit;

/// What a file is taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookalike {
    /// What it looks like.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) remedy: String,
}

/// Bytes of what is compressed that are looked at.
const LOOKED_AT: usize = 8 << 20;

/// Entries of an archive that are looked at.
const ENTRIES: usize = 10_000;

const GIVE: &str = "Give the `.wasm` file that the filter's build wrote.";

/// What stands in nearly all configurations of Envoy, in YAML or JSON, with Wasm filters.
const ENVOY: &[&str] =
    &["http_filters", "httpFilters", "static_resources", "staticResources", "envoy.extensions.filters."];

/// How files begin that people have at hand.
const KNOWN: &[(&[u8], &str, &str)] = &[
    (b"\x7fELF", "a native executable or library (ELF)", "Build the filter for `wasm32-wasip1`, and give that file."),
    (
        b"\xcf\xfa\xed\xfe",
        "a native executable or library (Mach-O)",
        "Build the filter for `wasm32-wasip1`, and give that file.",
    ),
    (b"\xca\xfe\xba\xbe", "a native executable or library (Mach-O), or a class of Java", GIVE),
    (b"MZ", "a native executable or library (Windows)", "Build the filter for `wasm32-wasip1`, and give that file."),
    (b"PK", "a zip archive", "Unpack it, and give the `.wasm` file that is in it."),
    (b"\x28\xb5\x2f\xfd", "a file compressed with Zstandard", "Decompress it, with `zstd -d`."),
    (b"\xfd7zXZ", "a file compressed with xz", "Decompress it, with `xz -d`."),
    (b"BZh", "a file compressed with bzip2", "Decompress it, with `bzip2 -d`."),
    (b"!<arch>", "a static library", "Link it: a filter is a complete module."),
    (b"BC\xc0\xde", "bitcode of LLVM", "Compile and link it for `wasm32-wasip1`."),
    (b"version https://git-lfs", "a Git LFS pointer", "Get the file that it stands for, with `git lfs pull`."),
    (b"AGFzbQ", "WebAssembly in Base64", "Decode it, with `base64 -d`."),
];

/// What these bytes, which are no WebAssembly, may be.
pub(crate) fn of(bytes: &[u8]) -> Lookalike {
    let found = |what: &str, remedy: &str| Lookalike { what: what.into(), remedy: remedy.into() };
    if let Some(found) = compressed(bytes).or_else(|| archive(bytes, "a tar archive", "tar -xf")) {
        return found;
    }
    // Wasmtime's own files are ELF of a system of that name.
    if bytes.starts_with(b"\x7fELF") && bytes.get(7) == Some(&200) {
        return found(
            "WebAssembly that Wasmtime compiled (`.cwasm`)",
            "Give the `.wasm` file that it was compiled from.",
        );
    }
    if let Some((_, what, remedy)) = KNOWN.iter().find(|(start, ..)| bytes.starts_with(start)) {
        return found(what, remedy);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => self::text(text),
        Err(_) => found("binary data of another kind", GIVE),
    }
}

fn text(text: &str) -> Lookalike {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let begins = |start: &str| text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    let (what, remedy) = if begins("<!doctype html") || begins("<html") {
        (
            "a web page",
            "A download may have got an error or a page to sign in instead: look at it, and get the file itself.",
        )
    } else if begins("<") {
        ("XML", "A download may have got an error instead: look at it, and get the file itself.")
    } else if begins("{") && text.contains("\"schemaVersion\"") {
        (
            "the manifest of a container image",
            "Get the image's layers too, for example with `docker save`, and give the `.wasm` file in one of them.",
        )
    } else if ENVOY.iter().any(|part| text.contains(part)) {
        (
            "a configuration of Envoy",
            "`serve` and `migrate` take it, and `compare --envoy-config`; or give the filter's `.wasm` file.",
        )
    } else if begins("{") {
        ("JSON", GIVE)
    } else if begins("(") {
        ("text", "If it is WebAssembly's text format, save it as UTF-8 without a byte order mark.")
    } else {
        ("text", GIVE)
    };
    Lookalike { what: what.into(), remedy: remedy.into() }
}

/// What is compressed with gzip.
fn compressed(bytes: &[u8]) -> Option<Lookalike> {
    let inside = match decompress_to_vec_with_limit(deflated(bytes)?, LOOKED_AT) {
        Ok(all) => all,
        // As far as it goes.
        Err(error) => error.output,
    };
    if inside.starts_with(b"\0asm") {
        let (what, remedy) = ("WebAssembly compressed with gzip", "Decompress it, with `gzip -d`.");
        return Some(Lookalike { what: what.into(), remedy: remedy.into() });
    }
    let archive = archive(&inside, "a tar archive compressed with gzip", "tar -xzf");
    let other = Lookalike {
        what: "a file compressed with gzip".into(),
        remedy: "Decompress it, with `gzip -d`, and give the `.wasm` file.".into(),
    };
    Some(archive.unwrap_or(other))
}

/// The compressed bytes of a gzip file, behind its header.
fn deflated(bytes: &[u8]) -> Option<&[u8]> {
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const CHECKSUM: u8 = 2;
    let header = bytes.strip_prefix(b"\x1f\x8b\x08")?;
    let (flags, mut rest) = (*header.first()?, header.get(7..)?);
    if flags & EXTRA != 0 {
        let length = u16::from_le_bytes([*rest.first()?, *rest.get(1)?]);
        rest = rest.get(2 + usize::from(length)..)?;
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & CHECKSUM != 0 { rest.get(2..) } else { Some(rest) }
}

/// A tar archive: an image, a layer of one, or another that has a filter in it.
fn archive(bytes: &[u8], what: &str, command: &str) -> Option<Lookalike> {
    if bytes.get(257..262) != Some(b"ustar") {
        return None;
    }
    let names = names(bytes);
    let is_of_image =
        |name: &str| matches!(name.trim_start_matches("./"), "oci-layout" | "manifest.json" | "index.json");
    if names.iter().any(|name| is_of_image(name)) {
        return Some(Lookalike {
            what: format!("a container image ({what})"),
            remedy: format!(
                "Unpack it, with `{command} FILE`; its layers, below `blobs/` or as `layer.tar`, are archives too, and the last \
                 one has the filter, often as `plugin.wasm`."
            ),
        });
    }
    let filter = names.iter().find(|name| name.ends_with(".wasm"));
    Some(match filter {
        Some(name) => Lookalike {
            what: format!("{what} with `{name}` in it, as a layer of a container image is"),
            remedy: format!("Take that out, with `{command} FILE {name}`, and give it."),
        },
        None => Lookalike {
            what: format!("{what}, as a layer of a container image is"),
            remedy: format!("Unpack it, with `{command} FILE`, and give the `.wasm` file, if there is one in it."),
        },
    })
}

/// The names of an archive's entries, as far as they can be read.
fn names(mut archive: &[u8]) -> Vec<String> {
    const BLOCK: usize = 512;
    let mut names = Vec::new();
    while let Some(header) = archive.get(..BLOCK).filter(|header| header[0] != 0 && names.len() < ENTRIES) {
        let text =
            |field: &[u8]| String::from_utf8_lossy(field.split(|byte| *byte == 0).next().unwrap_or(field)).into_owned();
        let size = usize::from_str_radix(text(&header[124..136]).trim(), 8).unwrap_or(usize::MAX);
        let name = text(&header[..100]);
        names.push(name);
        let Some(next) = size.checked_next_multiple_of(BLOCK).and_then(|size| size.checked_add(BLOCK)) else { break };
        archive = archive.get(next..).unwrap_or_default();
    }
    names
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec;

    use super::*;

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = Vec::new();
        for (name, bytes) in files {
            let mut header = [0_u8; 512];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
            header[257..262].copy_from_slice(b"ustar");
            archive.extend_from_slice(&header);
            archive.extend_from_slice(bytes);
            archive.resize(archive.len().next_multiple_of(512), 0);
        }
        archive.resize(archive.len() + 1024, 0);
        archive
    }

    fn gzip(bytes: &[u8], name: Option<&str>) -> Vec<u8> {
        let mut file = b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec();
        if let Some(name) = name {
            file[3] = 8;
            file.extend_from_slice(name.as_bytes());
            file.push(0);
        }
        file.extend(compress_to_vec(bytes, 6));
        file
    }

    #[test]
    fn what_is_packed_is_named_as_what_it_is() {
        let layer = tar(&[("./etc/", b""), ("./plugin.wasm", b"\0asm")]);
        for (bytes, what, remedy) in [
            (layer.clone(), "a tar archive with `./plugin.wasm` in it", "`tar -xf FILE ./plugin.wasm`"),
            (
                gzip(&layer, None),
                "a tar archive compressed with gzip with `./plugin.wasm` in it",
                "`tar -xzf FILE ./plugin.wasm`",
            ),
            (
                tar(&[("blobs/sha256/00", &layer), ("oci-layout", b"{}")]),
                "a container image (a tar archive)",
                "`blobs/`",
            ),
            (tar(&[("a", b"b")]), "a tar archive, as a layer", "if there is one"),
            (gzip(b"\0asm\x01\0\0\0", Some("filter.wasm")), "WebAssembly compressed with gzip", "`gzip -d`"),
            (gzip(b"hello", None), "a file compressed with gzip", "`gzip -d`"),
            (b"\x1f\x8b\x08\x08\0\0\0\0\0\x03endless".to_vec(), "binary data", ".wasm"),
        ] {
            let found = of(&bytes);
            assert!(found.what.contains(what) && found.remedy.contains(remedy), "{found:?}");
        }
    }

    #[test]
    fn damaged_archives_end() {
        let whole = gzip(&tar(&[("plugin.wasm", &[7; 5000])]), Some("layer.tar"));
        for length in 0..whole.len() {
            of(&whole[..length]);
        }
        let mut endless = tar(&[("a", b"")]);
        endless[124..135].copy_from_slice(b"77777777777");
        assert!(of(&endless).what.starts_with("a tar archive"));
    }

    #[test]
    fn other_files() {
        for (bytes, what) in [
            (b"\x7fELF\x02\x01\x01\xc8".as_slice(), "Wasmtime compiled"),
            (b"\x7fELF\x02\x01\x01\0", "native"),
            (b"\n<!DOCTYPE html>", "a web page"),
            (b"<?xml version='1.0'?><Error/>", "XML"),
            (b"{\"schemaVersion\": 2}", "manifest"),
            (b"{}", "JSON"),
            (b"AGFzbQEAAAA=", "Base64"),
            (b"hello", "text"),
            (b"\x01\xfe", "binary"),
        ] {
            let found = of(bytes);
            assert!(found.what.contains(what), "{found:?}");
        }
    }
}
