//! What can be wrong with a filter: the text of each problem and of its remedy.

use std::fmt;

use proxy_wasm_abi::higress;
use proxy_wasm_abi::settings::Profile;
use serde::Serialize;

use crate::facts::Signature;
use crate::relatives::{owner_of_host_call, owner_of_marker};

/// Something about a filter that stops it from running, or that its user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// There is nothing in the file.
    Empty,
    /// The file is something else.
    NotWasm {
        /// What it looks like.
        looks_like: String,
        /// What to do with such a file.
        remedy: String,
    },
    /// The text format does not parse.
    Text {
        /// What the assembler says.
        message: String,
    },
    /// It is a component.
    Component,
    /// It is a component that this program made.
    AlreadyAdapted {
        /// The version that made it.
        version: String,
    },
    /// It does not validate.
    Invalid {
        /// What the validator says.
        message: String,
        /// Where, in bytes from the start.
        offset: u64,
    },
    /// It uses a WebAssembly proposal that hosts leave off.
    Proposal {
        /// What the validator says.
        message: String,
        /// Where, in bytes from the start.
        offset: u64,
    },
    /// It exports no ABI marker.
    NoMarker,
    /// It exports markers of other ABIs only.
    UnknownMarker {
        /// Their names.
        markers: Vec<String>,
    },
    /// It exports several markers.
    SeveralMarkers {
        /// Their names.
        markers: Vec<String>,
        /// The version that the first known one stands for.
        version: &'static str,
    },
    /// It was made for Envoy as it was before there was an ABI.
    EarlyEnvoy {
        /// A function of that time that it imports or exports.
        function: String,
    },
    /// It was made for http-wasm.
    HttpWasm {
        /// A function of http-wasm that it imports.
        import: String,
    },
    /// It handles TCP streams and no HTTP.
    TcpOnly {
        /// The TCP callbacks that it exports.
        callbacks: Vec<String>,
    },
    /// It exports no callback for HTTP streams.
    NoHttpCallback,
    /// It imports functions that are no host calls.
    UnknownImports(Vec<ImportedFunction>),
    /// It imports a host call with another signature than the ABI's.
    ImportSignature {
        /// The import as the filter has it.
        import: Box<ImportedFunction>,
        /// The signature that the host call has.
        expected: Signature,
    },
    /// It imports a memory, a table, a global or a tag.
    NotAFunction {
        /// The kind of the import.
        kind: &'static str,
        /// The module part of its name.
        module: String,
        /// The field part of its name.
        name: String,
    },
    /// It exports no memory under the name `memory`.
    NoMemory,
    /// It has more than one memory.
    Memories {
        /// How many.
        count: usize,
    },
    /// Its memory has 64-bit addresses.
    Memory64,
    /// Its memory is shared between threads.
    SharedMemory,
    /// Its memory's pages are not of 64 KiB.
    PageSize,
    /// A table is larger than what Wasmtime's pooling allocator takes at its defaults.
    LargeTable {
        /// Entries of the table.
        elements: u64,
        /// Entries that fit without an option.
        limit: u64,
    },
    /// It exports no function that allocates memory for the host.
    NoAllocator,
    /// It exports a function of the ABI with another signature.
    ExportSignature {
        /// The export's name.
        name: String,
        /// The signature that it has.
        found: Signature,
        /// The signatures that the ABI gives it.
        expected: Vec<Signature>,
    },
    /// Its plugin has the name of another.
    SameName {
        /// The name.
        name: String,
        /// The number of the first plugin with it, counted from 1.
        first: usize,
    },
}

/// A function that a filter imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedFunction {
    /// The module part of its name.
    pub module: String,
    /// The field part of its name.
    pub name: String,
    /// Its type.
    pub signature: Signature,
}

