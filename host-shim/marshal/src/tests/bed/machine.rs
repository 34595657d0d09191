//! The machine below, and the plugin on it.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};

use proxy_wasm_abi::{
    bridge::AbiVersion,
    callbacks::Id,
    limits::{HEADER_ENTRY_BYTES, HEADERS_MAX_BYTES},
    settings::{Cluster, Connection, Origin, Plugin as PluginSettings, Settings},
};
use proxy_wasm_semantics::{Capabilities, Chain, Host};

use super::filter::{Fake, Running};

/// A machine whose clocks move when the test says so and whose random bytes count up; its log goes to the test.
struct Machine {
    monotonic: Rc<Cell<u64>>,
    log: Rc<RefCell<Vec<String>>>,
}

impl Host for Machine {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            head_max_bytes: HEADERS_MAX_BYTES,
            header_entry_bytes: HEADER_ENTRY_BYTES,
            statuses: (200, 999),
            forbidden: &[],
        }
    }

    fn wall_clock(&self) -> u64 {
        0x0102_0304_0506_0708
    }

    fn monotonic_clock(&self) -> u64 {
        self.monotonic.get()
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.iter_mut().enumerate().for_each(|(number, byte)| *byte = (number as u8).wrapping_add(1));
    }

    fn log(&self, line: &str) {
        assert!(!line.contains('\n'), "a record is one line: {line:?}");
        self.log.borrow_mut().push(line.into());
    }
}

/// A plugin that has not started, with a cluster `auth`.
pub struct Bed {
    /// The plugin.
    pub chain: Rc<Chain<Fake>>,
    monotonic: Rc<Cell<u64>>,
    log: Rc<RefCell<Vec<String>>>,
}

impl Bed {
    /// With these changes to its settings, and a filter that runs this in each callback and returns from it what that
    /// returns.
    pub fn new(change: impl FnOnce(&mut Settings), script: impl Fn(&Running<'_>, Id) -> u32 + 'static) -> Self {
        let origin = Origin { tls: false, authority: "10.0.0.1:80".into() };
        let mut settings = Settings {
            plugins: vec![PluginSettings {
                name: "p".into(),
                configuration: b"plugin".to_vec(),
                vm_configuration: b"vm".to_vec(),
                environment: vec![("KEY".into(), "value".into()), ("E".into(), String::new())],
                ..PluginSettings::default()
            }],
            clusters: vec![Cluster { name: "auth".into(), origin }].into(),
            connection: Connection { forwarded_proto: false, request_id: false, ..Connection::default() },
            ..Settings::default()
        };
        settings.set_upstream(Origin { tls: false, authority: "up".into() }, 0);
        change(&mut settings);
        let (monotonic, log) = (Rc::new(Cell::new(77)), Rc::default());
        let machine = Machine { monotonic: Rc::clone(&monotonic), log: Rc::clone(&log) };
        let chain = Rc::new_cyclic(|chain: &Weak<Chain<Fake>>| {
            let fake = Fake::new(chain.clone(), Box::new(script));
            Chain::new(settings, Box::new(machine), vec![(AbiVersion::V0_2_1, fake)])
        });
        Self { chain, monotonic, log }
    }

    /// Sets the monotonic clock, in nanoseconds.
    pub fn set_clock(&self, monotonic: u64) {
        self.monotonic.set(monotonic);
        self.chain.time_passed();
    }

    /// Takes the lines of the log.
    pub fn log(&self) -> Vec<String> {
        self.log.take()
    }
}
