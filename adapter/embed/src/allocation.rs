//! Where the memory of instances comes from: a pool, where the component fits one, and else the system, each time anew.
//!
//! In a pool a new instance costs about a third: its memories, tables and stack are there, and pages that the last instance
//! left are cleared instead of being given back and faulted in again.

use wasmparser::{Parser, Payload};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Address space that Wasmtime sets aside for a memory, with what surrounds it.
const MEMORY_SLOT_BYTES: u64 = 5 << 30;

/// Address space that a pool may take: half of what a process has on common machines.
const POOL_BYTES: u64 = 1 << 46;

/// Memory that all unused places of the pool may keep.
const KEPT_BYTES: usize = 1 << 30;

/// Memory that one place may keep: more than nearly all filters begin with.
const KEPT_OF_MEMORY: usize = 8 << 20;

/// The same of a table, and of a stack.
const KEPT_OF_TABLE: usize = 64 << 10;

/// What an instance may take of Wasmtime's own: more than any has.
const BOOKKEEPING_BYTES: usize = 1 << 30;

/// Elements of a table that are set aside at the least: Wasmtime's default.
const TABLE_ELEMENTS: u64 = 20_000;

/// What one instance of a component takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Needs {
    instances: u32,
    memories: u32,
    tables: u32,
    /// The most bytes that a memory begins with, and elements that a table does.
    memory_bytes: u64,
    table_elements: u64,
}

impl Needs {
    /// Counts it. `None`: the component holds components with modules, which may be instantiated any number of times. Those
    /// that only give an interface its name hold none.
    fn of(component: &[u8]) -> Option<Self> {
        let mut needs = Self::default();
        // Memories and tables of each module.
        let mut modules: Vec<(u32, u32)> = Vec::new();
        // How deep within it the present module or component is.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            match payload.ok()? {
                Payload::ComponentSection { .. } => depth += 1,
                Payload::ModuleSection { .. } if depth > 0 => return None,
                Payload::ModuleSection { .. } => {
                    depth += 1;
                    modules.push((0, 0));
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::MemorySection(memories) => {
                    modules.last_mut()?.0 += memories.count();
                    for memory in memories {
                        let memory = memory.ok()?;
                        let page = 1_u64 << memory.page_size_log2.unwrap_or(16);
                        needs.memory_bytes = needs.memory_bytes.max(memory.initial.saturating_mul(page));
                    }
                }
                Payload::TableSection(tables) => {
                    modules.last_mut()?.1 += tables.count();
                    for table in tables {
                        let table = table.ok()?.ty;
                        needs.table_elements = needs.table_elements.max(table.initial);
                    }
                }
                Payload::InstanceSection(instances) => {
                    for instance in instances {
                        if let wasmparser::Instance::Instantiate { module_index, .. } = instance.ok()? {
                            let (memories, tables) = *modules.get(module_index as usize)?;
                            needs.instances += 1;
                            needs.memories += memories;
                            needs.tables += tables;
                        }
                    }
                }
                _ => {}
            }
        }
        Some(needs)
    }
}

/// An engine whose instances come from a pool, if that can be had, for so many requests at the same time.
///
/// # Errors
/// Those of Wasmtime, for these settings without a pool.
pub(crate) fn engine(component: &[u8], concurrency: u32, config: impl Fn() -> Config) -> wasmtime::Result<Engine> {
    let needs = Needs::of(component);
    // The first one takes a Linux of 6.7 or newer.
    for keeps in [true, false] {
        let Some(pool) = needs.and_then(|needs| pool(&needs, concurrency, keeps)) else { break };
        let mut config = config();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        match Engine::new(&config) {
            Ok(engine) => return Ok(engine),
            Err(error) => tracing::debug!(keeps, "no such pool for instances: {error:#}"),
        }
    }
    Engine::new(&config())
}

/// A pool for so many requests at the same time, and for instances that are between two.
fn pool(needs: &Needs, concurrency: u32, keeps: bool) -> Option<PoolingAllocationConfig> {
    let places = concurrency.checked_add(concurrency / 4)?.checked_add(64)?;
    let of_each = |count: u32| places.checked_mul(count.max(1));
    let address_space = u64::from(of_each(needs.memories)?).checked_mul(MEMORY_SLOT_BYTES)?;
    if address_space > POOL_BYTES {
        return None;
    }
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(places)
        .total_core_instances(of_each(needs.instances)?)
        .total_memories(of_each(needs.memories)?)
        .total_tables(of_each(needs.tables)?)
        .total_stacks(places)
        .total_gc_heaps(places)
        .max_core_instances_per_component(u32::MAX)
        .max_memories_per_component(u32::MAX)
        .max_tables_per_component(u32::MAX)
        .max_tables_per_module(needs.tables.max(1))
        .max_memories_per_module(needs.memories.max(1))
        .max_component_instance_size(BOOKKEEPING_BYTES)
        .max_core_instance_size(BOOKKEEPING_BYTES)
        .table_elements(usize::try_from(needs.table_elements.max(TABLE_ELEMENTS)).ok()?);
    // Without looking which pages were written, all that may be kept would be cleared: that takes longer than giving it
    // back.
    if keeps {
        let initial = usize::try_from(needs.memory_bytes).unwrap_or(usize::MAX);
        let share = KEPT_BYTES / places as usize;
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(initial.min(KEPT_OF_MEMORY).min(share))
            .table_keep_resident(KEPT_OF_TABLE)
            .async_stack_keep_resident(KEPT_OF_TABLE);
    }
    Some(pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_counted() {
        let component = wat::parse_str(
            r#"(component
              (core module $a (memory 2) (table 30000 funcref))
              (core module $b (memory 1) (table 1 funcref) (table 2 funcref))
              (core instance (instantiate $a))
              (core instance $i (instantiate $b))
              (core instance (export "x" (memory $i "m")))
              (core instance (instantiate $a)))"#,
        );
        // An export that is not there is no matter here.
        let needs = Needs::of(&component.unwrap()).unwrap();
        let expected = Needs { instances: 3, memories: 3, tables: 4, memory_bytes: 2 << 16, table_elements: 30_000 };
        assert_eq!(needs, expected);
        let needs = |text| Needs::of(&wat::parse_str(text).unwrap());
        assert_eq!(needs("(component (component (core module)))"), None);
        assert!(needs("(component (component) (core module $a) (core instance (instantiate $a)))").is_some());
    }

    #[test]
    fn what_takes_too_much_gets_no_pool() {
        let needs = Needs { instances: 5, memories: 2, tables: 3, memory_bytes: 1 << 20, table_elements: 100 };
        assert!(pool(&needs, 1000, true).is_some());
        assert!(pool(&Needs { memories: 9, ..needs }, 1000, true).is_some());
        assert!(pool(&needs, 1_000_000, true).is_none());
    }
}
