//! A settings file together with the files that it names.

use std::path::PathBuf;

use crate::error::{Error, FilterProblem};
use crate::options::Options;
use crate::settings::{Input, Problem, Read, located, parse};
use crate::text::assemble;

/// A filter that a settings file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The file, as it stands there.
    pub file: PathBuf,
    /// The core module.
    pub bytes: Vec<u8>,
}

impl AsRef<[u8]> for Named {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The filters that the text of a settings file names, and how to adapt them. `name` is what messages call the file; what
/// `over` says counts over it.
///
/// # Errors
/// All that is wrong with the settings, or with the filters. A file that can't be read is a problem of the settings.
pub fn read(name: &str, text: &str, over: Input, files: Read<'_>) -> Result<(Vec<Named>, Options), Error> {
    let input = parse(name, text).map_err(|problem| Error::Settings(vec![problem]))?;
    let named = input.filters().map_err(Error::Settings)?;
    let input = over.over(input);
    let options = input.resolve(named.len(), files).map_err(|problems| located(name, text, problems));
    let (mut filters, mut unreadable, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for (index, file) in named.into_iter().enumerate() {
        match files(&file).map(|bytes| assemble(&bytes).map(std::borrow::Cow::into_owned)) {
            Ok(Ok(bytes)) => filters.push(Named { file, bytes }),
            Ok(Err(problem)) => problems.push(FilterProblem { plugin: Some(index), problem }),
            Err(reason) => {
                unreadable.push(Problem::Unreadable { of: "filter", file: file.display().to_string(), reason })
            }
        }
    }
    match options {
        Ok(options) if unreadable.is_empty() && problems.is_empty() => Ok((filters, options)),
        Ok(_) if unreadable.is_empty() => Err(Error::Filter(problems)),
        options => Err(Error::Settings(unreadable.into_iter().chain(options.err().into_iter().flatten()).collect())),
    }
}
