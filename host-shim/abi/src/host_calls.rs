//! The host calls: what a filter can import, and what the shim does with it.
//!
//! This table is the source of the adapter's checks, of `inspect`, of SUPPORT.md and of the test that
//! compares it with the exports of the built shim.

use crate::bridge::AbiVersion;

/// A WebAssembly number type of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of WebAssembly")]
pub enum Type {
    I32,
    I64,
}

/// The module that a filter imports a host call from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// `env`
    Env,
    /// `wasi_snapshot_preview1`, and `wasi_unstable` with the same meaning.
    Wasi,
}

impl Module {
    /// The import module names that stand for it.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Env => &["env"],
            Self::Wasi => &["wasi_snapshot_preview1", "wasi_unstable"],
        }
    }
}

/// How far a host call is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Does what Envoy does.
    Full,
    /// Links, and does the part that the note names.
    Partial(&'static str),
    /// Links, and returns `UNIMPLEMENTED` (12).
    Unimplemented,
}

/// A host call.
#[derive(Clone, Copy, Debug)]
pub struct HostCall {
    /// Where it is imported from.
    pub module: Module,
    /// Its import name.
    pub name: &'static str,
    /// One letter for each parameter: `i` is `i32`, `I` is `i64`.
    params: &'static str,
    /// Whether it returns an `i32`.
    pub result: bool,
    /// The ABI versions in which Envoy offers it.
    pub versions: &'static [AbiVersion],
    /// Its subject.
    pub family: Family,
    /// How far it is supported.
    pub support: Support,
}

/// The subject of a host call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Family {
    Logging,
    Clocks,
    Timers,
    Lifecycle,
    Properties,
    Configuration,
    Maps,
    Buffers,
    Streams,
    LocalResponses,
    HttpCallouts,
    GrpcCallouts,
    SharedData,
    SharedQueues,
    Metrics,
    ForeignFunctions,
    Toolchain,
    Wasi,
}

impl HostCall {
    /// The types of its parameters.
    pub fn params(&self) -> impl Iterator<Item = Type> + use<> {
        self.params.bytes().map(|letter| if letter == b'I' { Type::I64 } else { Type::I32 })
    }

    /// The host call that an import of this module and name means.
    pub fn find(module: &str, name: &str) -> Option<&'static Self> {
        HOST_CALLS.iter().find(|call| call.name == name && call.module.names().contains(&module))
    }
}

const ALL: &[AbiVersion] = &AbiVersion::ALL;
const OLD: &[AbiVersion] = &[AbiVersion::V0_1_0];
const NEW: &[AbiVersion] = &[AbiVersion::V0_2_0, AbiVersion::V0_2_1];
const NEWEST: &[AbiVersion] = &[AbiVersion::V0_2_1];