impl fmt::Display for ImportedFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}.{}` {}", self.module, self.name, self.signature)
    }
}

/// How much a problem weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The filter cannot be adapted.
    Error,
    /// The filter can be adapted, and its user should know.
    Warning,
}

impl Problem {
    /// How much it weighs.
    pub fn severity(&self) -> Severity {
        match self {
            Self::LargeTable { .. } | Self::NoHttpCallback | Self::SeveralMarkers { .. } | Self::SameName { .. } => {
                Severity::Warning
            }
            _ => Severity::Error,
        }
    }

    /// A name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotWasm { .. } => "not-wasm",
            Self::Text { .. } => "invalid-text",
            Self::Component => "component",
            Self::AlreadyAdapted { .. } => "already-adapted",
            Self::Invalid { .. } => "invalid",
            Self::Proposal { .. } => "proposal",
            Self::NoMarker => "no-marker",
            Self::UnknownMarker { .. } => "unknown-marker",
            Self::SeveralMarkers { .. } => "several-markers",
            Self::EarlyEnvoy { .. } => "early-envoy",
            Self::HttpWasm { .. } => "http-wasm",
            Self::TcpOnly { .. } => "tcp-only",
            Self::NoHttpCallback => "no-http-callback",
            Self::UnknownImports(_) => "unknown-imports",
            Self::ImportSignature { .. } => "import-signature",
            Self::NotAFunction { .. } => "import-not-a-function",
            Self::NoMemory => "no-memory",
            Self::Memories { .. } => "memories",
            Self::Memory64 => "memory64",
            Self::SharedMemory => "shared-memory",
            Self::PageSize => "page-size",
            Self::LargeTable { .. } => "large-table",
            Self::NoAllocator => "no-allocator",
            Self::ExportSignature { .. } => "export-signature",
            Self::SameName { .. } => "same-name",
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        const REBUILD: &str = "Build it again with one of the proxy-wasm SDKs for ABI 0.1.0, 0.2.0 or 0.2.1.";
        match self {
            Self::Empty => "Give the `.wasm` file that the filter's build wrote.".into(),
            Self::NotWasm { remedy, .. } => remedy.clone(),
            Self::Text { .. } => "Correct the text, or give the binary format.".into(),
            Self::Component => {
                "A proxy-wasm filter is a core module: build it for `wasm32-wasip1` or `wasm32-unknown-unknown`, not for \
                 `wasm32-wasip2`."
                    .into()
            }
            Self::AlreadyAdapted { .. } => {
                "Use it as it is, or take the filter out first, with `proxy-wasm-adapter extract`.".into()
            }
            Self::Invalid { .. } => "It may be truncated or damaged: build or download it again.".into(),
            Self::Proposal { .. } => "Build it without that feature of WebAssembly.".into(),
            Self::NoMarker => {
                "Build it with a proxy-wasm SDK as a library, and keep its exports (Rust: `crate-type = [\"cdylib\"]`; Go: \
                 `-buildmode=c-shared`; C++: `-Wl,--export-dynamic`)."
                    .into()
            }
            Self::SeveralMarkers { version, .. } => {
                format!("If ABI {version} is not the one that it was built for, build it with a single SDK.")
            }
            Self::EarlyEnvoy { .. } => REBUILD.into(),
            Self::HttpWasm { .. } => {
                "Run it in a host of http-wasm, or write the filter with a proxy-wasm SDK.".into()
            }
            Self::UnknownMarker { markers } if markers.iter().any(|marker| marker == higress::MARKER) => format!(
                "Give `--profile permissive`: it is then taken for one of ABI 0.2.1, and what Higress adds to that returns \
                 `UNIMPLEMENTED`. Otherwise: {REBUILD}"
            ),
            Self::UnknownMarker { .. } | Self::ImportSignature { .. } | Self::ExportSignature { .. } => REBUILD.into(),
            Self::TcpOnly { .. } => "An HTTP host never calls these: take a filter for HTTP.".into(),
            Self::NoHttpCallback => "Every request passes it unseen: make sure that this is the right file.".into(),
            Self::UnknownImports(imports) if imports.iter().all(is_of_higress) => {
                "Give `--profile permissive`: calls of Higress's then return `UNIMPLEMENTED`.".into()
            }
            Self::UnknownImports(imports) => {
                let (them, one) = if imports.len() == 1 { ("it", "it") } else { ("them", "one") };
                format!(
                    "If the filter can do without {them}, give `--stub-unknown-imports`: a call of {one} then traps. \
                     Otherwise build the filter without what needs {them}."
                )
            }
            Self::NotAFunction { .. } => match self.imported_kind() {
                "memory" => "Let the filter define its memory: link it without `--import-memory`.".into(),
                "table" => "Let the filter define its table: link it without `--import-table`.".into(),
                _ => "Link the filter as a complete module, not as a shared library.".into(),
            },
            Self::NoMemory => "Export its memory under the name `memory`, as linkers do by default.".into(),
            Self::Memories { .. } => "Build it with a single memory.".into(),
            Self::Memory64 => "Build it for `wasm32`, not `wasm64`.".into(),
            Self::SharedMemory => "Build it without threads.".into(),
            Self::PageSize => "Build it with pages of 64 KiB.".into(),
            Self::LargeTable { elements, .. } => {
                format!(
                    "Give Wasmtime more room: `wasmtime serve -O pooling-table-elements={elements}`, or turn pooling off: \
                     `-O pooling-allocator=n`."
                )
            }
            Self::SameName { .. } => "Give each plugin a name of its own, so that log lines tell which one wrote them.".into(),
            Self::NoAllocator => {
                "Export `proxy_on_memory_allocate` or `malloc`, as the proxy-wasm SDKs do.".into()
            }
        }
    }

    fn imported_kind(&self) -> &'static str {
        match self {
            Self::NotAFunction { kind, .. } => kind,
            _ => "function",
        }
    }
}

