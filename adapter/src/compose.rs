//! `proxy-wasm-adapter compose`

use std::path::{Path, PathBuf};

use proxy_wasm_adapter_compose::Problem;

use super::exit::Code;
use super::failure::Failure;
use super::report::Reporter;
use super::{input, output};

/// Join components for WASI 0.3: a request passes middlewares in the order given, then a service
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each component exports `wasi:http/handler@0.3.0`, and all but the last import it: adapted filters, or others.

Examples:
  proxy-wasm-adapter compose middleware.wasm service.wasm -o app.wasm
  proxy-wasm-adapter compose middleware.wasm middleware.wasm service.wasm -o - \\
    | sha256sum")]
pub(super) struct Args {
    /// The middlewares, in the order in which a request passes them, and last the service; `-` is stdin
    #[arg(required = true, num_args = 2.., value_name = "COMPONENT")]
    components: Vec<PathBuf>,

    /// The component; `-` is stdout
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
}

pub(super) fn run(args: &Args, reporter: &Reporter) -> Result<Code, Failure> {
    output::check(args.components.iter().map(PathBuf::as_path), &args.output, "-o")?;
    input::check_stdin(&args.components)?;
    let (mut components, mut failures) = (Vec::new(), Vec::new());
    for file in &args.components {
        match input::read(file) {
            Ok(bytes) => components.push((input::shown(file), bytes)),
            Err(failure) => failures.push(failure),
        }
    }
    if !failures.is_empty() {
        return Err(Failure::all(failures));
    }
    let composed = join(&components)?;
    output::write(&args.output, &composed, "-o")?;
    reporter.verbose(|| format!("joined {} components into {} bytes", components.len(), composed.len()));
    Ok(Code::Done)
}

/// Joins adapted filters with the component in the file that `--next` names.
pub(super) fn with_next(adapted: Vec<u8>, (file, next): (PathBuf, Vec<u8>)) -> Result<Vec<u8>, Failure> {
    join(&[("the adapted filter".into(), adapted), (input::shown(&file), next)])
}

/// Refuses what can't be linked behind adapted filters.
pub(super) fn check_service(file: &Path, component: &[u8]) -> Result<(), Failure> {
    match Problem::of(component, true) {
        None => Ok(()),
        Some(problem) => Err(Failure::Compose {
            files: vec![input::shown(file)],
            error: proxy_wasm_adapter_compose::Error::Parts(vec![(0, problem)]),
        }),
    }
}

/// Joins components, each with what messages call it.
pub(super) fn join(components: &[(String, Vec<u8>)]) -> Result<Vec<u8>, Failure> {
    let bytes: Vec<&[u8]> = components.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    proxy_wasm_adapter_compose::compose(&bytes)
        .map_err(|error| Failure::Compose { files: components.iter().map(|(file, _)| file.clone()).collect(), error })
}
