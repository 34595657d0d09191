//! Starts the plugins of a copy of a component, and reads its state.

use std::sync::Arc;

use proxy_wasm_abi::freeze::Readiness;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Instance, Linker, ResourceType, TypedFunc};
use wasmtime::{Config, Engine, OptLevel, RegallocAlgorithm, Store, Trap};
use wasmtime_wasi::p2::bindings::io::error::Error as StreamFailure;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable};

use crate::host::{self, Host, Seen};
use crate::instrument::{FREEZE, Instrumented, Item, PAGE, STATE};
use crate::refusal::{Internal, Refusal};
use crate::rewrite::State;
use crate::{Options, Report};

/// The component's imports that a start may use: clocks, randomness and the log.
const OFFERED: &[&str] = &["wasi:cli/", "wasi:clocks/", "wasi:io/", "wasi:random/"];

/// Starts the plugins, and returns the state of each of so many modules. What is learned on the way is in the report, also
/// where it fails.
pub(crate) async fn run(
    instrumented: &Instrumented,
    copies: usize,
    options: &Options,
    report: &mut Report,
) -> Result<Vec<State>, Refusal> {
    let engine = engine().map_err(Internal::runs)?;
    let component = Component::new(&engine, &instrumented.component).map_err(Internal::runs)?;
    let linker = linker(&engine, &component).map_err(Internal::runs)?;
    let seen = Arc::new(Seen::default());
    let log = host::log();
    let host = Host::new(options.seed, options.memory_max, &seen, &log);
    let mut store = Store::new(&engine, host);
    store.limiter(|host| &mut host.memory);
    store.set_fuel(options.instructions_max).map_err(Internal::runs)?;
    let outcome = start(&mut store, &linker, &component).await;
    report.log = String::from_utf8_lossy(&log.contents()).lines().map(str::to_owned).collect();
    report.random_bytes = seen.random_bytes();
    report.reads_wall_clock = seen.wall_clock() > 0;
    if store.data().memory.is_refused() {
        return Err(Refusal::TooLarge { limit: options.memory_max });
    }
    let (instance, readiness) = outcome.map_err(|error| refusal(&error, options))?;
    match readiness {
        Readiness::Ready => {}
        Readiness::Refused => return Err(Refusal::Failed),
        Readiness::Unfinished => return Err(Refusal::Callouts),
    }
    if !store.data().is_free() {
        return Err(Refusal::Handles);
    }
    if report.random_bytes > 0 && !options.allow_random {
        return Err(Refusal::Random { bytes: report.random_bytes });
    }
    store.set_fuel(u64::MAX).map_err(Internal::runs)?;
    Ok(read(&mut store, &instance, &instrumented.items, copies).await.map_err(Internal::runs)?)
}

fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    config.consume_fuel(true);
    // It runs once, and shortly; one instance needs no image to map.
    config.memory_init_cow(false);
    config.cranelift_opt_level(OptLevel::None);
    config.cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    Engine::new(&config)
}

/// Clocks, randomness and the log; whatever else the component imports ends the start when it is called.
fn linker(engine: &Engine, component: &Component) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    for (name, import) in component.component_type().imports(engine) {
        if OFFERED.iter().any(|offered| name.starts_with(offered)) {
            continue;
        }
        let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
        let mut instance = linker.instance(name)?;
        for (item, export) in interface.exports(engine) {
            match export.ty {
                ComponentItem::ComponentFunc(function) => {
                    let missing = NotOffered { name: format!("{name}#{item}") };
                    if function.async_() {
                        instance.func_new_concurrent(item, move |_, _, _, _| {
                            let missing = missing.clone();
                            Box::pin(async move { Err(missing.into()) })
                        })?;
                    } else {
                        instance.func_new(item, move |_, _, _, _| Err(missing.clone().into()))?;
                    }
                }
                ComponentItem::Resource(_) => {
                    instance.resource(item, resource(item), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(linker)
}

/// What a resource is. Those that interfaces take from `wasi:io` have to be the ones that are there.
fn resource(name: &str) -> ResourceType {
    match name {
        "pollable" => ResourceType::host::<DynPollable>(),
        "input-stream" => ResourceType::host::<DynInputStream>(),
        "output-stream" => ResourceType::host::<DynOutputStream>(),
        "io-error" => ResourceType::host::<StreamFailure>(),
        _ => ResourceType::host::<NotOffered>(),
    }
}

/// The start called what it is not offered.
#[derive(Clone, Debug, thiserror::Error)]
#[error("it called `{name}`")]
struct NotOffered {
    name: String,
}

async fn start(
    store: &mut Store<Host>,
    linker: &Linker<Host>,
    component: &Component,
) -> wasmtime::Result<(Instance, Readiness)> {
    let instance = linker.instantiate_async(&mut *store, component).await?;
    let freeze: TypedFunc<(), (u32,)> = instance.get_typed_func(&mut *store, FREEZE)?;
    let (number,) = freeze.call_async(&mut *store, ()).await?;
    let readiness = Readiness::ALL.get(number as usize).copied();
    let readiness = readiness.ok_or_else(|| wasmtime::format_err!("`freeze` returned {number}"))?;
    Ok((instance, readiness))
}

/// Why the start ended without a result.
fn refusal(error: &wasmtime::Error, options: &Options) -> Refusal {
    if let Some(Trap::OutOfFuel) = error.downcast_ref() {
        return Refusal::TooLong { limit: options.instructions_max };
    }
    match error.downcast_ref::<NotOffered>() {
        Some(NotOffered { name }) if name.starts_with("proxy-wasm:adapter/shared") => Refusal::SharedState,
        Some(NotOffered { name }) if name.starts_with("wasi:http/") => Refusal::Callouts,
        Some(NotOffered { name }) => Refusal::Import { name: name.clone() },
        None => Refusal::Trapped { reason: error.root_cause().to_string() },
    }
}

async fn read(
    store: &mut Store<Host>,
    instance: &Instance,
    items: &[Item],
    copies: usize,
) -> wasmtime::Result<Vec<State>> {
    let state: TypedFunc<(u32, u64), (Vec<u8>,)> = instance.get_typed_func(&mut *store, STATE)?;
    let mut states: Vec<State> = Vec::new();
    states.resize_with(copies, State::default);
    for (index, item) in (0..).zip(items) {
        match *item {
            Item::Global { copy, global } => {
                let (value,) = state.call_async(&mut *store, (index, 0)).await?;
                states[copy].globals.push((global, value));
            }
            Item::Memory { copy, memory } => {
                let mut bytes = Vec::new();
                loop {
                    let (page,) = state.call_async(&mut *store, (index, bytes.len() as u64)).await?;
                    if page.is_empty() {
                        break;
                    }
                    debug_assert_eq!(page.len() as u64, PAGE, "memories are whole pages");
                    bytes.extend_from_slice(&page);
                }
                debug_assert_eq!(states[copy].memories.len(), memory, "memories come in their order");
                states[copy].memories.push(bytes);
            }
        }
    }
    Ok(states)
}
