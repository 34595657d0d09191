//! Compiled code that is kept for the next start.

use std::fs;
use std::path::{Path, PathBuf};

use http::StatusCode;
use proxy_wasm_adapter_serve::{Error, Options};

use crate::support::{Running, StartMode, get, guest};

/// The compiled components in a directory; beside them Wasmtime notes how often it used them.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            entries.extend(self::entries(&path));
        } else if path.extension().is_none() {
            entries.push(path);
        }
    }
    entries
}

async fn starts(mode: StartMode, cache: &Path) -> Result<StatusCode, Error> {
    let mut options = Options::default();
    options.cache = Some(cache.into());
    let server = Running::start_component(&guest(mode), options).await?;
    Ok(get(server.address, "/").await.status)
}

#[tokio::test]
async fn what_was_compiled_is_not_compiled_again() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("made/when/missing");
    assert_eq!(starts(StartMode::Starts, &cache).await.unwrap(), StatusCode::OK);
    let first = entries(&cache);
    assert_eq!(first.len(), 1, "{first:?}");
    let own = cache.join("proxy-wasm-adapter");
    assert!(first[0].starts_with(&own), "what else is in the directory is not Wasmtime's to delete: {first:?}");
    let written = || fs::metadata(&first[0]).unwrap().modified().unwrap();
    let when = written();

    assert_eq!(starts(StartMode::Starts, &cache).await.unwrap(), StatusCode::OK);
    assert_eq!((entries(&cache).len(), written()), (1, when));
    assert!(matches!(starts(StartMode::Refuses, &cache).await, Err(Error::Refused { .. })));
    assert_eq!(entries(&cache).len(), 2, "another component");

    fs::write(&first[0], "no code").unwrap();
    assert_eq!(starts(StartMode::Starts, &cache).await.unwrap(), StatusCode::OK);
    assert_ne!(fs::read(&first[0]).unwrap(), b"no code");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = starts(StartMode::Starts, &file.path().join("cache")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("cannot keep compiled code in `") && text.contains("Not a directory"), "{text}");
    assert!(text.contains("`--cache`"), "{text}");
}
