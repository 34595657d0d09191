//! Writes the small core modules that stand between shim and filter, each with a name section.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{
    CodeSection, DataCountSection, DataSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, InstructionSink, MemoryType, Module, NameMap, NameSection, TypeSection, ValType,
};

use crate::facts::Signature;

/// A core module in the making.
///
/// Restriction: imports come before the first [`function`](Self::function), because they take the first indices.
pub(crate) struct Builder {
    name: String,
    types: TypeSection,
    signatures: Vec<Signature>,
    imports: ImportSection,
    functions: FunctionSection,
    exports: ExportSection,
    code: CodeSection,
    data: Option<Vec<u8>>,
    function_names: NameMap,
    memory_names: NameMap,
    imported_functions: u32,
    imported_memories: u32,
}

impl Builder {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            types: TypeSection::new(),
            signatures: Vec::new(),
            imports: ImportSection::new(),
            functions: FunctionSection::new(),
            exports: ExportSection::new(),
            code: CodeSection::new(),
            data: None,
            function_names: NameMap::new(),
            memory_names: NameMap::new(),
            imported_functions: 0,
            imported_memories: 0,
        }
    }

    /// Imports a function; returns its index.
    pub(crate) fn import_function(&mut self, module: &str, name: &str, signature: &Signature) -> u32 {
        let ty = self.signature(signature);
        self.imports.import(module, name, EntityType::Function(ty));
        let index = self.imported_functions;
        self.imported_functions += 1;
        self.function_names.append(index, &format!("{module}.{name}"));
        index
    }

    /// Imports a module's memory; returns its index.
    pub(crate) fn import_memory(&mut self, module: &str) -> u32 {
        let ty = MemoryType { minimum: 0, maximum: None, memory64: false, shared: false, page_size_log2: None };
        self.imports.import(module, "memory", EntityType::Memory(ty));
        let index = self.imported_memories;
        self.imported_memories += 1;
        self.memory_names.append(index, module);
        index
    }

    /// Exports a function that stands elsewhere.
    pub(crate) fn export(&mut self, name: &str, function: u32) {
        self.exports.export(name, ExportKind::Func, function);
    }

    /// Defines a function, without its `end`, and exports it under its name; returns its index.
    pub(crate) fn function(
        &mut self,
        name: &str,
        signature: &Signature,
        body: impl FnOnce(&mut InstructionSink<'_>),
    ) -> u32 {
        self.named_function(name, name, signature, body)
    }

    /// Defines and exports a function that backtraces call by another name.
    pub(crate) fn named_function(
        &mut self,
        export: &str,
        name: &str,
        signature: &Signature,
        body: impl FnOnce(&mut InstructionSink<'_>),
    ) -> u32 {
        let index = self.local_function(name, signature, body);
        self.export(export, index);
        index
    }

    /// Defines a function that is not exported.
    pub(crate) fn local_function(
        &mut self,
        name: &str,
        signature: &Signature,
        body: impl FnOnce(&mut InstructionSink<'_>),
    ) -> u32 {
        let ty = self.signature(signature);
        let index = self.imported_functions + self.functions.len();
        self.functions.function(ty);
        let mut function = Function::new([]);
        body(&mut function.instructions());
        function.instructions().end();
        self.code.function(&function);
        self.function_names.append(index, name);
        index
    }

    /// The one data segment, which `memory.init 0` copies.
    pub(crate) fn passive_data(&mut self, data: Vec<u8>) {
        self.data = Some(data);
    }

    /// The module's bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut module = Module::new();
        module.section(&self.types).section(&self.imports).section(&self.functions).section(&self.exports);
        if self.data.is_some() {
            module.section(&DataCountSection { count: 1 });
        }
        module.section(&self.code);
        if let Some(data) = self.data {
            let mut section = DataSection::new();
            section.passive(data);
            module.section(&section);
        }
        let mut names = NameSection::new();
        names.module(&self.name);
        names.functions(&self.function_names);
        if self.imported_memories > 0 {
            names.memories(&self.memory_names);
        }
        module.section(&names);
        module.finish()
    }

    fn signature(&mut self, signature: &Signature) -> u32 {
        let known = self.signatures.iter().position(|known| known == signature);
        let index = known.unwrap_or_else(|| {
            self.types.ty().function(types(&signature.params), types(&signature.results));
            self.signatures.push(signature.clone());
            self.signatures.len() - 1
        });
        u32::try_from(index).expect("far fewer types than 2^32")
    }
}

fn types(types: &[wasmparser::ValType]) -> Vec<ValType> {
    // The checks let no type through that names another type of its module, and only those cannot be carried over.
    types.iter().map(|ty| RoundtripReencoder.val_type(*ty).expect("a number or a vector")).collect()
}
