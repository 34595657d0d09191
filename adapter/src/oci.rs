//! Images with a filter in them: layouts of OCI on disk, and the archives that `docker save` and `skopeo copy oci-archive:` write.
//!
//! A filter is a layer of its own, or `plugin.wasm`, or else the one file `*.wasm`, in a layer that is an archive, as Envoy and
//! Istio take images. Every blob has the digest that it is called by, or is refused.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path};

use flate2::read::GzDecoder;
use proxy_wasm_adapter::digest::sha256;
use serde_json::Value;

/// The most bytes that an archive, or a layer that is one, is unpacked to.
const MOST_BYTES: u64 = 1 << 30;

/// How deep an index may lead to another.
const DEEPEST: usize = 4;

/// The files of an image, by their paths.
enum Image<'a> {
    Directory(&'a Path),
    Archive(HashMap<String, Vec<u8>>),
}

/// The filter of the image at this path; nothing where there is no image.
///
/// # Errors
/// It is an image, and has no filter, or not what it says.
pub(super) fn filter(path: &Path) -> Option<Result<Vec<u8>, String>> {
    let image = if path.is_dir() {
        Image::Directory(path)
    } else {
        // The magic of archives stands behind the first name.
        let mut head = [0; 262];
        File::open(path).ok()?.read_exact(&mut head).ok()?;
        (head[257..262] == *b"ustar").then_some(())?;
        Image::Archive(unpack(File::open(path).ok()?).ok()?)
    };
    if image.has("index.json") {
        Some(image.by_index("index.json", DEEPEST))
    } else if image.has("manifest.json") {
        Some(image.by_docker())
    } else {
        None
    }
}

impl Image<'_> {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::Directory(path) => path.join(name).is_file(),
            Self::Archive(files) => files.contains_key(name),
        }
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let is_within = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        let found = match self {
            Self::Directory(path) if is_within => fs::read(path.join(name)).ok(),
            Self::Archive(files) => files.get(name).cloned(),
            Self::Directory(_) => None,
        };
        found.ok_or_else(|| format!("its `{name}` is missing"))
    }

    fn json(&self, name: &str) -> Result<Value, String> {
        serde_json::from_slice(&self.read(name)?).map_err(|error| format!("its `{name}` is no JSON: {error}"))
    }

    /// A blob, with the digest that it has to have.
    fn blob(&self, digest: &str) -> Result<(String, Vec<u8>), String> {
        let hash = digest.strip_prefix("sha256:").ok_or_else(|| format!("its digest `{digest}` is no sha256"))?;
        let name = format!("blobs/sha256/{hash}");
        let bytes = self.read(&name)?;
        let found = sha256(&bytes);
        if found == hash { Ok((name, bytes)) } else { Err(format!("its blob `{hash}` has the sha256 {found}")) }
    }

    fn by_index(&self, name: &str, deep: usize) -> Result<Vec<u8>, String> {
        let index = self.json(name)?;
        if let Some(layers) = index["layers"].as_array() {
            let layers = layers.iter().map(|layer| {
                let (_, bytes) = self.blob(layer["digest"].as_str().unwrap_or_default())?;
                Ok((layer["mediaType"].as_str().unwrap_or_default().to_owned(), bytes))
            });
            return of_layers(layers.collect::<Result<_, String>>()?);
        }
        let first = index["manifests"].as_array().and_then(|manifests| manifests.first());
        let digest = first.and_then(|manifest| manifest["digest"].as_str()).ok_or("it names no manifest")?;
        if deep == 0 {
            return Err("its indexes lead to each other".into());
        }
        let (name, _) = self.blob(digest)?;
        self.by_index(&name, deep - 1)
    }

    fn by_docker(&self) -> Result<Vec<u8>, String> {
        let manifest = self.json("manifest.json")?;
        let layers = manifest[0]["Layers"].as_array().ok_or("its `manifest.json` names no layers")?;
        let layers = layers.iter().map(|layer| {
            let bytes = self.read(layer.as_str().unwrap_or_default())?;
            Ok((String::new(), bytes))
        });
        of_layers(layers.collect::<Result<_, String>>()?)
    }
}

