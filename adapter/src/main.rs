//! The command line of `proxy-wasm-adapter`: see `proxy-wasm-adapter --help`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