macro_rules! host_calls {
    ($($module:ident $name:ident ($params:tt) $(-> $result:literal)? $versions:ident $family:ident $support:expr;)*) => {
        /// Every host call, by family.
        pub const HOST_CALLS: &[HostCall] = &[$(HostCall {
            module: Module::$module,
            name: stringify!($name),
            params: $params,
            result: { #[allow(unused_mut, unused_assignments, reason = "only some rows have it")] { let mut result = true; $(result = $result;)? result } },
            versions: $versions,
            family: Family::$family,
            support: $support,
        }),*];
    };
}

use Support::{Full, Partial};

const SOME_FOREIGN: Support = Partial("see the foreign functions");

host_calls! {
    Env proxy_log ("iii") ALL Logging Full;
    Env proxy_get_log_level ("i") NEWEST Logging Full;
    Env proxy_get_current_time_nanoseconds ("i") ALL Clocks Full;
    Env proxy_set_tick_period_milliseconds ("i") ALL Timers Full;
    Env proxy_set_effective_context ("i") ALL Lifecycle Full;
    Env proxy_done ("") ALL Lifecycle Full;
    Env proxy_get_property ("iiii") ALL Properties Full;
    Env proxy_set_property ("iiii") ALL Properties Full;
    Env proxy_get_configuration ("ii") OLD Configuration Full;
    Env proxy_get_header_map_value ("iiiii") ALL Maps Full;
    Env proxy_get_header_map_pairs ("iii") ALL Maps Full;
    Env proxy_get_header_map_size ("ii") ALL Maps Full;
    Env proxy_add_header_map_value ("iiiii") ALL Maps Full;
    Env proxy_replace_header_map_value ("iiiii") ALL Maps Full;
    Env proxy_remove_header_map_value ("iii") ALL Maps Full;
    Env proxy_set_header_map_pairs ("iii") ALL Maps Full;
    Env proxy_get_buffer_bytes ("iiiii") ALL Buffers Full;
    Env proxy_get_buffer_status ("iii") ALL Buffers Full;
    Env proxy_set_buffer_bytes ("iiiii") ALL Buffers Full;
    Env proxy_continue_stream ("i") NEW Streams Full;
    Env proxy_close_stream ("i") NEW Streams Full;
    Env proxy_continue_request ("") OLD Streams Full;
    Env proxy_continue_response ("") OLD Streams Full;
    Env proxy_clear_route_cache ("") OLD Streams Full;
    Env proxy_send_local_response ("iiiiiiii") ALL LocalResponses Full;
    Env proxy_get_status ("iii") ALL HttpCallouts Full;
    Env proxy_http_call ("iiiiiiiiii") ALL HttpCallouts Full;
    Env proxy_grpc_call ("iiiiiiiiiiii") ALL GrpcCallouts Full;
    Env proxy_grpc_stream ("iiiiiiiii") ALL GrpcCallouts Full;
    Env proxy_grpc_send ("iiii") ALL GrpcCallouts Full;
    Env proxy_grpc_cancel ("i") ALL GrpcCallouts Full;
    Env proxy_grpc_close ("i") ALL GrpcCallouts Full;
    Env proxy_get_shared_data ("iiiii") ALL SharedData Full;
    Env proxy_set_shared_data ("iiiii") ALL SharedData Full;
    Env proxy_register_shared_queue ("iii") ALL SharedQueues Full;
    Env proxy_resolve_shared_queue ("iiiii") ALL SharedQueues Full;
    Env proxy_enqueue_shared_queue ("iii") ALL SharedQueues Full;
    Env proxy_dequeue_shared_queue ("iii") ALL SharedQueues Full;
    Env proxy_define_metric ("iiii") ALL Metrics Full;
    Env proxy_increment_metric ("iI") ALL Metrics Full;
    Env proxy_record_metric ("iI") ALL Metrics Full;
    Env proxy_get_metric ("ii") ALL Metrics Full;
    Env proxy_call_foreign_function ("iiiiii") ALL ForeignFunctions SOME_FOREIGN;
    Env envoy_resolve_dns ("iii") ALL ForeignFunctions
        Partial("addresses are resolved to themselves; names are told as ones without an address, as `wasi:http` has no DNS");
    Env pthread_equal ("ii") ALL Toolchain Full;
    Env emscripten_notify_memory_growth ("i") -> false ALL Toolchain Full;
    Wasi args_get ("ii") ALL Wasi Full;
    Wasi args_sizes_get ("ii") ALL Wasi Full;
    Wasi environ_get ("ii") ALL Wasi Full;
    Wasi environ_sizes_get ("ii") ALL Wasi Full;
    Wasi clock_res_get ("ii") ALL Wasi Full;
    Wasi clock_time_get ("iIi") ALL Wasi Full;
    Wasi fd_advise ("iIIi") ALL Wasi Full;
    Wasi fd_allocate ("iII") ALL Wasi Full;
    Wasi fd_close ("i") ALL Wasi Full;
    Wasi fd_datasync ("i") ALL Wasi Full;
    Wasi fd_fdstat_get ("ii") ALL Wasi Full;
    Wasi fd_fdstat_set_flags ("ii") ALL Wasi Full;
    Wasi fd_fdstat_set_rights ("iII") ALL Wasi Full;
    Wasi fd_filestat_get ("ii") ALL Wasi Full;
    Wasi fd_filestat_set_size ("iI") ALL Wasi Full;
    Wasi fd_filestat_set_times ("iIIi") ALL Wasi Full;
    Wasi fd_pread ("iiiIi") ALL Wasi Full;
    Wasi fd_prestat_get ("ii") ALL Wasi Full;
    Wasi fd_prestat_dir_name ("iii") ALL Wasi Full;
    Wasi fd_pwrite ("iiiIi") ALL Wasi Full;
    Wasi fd_read ("iiii") ALL Wasi Full;
    Wasi fd_readdir ("iiiIi") ALL Wasi Full;
    Wasi fd_renumber ("ii") ALL Wasi Full;
    Wasi fd_seek ("iIii") ALL Wasi Full;
    Wasi fd_sync ("i") ALL Wasi Full;
    Wasi fd_tell ("ii") ALL Wasi Full;
    Wasi fd_write ("iiii") ALL Wasi Full;
    Wasi path_create_directory ("iii") ALL Wasi Full;
    Wasi path_filestat_get ("iiiii") ALL Wasi Full;
    Wasi path_filestat_set_times ("iiiiIIi") ALL Wasi Full;
    Wasi path_link ("iiiiiii") ALL Wasi Full;
    Wasi path_open ("iiiiiIIii") ALL Wasi Full;
    Wasi path_readlink ("iiiiii") ALL Wasi Full;
    Wasi path_remove_directory ("iii") ALL Wasi Full;
    Wasi path_rename ("iiiiii") ALL Wasi Full;
    Wasi path_symlink ("iiiii") ALL Wasi Full;
    Wasi path_unlink_file ("iii") ALL Wasi Full;
    Wasi poll_oneoff ("iiii") ALL Wasi Full;
    Wasi proc_exit ("i") -> false ALL Wasi Full;
    Wasi random_get ("ii") ALL Wasi Full;
    Wasi sched_yield ("") ALL Wasi Full;
    Wasi sock_accept ("iii") ALL Wasi Full;
    Wasi sock_recv ("iiiiii") ALL Wasi Full;
    Wasi sock_send ("iiiii") ALL Wasi Full;
    Wasi sock_shutdown ("ii") ALL Wasi Full;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_across_modules() {
        // The shim exports all of them side by side.
        for (i, call) in HOST_CALLS.iter().enumerate() {
            assert!(HOST_CALLS[..i].iter().all(|earlier| earlier.name != call.name), "{} stands twice", call.name);
        }
    }

    #[test]
    fn finds_by_either_wasi_name() {
        assert!(HostCall::find("wasi_unstable", "fd_write").is_some());
        assert!(HostCall::find("wasi_snapshot_preview1", "fd_write").is_some());
        assert!(HostCall::find("env", "fd_write").is_none());
    }
}