/// The filter in layers; what comes last counts, as it lies above the others.
fn of_layers(layers: Vec<(String, Vec<u8>)>) -> Result<Vec<u8>, String> {
    for (kind, bytes) in layers.iter().rev() {
        if bytes.starts_with(b"\0asm") {
            return Ok(bytes.clone());
        }
        let files = if bytes.starts_with(&[0x1f, 0x8b]) || kind.ends_with("gzip") {
            unpack(GzDecoder::new(bytes.as_slice()))
        } else {
            unpack(bytes.as_slice())
        };
        let files = files.map_err(|error| format!("one of its layers is no archive: {error}"))?;
        let mut wasm: Vec<&String> = files.keys().filter(|name| name.ends_with(".wasm")).collect();
        wasm.sort_by_key(|name| (name.rsplit('/').next() != Some("plugin.wasm"), *name));
        match wasm.as_slice() {
            [] => {}
            [first, rest @ ..] if rest.is_empty() || first.rsplit('/').next() == Some("plugin.wasm") => {
                return Ok(files.get(*first).cloned().unwrap_or_default());
            }
            _ => return Err("it has several files `*.wasm`, and none is called `plugin.wasm`".into()),
        }
    }
    Err("there is no WebAssembly in its layers".into())
}

/// The files of an archive, by their paths without `./`.
fn unpack(from: impl Read) -> std::io::Result<HashMap<String, Vec<u8>>> {
    let mut files = HashMap::new();
    for entry in tar::Archive::new(from.take(MOST_BYTES)).entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.insert(name, bytes);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::json;
    use std::io::Write;

    use super::*;

    const WASM: &[u8] = b"\0asm\x01\0\0\0";

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, *bytes).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// The files of a layout with this layer.
    fn layout(kind: &str, layer: &[u8]) -> Vec<(String, Vec<u8>)> {
        let blob = |bytes: &[u8]| (format!("blobs/sha256/{}", sha256(bytes)), bytes.to_vec());
        let digest = |bytes: &[u8]| format!("sha256:{}", sha256(bytes));
        let manifest = json!({"layers": [{"mediaType": kind, "digest": digest(layer)}]}).to_string().into_bytes();
        let index = json!({"manifests": [{"digest": digest(&manifest)}]}).to_string().into_bytes();
        vec![blob(layer), blob(&manifest), ("index.json".into(), index)]
    }

    fn of_archive(files: &[(String, Vec<u8>)]) -> Option<Result<Vec<u8>, String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        fs::write(file.path(), archive(&files)).unwrap();
        filter(file.path())
    }

    #[test]
    fn each_form_of_an_image() {
        let layer = "application/vnd.module.wasm.content.layer.v1+wasm";
        let compat = gzip(&archive(&[("./plugin.wasm", WASM), ("./other.wasm", b"x")]));
        let plain = archive(&[("dir/filter.wasm", WASM)]);
        for files in
            [layout(layer, WASM), layout("application/vnd.oci.image.layer.v1.tar+gzip", &compat), layout("", &plain)]
        {
            assert_eq!(of_archive(&files), Some(Ok(WASM.to_vec())));
            let directory = tempfile::tempdir().unwrap();
            for (name, bytes) in &files {
                let path = directory.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
            assert_eq!(filter(directory.path()), Some(Ok(WASM.to_vec())));
        }
        let docker = [
            ("manifest.json".to_owned(), json!([{"Layers": ["a/layer.tar"]}]).to_string().into_bytes()),
            ("a/layer.tar".to_owned(), plain),
        ];
        assert_eq!(of_archive(&docker), Some(Ok(WASM.to_vec())));
    }

    #[test]
    fn what_is_wrong_with_an_image_is_told() {
        let mut changed = layout("", WASM);
        changed[0].1.push(0);
        let told = |files: &[(String, Vec<u8>)]| of_archive(files).unwrap().unwrap_err();
        assert!(told(&changed).contains("has the sha256"), "{}", told(&changed));
        assert!(told(&layout("", WASM)[1..]).contains("is missing"));
        assert!(told(&layout("", &archive(&[("a.wasm", WASM), ("b.wasm", WASM)]))).contains("several files"));
        assert!(told(&layout("", &archive(&[("a.txt", b"x")]))).contains("no WebAssembly"));
        let outside =
            [("index.json".to_owned(), json!({"manifests": [{"digest": "sha256:../../x"}]}).to_string().into_bytes())];
        assert!(told(&outside).contains("is missing"));
        assert_eq!(of_archive(&[("some.txt".to_owned(), Vec::new())]), None, "an archive that is no image");
        assert_eq!(filter(Path::new("/nowhere")), None);
    }
}