/// What is wrong, as what stands after "the filter": "exports no …".
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "is empty"),
            Self::NotWasm { looks_like, .. } => write!(f, "is not WebAssembly: it looks like {looks_like}"),
            Self::Text { message } => write!(f, "is not valid in the WebAssembly text format: {message}"),
            Self::Component => write!(f, "is a component, not a core module"),
            Self::AlreadyAdapted { version } => {
                write!(f, "is a component already, adapted by proxy-wasm-adapter {version}")
            }
            Self::Invalid { message, offset } => {
                write!(f, "is not valid WebAssembly: {message} (at offset {offset:#x})")
            }
            Self::Proposal { message, offset } => {
                write!(f, "uses a feature of WebAssembly that hosts leave off: {message} (at offset {offset:#x})")
            }
            Self::NoMarker => write!(
                f,
                "exports no ABI marker (`proxy_abi_version_0_1_0`, `proxy_abi_version_0_2_0` or \
                 `proxy_abi_version_0_2_1`), so it is no proxy-wasm filter"
            ),
            Self::UnknownMarker { markers } => {
                let owner = markers.iter().find_map(|marker| owner_of_marker(marker));
                let whose = owner.map(|owner| format!(", {owner}")).unwrap_or_default();
                write!(f, "is made for another ABI{whose}: it exports {}", quoted(markers))
            }
            Self::SeveralMarkers { markers, version } => {
                write!(f, "exports several ABI markers, {}: it is taken for one of ABI {version}", quoted(markers))
            }
            Self::EarlyEnvoy { function } => {
                write!(f, "was made for an Envoy from before ABI 0.1.0, which named its functions as in `{function}`")
            }
            Self::HttpWasm { import } => {
                write!(f, "is a guest of http-wasm, which is another ABI: it imports `{import}`")
            }
            Self::TcpOnly { callbacks } => {
                write!(f, "is a TCP filter: of the callbacks for streams it exports only {}", quoted(callbacks))
            }
            Self::NoHttpCallback => write!(f, "exports no callback for requests or responses"),
            Self::UnknownImports(imports) => {
                let (functions, are) = if imports.len() == 1 {
                    ("a function", "is no host call")
                } else {
                    ("functions", "are no host calls")
                };
                write!(f, "imports {functions} that {are} of proxy-wasm: ")?;
                for (i, import) in imports.iter().enumerate() {
                    write!(f, "{}{import}", if i == 0 { "" } else { ", " })?;
                }
                owners(f, imports)
            }
            Self::ImportSignature { import, expected } => write!(f, "imports {import}, which is {expected} in the ABI"),
            Self::NotAFunction { kind, module, name } => write!(f, "imports the {kind} `{module}.{name}`"),
            Self::NoMemory => write!(f, "exports no memory with the name `memory`"),
            Self::Memories { count } => write!(f, "has {count} memories"),
            Self::Memory64 => write!(f, "has a memory with 64-bit addresses"),
            Self::SharedMemory => write!(f, "has a memory that threads share"),
            Self::PageSize => write!(f, "has a memory with pages of a custom size"),
            Self::LargeTable { elements, limit } => write!(
                f,
                "has a table of {elements} entries, more than the {limit} that `wasmtime serve` takes at its defaults"
            ),
            Self::NoAllocator => write!(f, "exports no allocator (`malloc` or `proxy_on_memory_allocate`)"),
            Self::ExportSignature { name, found, expected } => {
                write!(f, "exports `{name}` {found}, which is ")?;
                for (i, signature) in expected.iter().enumerate() {
                    write!(f, "{}{signature}", if i == 0 { "" } else { " or " })?;
                }
                write!(f, " in the ABI")
            }
            Self::SameName { name, first } => write!(f, "runs under the plugin name `{name}`, as plugin {first} does"),
        }
    }
}

/// Whether Higress has it, as it is.
fn is_of_higress(import: &ImportedFunction) -> bool {
    let call = higress::HostCall::find(&import.module, &import.name, Profile::Permissive);
    call.is_some_and(|call| Signature::of_higress_call(call) == import.signature)
}

/// Whose functions those are that somebody else has.
fn owners(f: &mut fmt::Formatter<'_>, imports: &[ImportedFunction]) -> fmt::Result {
    let owner = |import: &ImportedFunction| owner_of_host_call(&import.module, &import.name);
    let mut known: Vec<&str> = Vec::new();
    for found in imports.iter().filter_map(owner) {
        if !known.contains(&found) {
            known.push(found);
        }
    }
    for found in known {
        let theirs = imports.iter().filter(|import| owner(import) == Some(found));
        let names: Vec<String> = theirs.map(|import| import.name.clone()).collect();
        write!(f, "; {} {} {found}", quoted(&names), if names.len() == 1 { "is" } else { "are" })?;
    }
    Ok(())
}

/// The names in backticks, separated by commas.
fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
