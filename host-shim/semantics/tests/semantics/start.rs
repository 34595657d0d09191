//! How a plugin starts, and how it fails to.

use proxy_wasm_abi::bridge::AbiVersion;

use crate::common::{Bed, Id};

fn unstarted() -> Bed {
    Bed::unstarted(AbiVersion::V0_2_1, |settings| {
        settings.plugins[0].vm_configuration = b"vm".to_vec();
        settings.plugins[0].configuration = b"plugin".to_vec();
    })
}

#[test]
fn the_order_is_start_context_create_vm_start_configure() {
    let bed = unstarted();
    assert_eq!(bed.chain.start(), Ok(()));
    assert_eq!(bed.trace(), ["start", "context_create(1,0)", "vm_start(1,2)", "configure(1,6)"]);
    assert_eq!(bed.get(), 2, "the first stream's context");
}

#[test]
fn it_starts_once() {
    let bed = unstarted();
    bed.chain.start().unwrap();
    bed.trace();
    assert_eq!(bed.chain.start(), Ok(()));
    assert_eq!(bed.trace(), [""; 0]);
}

#[test]
fn a_filter_without_these_callbacks_starts() {
    let bed = unstarted();
    for callback in [Id::ContextCreate, Id::VmStart, Id::Configure] {
        bed.lacks(callback);
    }
    assert_eq!(bed.chain.start(), Ok(()));
    assert_eq!(bed.trace(), ["start"]);
}

#[test]
fn vm_start_returning_false_fails_it_before_configure() {
    let bed = unstarted();
    bed.returns(Id::VmStart, [0]);
    assert_eq!(bed.chain.start(), Err("`proxy_on_vm_start` returned false"));
    assert_eq!(bed.trace(), ["start", "context_create(1,0)", "vm_start(1,2)"]);
    assert_eq!(bed.chain.start(), Err("`proxy_on_vm_start` returned false"), "it stays so");
    assert_eq!(bed.trace(), [""; 0]);
}

#[test]
fn configure_returning_false_fails_it() {
    let bed = unstarted();
    bed.returns(Id::Configure, [0]);
    assert_eq!(bed.chain.start(), Err("`proxy_on_configure` returned false"));
}

#[test]
fn any_other_value_is_true() {
    let bed = unstarted();
    bed.returns(Id::VmStart, [2]);
    bed.returns(Id::Configure, [u32::MAX]);
    assert_eq!(bed.chain.start(), Ok(()));
}

#[test]
fn a_start_function_may_log_and_use_wasi() {
    let bed = unstarted();
    bed.at_start(|vm| {
        for call in
            ["proxy_log", "fd_write", "environ_get", "random_get", "clock_time_get", "emscripten_notify_memory_growth"]
        {
            assert!(vm.allows(call), "{call}");
        }
        vm.log(2, b"hello").unwrap();
    });
    assert_eq!(bed.chain.start(), Ok(()));
    assert_eq!(bed.log(), ["[info] p: hello"]);
}

#[test]
fn a_start_function_that_makes_any_other_call_fails_it_before_any_callback() {
    for call in [
        "proxy_get_property",
        "proxy_get_log_level",
        "proxy_get_header_map_pairs",
        "proxy_set_tick_period_milliseconds",
        "fd_read",
        "fd_seek",
        "fd_close",
        "path_open",
        "proc_exit",
        "sched_yield",
    ] {
        let bed = unstarted();
        bed.at_start(move |vm| {
            assert!(!vm.allows(call));
            assert!(vm.allows("proxy_log"), "it goes on");
        });
        let failure = format!("the module's start function called `{call}`");
        assert_eq!(bed.chain.start(), Err(failure.as_str()));
        assert_eq!(bed.trace(), ["start"]);
    }
}

#[test]
fn a_filter_makes_the_calls_that_its_settings_allow() {
    let bed = Bed::unstarted(AbiVersion::V0_2_1, |settings| {
        settings.plugins[0].allowed_capabilities = vec!["proxy_log".into()];
    });
    bed.at_start(|vm| assert!(vm.allows("proxy_log") && !vm.allows("fd_write")));
    bed.on(Id::Configure, |f| {
        let mut state = f.state();
        assert!(state.allows("proxy_log") && !state.is_restricted("proxy_log"));
        assert!(!state.allows("proxy_get_property") && state.is_restricted("proxy_get_property"));
        1
    });
    // It is told the call's status; its start goes on.
    assert_eq!(bed.chain.start(), Ok(()));
    let line = |call: &str| format!("[error] p: called `{call}`, which is not allowed");
    assert_eq!(bed.log(), [line("fd_write"), line("proxy_get_property")]);
}

#[test]
fn after_the_start_function_every_call_is_allowed() {
    let bed = unstarted();
    for callback in [Id::ContextCreate, Id::VmStart, Id::Configure] {
        bed.on(callback, |f| {
            assert!(f.state().allows("proxy_get_property") && f.state().allows("proc_exit"));
            1
        });
    }
    assert_eq!(bed.chain.start(), Ok(()));
}

#[test]
fn get_configuration_is_the_plugins_while_it_is_configured_and_the_vms_elsewhere() {
    let bed = Bed::unstarted(AbiVersion::V0_1_0, |settings| {
        settings.plugins[0].vm_configuration = b"vm".to_vec();
        settings.plugins[0].configuration = b"plugin".to_vec();
    });
    for callback in [Id::VmStart, Id::Configure, Id::RequestHeaders, Id::Log] {
        bed.on(callback, |f| {
            let configuration = String::from_utf8(f.state().get_configuration().to_vec()).unwrap();
            f.note(configuration);
            u32::from(f.context() == 1)
        });
    }
    bed.chain.start().unwrap();
    let id = bed.get();
    bed.chain.close(id);
    assert_eq!(bed.notes(), ["vm", "plugin", "vm", "vm"]);
}

#[test]
fn the_environment_is_the_settings() {
    let bed =
        Bed::with(|settings| settings.plugins[0].environment = vec![("A".into(), "1".into()), ("B".into(), "".into())]);
    let vm = bed.chain.state();
    assert_eq!(vm.environment().collect::<Vec<_>>(), [("A", "1"), ("B", "")]);
}

#[test]
fn after_a_trap_the_plugin_has_failed_for_good() {
    // In a host that goes on using the instance: here a panic stands for the trap.
    for callback in [Id::Configure, Id::RequestHeaders] {
        let bed = unstarted();
        bed.on(callback, |_| panic!("a trap"));
        let trapped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            bed.chain.start().unwrap();
            bed.get();
        }));
        assert!(trapped.is_err());
        assert_eq!(bed.chain.start(), Err("the filter trapped earlier"));
    }
}
